//! Sealing and opening whole messages beside the same library's raw AES-256-GCM in the same
//! chunks of 16 KiB, without key derivation, commitment and checks. The goal is 1.1 times the
//! raw time from 1 MiB on.
//!
//! `cargo bench --bench seal` measures AWS-LC, with `--features portable-crypto` RustCrypto.
//! Buffers are used again, so that the kernel's zeroing of fresh pages is in neither figure.
//!
//! Criterion's figures are minutes apart, in which a shared machine's memory changes its speed by
//! a third. The ratios at the end are of pairs: one after the other, at the same addresses, the
//! median of many.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cloakfs::crypto::{
    BACKEND, CHUNK_BYTES, Context, HEADER_BYTES, InputKey, MessageLength, Opener, Purpose,
    STORED_CHUNK_BYTES, seal_into,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZES: [(&str, usize); 4] = [
    ("4 KiB", 4 << 10),
    ("16 KiB", 16 << 10),
    ("1 MiB", 1 << 20),
    ("8 MiB", 8 << 20),
];

#[cfg(not(feature = "portable-crypto"))]
mod raw {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

    pub struct Raw(LessSafeKey);

    impl Raw {
        pub fn new() -> Self {
            Self(LessSafeKey::new(
                UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap(),
            ))
        }

        pub fn seal(&self, nonce: [u8; 12], plain: &[u8], sealed: &mut [u8]) {
            let (ciphertext, tag) = sealed.split_at_mut(plain.len());
            let nonce = Nonce::assume_unique_for_key(nonce);
            self.0
                .seal_out_of_place_scatter(nonce, Aad::empty(), plain, ciphertext, &[], tag)
                .unwrap();
        }

        pub fn open(&self, nonce: [u8; 12], sealed: &[u8], plain: &mut [u8]) {
            let (ciphertext, tag) = sealed.split_at(plain.len());
            let nonce = Nonce::assume_unique_for_key(nonce);
            self.0
                .open_separate_gather(nonce, Aad::empty(), ciphertext, tag, plain)
                .unwrap();
        }
    }
}

#[cfg(feature = "portable-crypto")]
mod raw {
    use aes_gcm::aead::inout::InOutBuf;
    use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};

    pub struct Raw(Aes256Gcm);

    impl Raw {
        pub fn new() -> Self {
            Self(Aes256Gcm::new(&[7; 32].into()))
        }

        pub fn seal(&self, nonce: [u8; 12], plain: &[u8], sealed: &mut [u8]) {
            let (ciphertext, tag) = sealed.split_at_mut(plain.len());
            let buffer = InOutBuf::new(plain, ciphertext).unwrap();
            let computed = self.0.encrypt_inout_detached(&nonce.into(), &[], buffer);
            tag.copy_from_slice(&computed.unwrap());
        }

        pub fn open(&self, nonce: [u8; 12], sealed: &[u8], plain: &mut [u8]) {
            let (ciphertext, tag) = sealed.split_at(plain.len());
            let buffer = InOutBuf::new(ciphertext, plain).unwrap();
            let tag = tag.try_into().unwrap();
            self.0
                .decrypt_inout_detached(&nonce.into(), &[], buffer, tag)
                .unwrap();
        }
    }
}

fn nonce(chunk: usize) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&(chunk as u64).to_be_bytes());
    nonce
}

fn seal_raw(raw: &raw::Raw, plain: &[u8], message: &mut [u8]) {
    // As many chunks as the message has, the last one shorter and possibly empty.
    let last = plain.len().is_multiple_of(CHUNK_BYTES).then_some(&[][..]);
    let chunks = plain.chunks(CHUNK_BYTES).chain(last);
    let room = message[HEADER_BYTES..].chunks_mut(STORED_CHUNK_BYTES);
    for (index, (plain, sealed)) in chunks.zip(room).enumerate() {
        raw.seal(nonce(index), plain, sealed);
    }
}

fn open_raw(raw: &raw::Raw, message: &[u8], opened: &mut [u8]) {
    let room = opened.chunks_mut(CHUNK_BYTES).chain([&mut [][..]]);
    let sealed = message[HEADER_BYTES..].chunks(STORED_CHUNK_BYTES);
    for (index, (sealed, plain)) in sealed.zip(room).enumerate() {
        raw.open(nonce(index), sealed, plain);
    }
}

fn open(key: &InputKey, context: &Context, message: &[u8], opened: &mut [u8]) {
    let (header, body) = message.split_first_chunk().unwrap();
    let stored = message.len() as u64;
    let opener = Opener::new(key, context, header, stored).unwrap();
    opener.open_chunks_into(0, body, opened).unwrap();
}

fn measure(criterion: &mut Criterion) {
    let (key, context) = (InputKey::random(), Context::new(Purpose::Segment));
    let raw = raw::Raw::new();
    for (name, len) in SIZES {
        let plain = vec![0x5a; len];
        let length = MessageLength::of_plain(len as u64).unwrap();
        let mut message = vec![0; usize::try_from(length.stored()).unwrap()];
        let mut opened = vec![0; len];

        let mut group = criterion.benchmark_group(format!("{BACKEND}/seal"));
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("raw", name), |bencher| {
            bencher.iter(|| seal_raw(&raw, black_box(&plain), &mut message));
        });
        let raw_message = message.clone();
        group.bench_function(BenchmarkId::new("message", name), |bencher| {
            bencher.iter(|| seal_into(&key, &context, black_box(&plain), &mut message));
        });
        group.finish();
        // Both are opened at the same addresses: where the pages of 8 MiB lie is worth a third.
        let sealed_message = std::mem::replace(&mut message, raw_message);

        let mut group = criterion.benchmark_group(format!("{BACKEND}/open"));
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("raw", name), |bencher| {
            bencher.iter(|| open_raw(&raw, black_box(&message), &mut opened));
        });
        message.copy_from_slice(&sealed_message);
        group.bench_function(BenchmarkId::new("message", name), |bencher| {
            bencher.iter(|| open(&key, &context, black_box(&message), &mut opened));
        });
        group.finish();
    }
}

/// Pairs of which the median is printed.
const PAIRS: usize = 401;

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

/// Prints what a message takes beside the raw cipher.
#[expect(clippy::print_stdout, reason = "a benchmark's figures")]
fn compare(_: &mut Criterion) {
    let (key, context) = (InputKey::random(), Context::new(Purpose::Segment));
    let raw = raw::Raw::new();
    for (name, len) in SIZES {
        let plain = vec![0x5a; len];
        let length = MessageLength::of_plain(len as u64).unwrap();
        let mut room = vec![0; usize::try_from(length.stored()).unwrap()];
        let (mut raw_message, mut message) = (room.clone(), room.clone());
        let mut opened = vec![0; len];
        let (mut sealing, mut opening) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            let by_raw = timed(|| seal_raw(&raw, black_box(&plain), &mut room));
            raw_message.copy_from_slice(&room);
            let by_us = timed(|| seal_into(&key, &context, black_box(&plain), &mut room));
            message.copy_from_slice(&room);
            sealing.push(by_us.as_secs_f64() / by_raw.as_secs_f64());

            room.copy_from_slice(&raw_message);
            let by_raw = timed(|| open_raw(&raw, black_box(&room), &mut opened));
            room.copy_from_slice(&message);
            let by_us = timed(|| open(&key, &context, black_box(&room), &mut opened));
            opening.push(by_us.as_secs_f64() / by_raw.as_secs_f64());
        }
        for (what, mut ratios) in [("seal", sealing), ("open", opening)] {
            ratios.sort_by(f64::total_cmp);
            let [low, median, high] = [1, 2, 3].map(|quarter| ratios[PAIRS * quarter / 4]);
            println!(
                "{BACKEND}/{what}/{name}: {median:.3} of the raw cipher's time \
                 (half of the pairs between {low:.3} and {high:.3})"
            );
        }
    }
}

criterion_group!(benches, measure, compare);
criterion_main!(benches);
