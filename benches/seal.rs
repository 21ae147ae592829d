//! Sealing and opening whole messages beside the same library's raw AES-256-GCM in the same
//! chunks of 16 KiB, without key derivation, commitment and checks. The goal is 1.1 times the
//! raw time from 1 MiB on.
//!
//! `cargo bench --bench seal` measures AWS-LC, with `--features portable-crypto` RustCrypto.
//! Buffers are used again, so that the kernel's zeroing of fresh pages is in neither figure.

use std::hint::black_box;

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

fn measure(criterion: &mut Criterion) {
    let (key, context) = (InputKey::random(), Context::new(Purpose::Segment));
    let raw = raw::Raw::new();
    for (name, len) in SIZES {
        let plain = vec![0x5a; len];
        let length = MessageLength::of_plain(len as u64).unwrap();
        let mut message = vec![0; usize::try_from(length.stored()).unwrap()];
        let mut opened = vec![0; len];
        // As many chunks as the message has, the last one shorter and possibly empty.
        let chunks = || {
            plain
                .chunks(CHUNK_BYTES)
                .chain(len.is_multiple_of(CHUNK_BYTES).then_some(&[][..]))
        };

        let mut group = criterion.benchmark_group(format!("{BACKEND}/seal"));
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("raw", name), |bencher| {
            bencher.iter(|| {
                let room = message[HEADER_BYTES..].chunks_mut(STORED_CHUNK_BYTES);
                for (index, (plain, sealed)) in chunks().zip(room).enumerate() {
                    raw.seal(nonce(index), black_box(plain), sealed);
                }
            });
        });
        let mut raw_message = message.clone();
        group.bench_function(BenchmarkId::new("message", name), |bencher| {
            bencher.iter(|| seal_into(&key, &context, black_box(&plain), &mut message));
        });
        group.finish();

        let mut group = criterion.benchmark_group(format!("{BACKEND}/open"));
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("raw", name), |bencher| {
            let sealed = &mut raw_message[HEADER_BYTES..];
            bencher.iter(|| {
                let room = opened.chunks_mut(CHUNK_BYTES).chain([&mut [][..]]);
                let sealed = black_box(&*sealed).chunks(STORED_CHUNK_BYTES);
                for (index, (sealed, plain)) in sealed.zip(room).enumerate() {
                    raw.open(nonce(index), sealed, plain);
                }
            });
        });
        group.bench_function(BenchmarkId::new("message", name), |bencher| {
            bencher.iter(|| {
                let (header, body) = black_box(&message).split_first_chunk().unwrap();
                let opener = Opener::new(&key, &context, header, length.stored()).unwrap();
                opener.open_chunks_into(0, body, &mut opened).unwrap();
            });
        });
        group.finish();
    }
}

criterion_group!(benches, measure);
criterion_main!(benches);
