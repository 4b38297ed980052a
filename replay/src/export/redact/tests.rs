use warden_session::session::Platform;

use super::*;

fn redact(policy: Policy, learn: &dyn Fn(&mut Redactor), cols: Option<u16>, chunks: &[&[u8]]) -> (String, usize) {
    let mut redactor = Redactor::new(policy).unwrap();
    learn(&mut redactor);
    let finder = redactor.finder();
    let mut search = finder.search(cols);
    let mut offset = 0;
    for chunk in chunks {
        search.feed(chunk, offset);
        offset += chunk.len() as u64;
    }
    let cuts = search.finish();
    let (mut out, mut offset) = (Vec::new(), 0);
    for chunk in chunks {
        out.extend_from_slice(&cuts.apply(chunk, offset));
        offset += chunk.len() as u64;
    }
    (String::from_utf8_lossy(&out).into_owned(), cuts.all.len())
}

fn hidden(secret: &'static str) -> impl Fn(&mut Redactor) {
    move |redactor| redactor.learn_hidden(secret)
}

#[test]
fn secrets_leave_output() {
    let rows: &[(&str, Option<u16>, &[u8], &str)] = &[
        ("plain", Some(80), b"pw S3cret!\r\n", "pw ███████\r\n"),
        ("erased and typed again", Some(80), b"S3x\x08\x1b[Kcret!", "██x\x08\x1b[K█████"),
        ("inserted", Some(80), b"S3et!\x08\x08\x08\x1b[2@cr\r\n", "█████\x08\x08\x08\x1b[2@██\r\n"),
        ("wrapped by readline", Some(10), b"$ abcdS3cr \ret!\r\n", "$ abcd████ \r███\r\n"),
        ("wrapped, width unknown", None, b"$ abcdS3cr \ret!\r\n", "$ abcd████ \r███\r\n"),
        ("in a title", Some(80), b"\x1b]0;x S3cret!\x07$ ", "\x1b]0;x ███████\x07$ "),
        ("coloured inside", Some(80), b"S3\x1b[31mcret!", "██\x1b[31m█████"),
        ("twice", Some(80), b"S3cret! S3cret!\r\nS3cret!", "███████ ███████\r\n███████"),
        ("absent", Some(80), b"S3cre\r\nt!", "S3cre\r\nt!"),
        ("painted by a full-screen program", Some(80), b"\x1b[5;3HS3cret!\x1b[6;1H", "\x1b[5;3H███████\x1b[6;1H"),
    ];
    for (name, cols, input, wanted) in rows {
        let learn = hidden("S3cret!");
        assert_eq!(redact(Policy::default(), &learn, *cols, &[input]).0, *wanted, "{name}");
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(redact(Policy::default(), &learn, *cols, &bytes).0, *wanted, "{name}, byte by byte");
    }
}

#[test]
fn wide_characters_keep_the_grid() {
    let (out, cuts) = redact(Policy::default(), &hidden("日本語x"), Some(80), &["a日本語xb".as_bytes()]);
    assert_eq!((out.as_str(), cuts), ("a███████b", 1));
}

#[test]
fn patterns_see_lines() {
    let policy = || Policy { patterns: vec![Regex::new("[0-9]{4}-[0-9]{4}").unwrap()], ..Policy::default() };
    let (out, cuts) = redact(policy(), &|_| {}, Some(80), &[b"card 1234-", b"5678 and 12", b"34-5678\r\n"]);
    assert_eq!((out.as_str(), cuts), ("card █████████ and █████████\r\n", 2));
    assert_eq!(redact(policy(), &|_| {}, Some(80), &[b"1234-\r\n5678"]).1, 0, "a pattern sees one line");
}

#[test]
fn secrets_of_commands_leave_texts_and_output() {
    let command =
        Command { offset: 0..40, ..warden_rules::detect::typed("mysql -uroot -pS3cret shop", Platform::default()) };
    let policy = || Policy { commands: true, ..Policy::default() };
    let learn = |redactor: &mut Redactor| redactor.learn_command(&command);
    let (out, _) = redact(policy(), &learn, Some(80), &[b"$ mysql -uroot -pS3cret shop\r\nS3cret\r\n"]);
    assert_eq!(out, "$ mysql -uroot -p██████ shop\r\n██████\r\n");
    let mut redactor = Redactor::new(policy()).unwrap();
    learn(&mut redactor);
    let shown = redactor.command(&redactor.finder(), &command);
    assert!(!format!("{shown:?}").contains("S3cret"), "{shown:?}");
}

#[test]
fn short_secrets_stay_where_they_are_no_secret() {
    let command =
        Command { offset: 0..24, ..warden_rules::detect::typed("mysql -uroot -pab shop", Platform::default()) };
    let learn = |redactor: &mut Redactor| redactor.learn_command(&command);
    let policy = Policy { commands: true, ..Policy::default() };
    let (out, _) = redact(policy, &learn, Some(80), &[b"$ mysql -uroot -pab shop\r\ncab\r\n"]);
    assert_eq!(out, "$ mysql -uroot -p██ shop\r\ncab\r\n");
}

#[test]
fn equal_keys_give_equal_digests() {
    let with = |key: Option<&[u8]>| {
        Redactor::new(Policy { key: key.map(<[u8]>::to_vec), ..Policy::default() }).unwrap().digest("S3cret")
    };
    assert_eq!(with(Some(b"k")), with(Some(b"k")));
    assert_ne!(with(None), with(None));
}
