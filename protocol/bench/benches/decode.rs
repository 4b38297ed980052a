//! Decoding one frame against bare SHA-256 of its payload, and of the whole message, by the same library, and against the peer.
//!
//! `cargo bench` for our own figures, `cargo bench --features peer` with the peer. Allocations are counted: decoding must
//! show none.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher, black_box};
use warden_protocol::frame::{Frame, decode, decode_unverified};
use warden_protocol::wire::{MessageType, PayloadType};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const SIZES: [usize; 4] = [1, 64, 1024, 16384];

fn main() {
    divan::main();
}

fn message(size: usize) -> Bytes {
    let payload: Vec<u8> = (0..=u8::MAX).cycle().take(size).collect();
    let frame = Frame::stream(MessageType::OUTPUT_STREAM_DATA, 7, PayloadType::OUTPUT, payload.into());
    Frame { created_date: 1_732_279_474_123, ..frame }.encode()
}

#[divan::bench(args = SIZES)]
fn bare_sha256(bencher: Bencher<'_, '_>, size: usize) {
    let payload = message(size).slice(120..);
    bencher.counter(BytesCount::new(size)).bench_local(|| digest(&SHA256, black_box(&payload)));
}

/// The bytes that a frame is on the wire: header and payload.
#[divan::bench(args = SIZES)]
fn bare_sha256_of_message(bencher: Bencher<'_, '_>, size: usize) {
    let message = message(size);
    bencher.counter(BytesCount::new(size)).bench_local(|| digest(&SHA256, black_box(&message)));
}

#[divan::bench(args = SIZES)]
fn verified(bencher: Bencher<'_, '_>, size: usize) {
    let message = message(size);
    bencher
        .counter(BytesCount::new(size))
        .with_inputs(|| message.clone())
        .bench_local_values(|message| decode(message));
}

#[divan::bench(args = SIZES)]
fn unverified(bencher: Bencher<'_, '_>, size: usize) {
    let message = message(size);
    let counter = BytesCount::new(size);
    bencher.counter(counter).with_inputs(|| message.clone()).bench_local_values(|message| decode_unverified(message));
}

/// Encoding makes one message, which shows that allocations are counted.
#[divan::bench(args = SIZES)]
fn encode(bencher: Bencher<'_, '_>, size: usize) {
    let frame = decode(message(size)).map(|decoded| decoded.frame);
    bencher.counter(BytesCount::new(size)).bench_local(|| black_box(&frame).as_ref().map(Frame::encode));
}

#[cfg(feature = "peer")]
#[divan::bench(args = SIZES)]
fn peer_verified(bencher: Bencher<'_, '_>, size: usize) {
    use aws_ssm_bridge::binary_protocol::ClientMessage;
    let message = message(size);
    assert!(ClientMessage::deserialize(message.clone()).is_ok());
    let counter = BytesCount::new(size);
    bencher
        .counter(counter)
        .with_inputs(|| message.clone())
        .bench_local_values(|message| ClientMessage::deserialize(message));
}
