//! Decompression with limits.

use std::io::Write;

use proptest::prelude::*;
use warden_session::inflate::{Inflate, Limits, RATIO_FLOOR};
use warden_session::timeline::Deviation::{self, BadCompression, LimitReached, Truncated};

fn inflate(bytes: &[u8], piece: usize, limits: Limits) -> (Vec<u8>, Option<Deviation>) {
    let mut out = Vec::new();
    let mut inflate = Inflate::new(limits);
    let mut wrong = None;
    for bytes in bytes.chunks(piece) {
        let said = inflate.feed(bytes, &mut |bytes| out.extend_from_slice(bytes));
        assert!(wrong.is_none() || said.is_none(), "said twice");
        wrong = wrong.or(said);
    }
    let last = inflate.finish(&mut |bytes| out.extend_from_slice(bytes));
    (out, wrong.or(last))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new()
        .filename("x.log")
        .comment("c")
        .extra(vec![1, 2, 3])
        .write(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// Name, input, output, what is wrong.
type Row<'a> = (&'a str, Vec<u8>, &'a [u8], Option<Deviation>);

#[test]
fn formats_and_damage() {
    let (g, z) = (gzip(b"hello "), zstd(b"hello "));
    let wide = {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(b"hello").unwrap();
        encoder.finish().unwrap()
    };
    let mut bad_sum = g.clone();
    let end = bad_sum.len();
    bad_sum[end - 5] ^= 1;
    let table: Vec<Row> = vec![
        ("nothing", vec![], b"", None),
        ("short", b"ab".to_vec(), b"ab", None),
        ("plain", b"plain text".to_vec(), b"plain text", None),
        ("gzip", g.clone(), b"hello ", None),
        ("gzip members", [g.clone(), gzip(b""), gzip(b"world")].concat(), b"hello world", None),
        ("gzip padding", [&g[..], &[0; 512]].concat(), b"hello ", None),
        ("gzip garbage", [&g[..], b"garbage"].concat(), b"hello ", Some(BadCompression)),
        ("gzip cut", g[..g.len() - 1].to_vec(), b"hello ", Some(Truncated)),
        ("gzip magic only", vec![0x1f, 0x8b], b"", Some(Truncated)),
        ("gzip bad sum", bad_sum, b"hello ", Some(BadCompression)),
        ("zstd", z.clone(), b"hello ", None),
        ("zstd frames", [z.clone(), zstd(b""), zstd(b"world")].concat(), b"hello world", None),
        ("zstd padding", [&z[..], &[0; 9]].concat(), b"hello ", None),
        ("zstd garbage", [&z[..], b"garbage"].concat(), b"hello ", Some(BadCompression)),
        ("zstd cut", z[..z.len() - 1].to_vec(), b"hello", Some(Truncated)),
        ("zstd window", wide, b"", Some(LimitReached("zstd window"))),
    ];
    for (name, bytes, expected, wrong) in &table {
        for piece in [1, 3, 1000] {
            let (out, said) = inflate(bytes, piece, Limits::default());
            assert_eq!((out.as_slice(), said), (*expected, *wrong), "{name}, pieces of {piece}");
        }
    }
}

#[test]
fn bombs_stop_at_the_limits() {
    let zeros = vec![b'x'; 80 << 20];
    for (name, bomb) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
        let (out, said) = inflate(&bomb, 4096, Limits { output: 1000, ratio: 10 });
        assert_eq!((out.len(), said), (1000, Some(LimitReached("inflated size"))), "{name}");
        let (out, said) = inflate(&bomb, 4096, Limits { output: u64::MAX, ratio: 10 });
        assert_eq!((out.len() as u64, said), (RATIO_FLOOR, Some(LimitReached("inflated size"))), "{name}");
        let (out, said) = inflate(&bomb, 4096, Limits { output: u64::MAX, ratio: u64::MAX });
        assert_eq!((out.len(), said), (zeros.len(), None), "{name}");
    }
}

proptest! {
    #[test]
    fn pieces_do_not_matter(bytes in prop::collection::vec(any::<u8>(), 0..3000), cut in 0_usize..4000, flip in 0_usize..4000, piece in 1_usize..50) {
        for mut packed in [gzip(&bytes), zstd(&bytes), bytes.clone()] {
            packed.truncate(cut);
            if let Some(byte) = packed.get_mut(flip) {
                *byte ^= 0x10;
            }
            let (in_pieces, said) = inflate(&packed, piece, Limits::default());
            let (at_once, said_at_once) = inflate(&packed, packed.len().max(1), Limits::default());
            prop_assert_eq!(said, said_at_once);
            // How much of the block that turns out to be damaged has come out by then is the library's affair.
            let shorter = in_pieces.len().min(at_once.len());
            let damaged = said == Some(BadCompression);
            prop_assert!(in_pieces == at_once || (damaged && in_pieces[..shorter] == at_once[..shorter]));
        }
    }
}
