//! Imports that are refused, by keys that take no material, by tokens that do not fit, and for
//! answers that KMS would not give.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloakfs::admin::import::{Material, Target};
use cloakfs::base::secret::Secret;
use cloakfs::crypto::wrapping::{OaepHash, WrappingKey};
use cloakfs::keys::kms::{Expiry, Wrapping, WrappingBits};
use serde_json::json;

use crate::importing::{ALIAS, TIMEOUT, WRAPPING, at, by_alias, material, refused, run, way};
use crate::own_kms::{Key, Meddle, OwnKms, arn};
use crate::world::{answer, error};

#[tokio::test]
async fn a_key_that_takes_no_material_is_told_before_anything_is_sent() {
    let own = OwnKms::start().await;
    for (key, reason) in [
        (
            Key {
                origin: "AWS_KMS",
                ..Key::default()
            },
            "has material that was not imported (origin AWS_KMS), and material of one's own goes only into keys that are made for it (origin EXTERNAL): give --alias a name that is not taken, and such a key is made",
        ),
        (
            Key {
                spec: "RSA_2048",
                ..Key::default()
            },
            "is an asymmetric key (RSA_2048, ENCRYPT_DECRYPT), and 32 bytes are the material of symmetric keys only: give a key of the kind SYMMETRIC_DEFAULT for ENCRYPT_DECRYPT",
        ),
        (
            Key {
                state: "Disabled",
                ..Key::default()
            },
            "is disabled: enable it with `aws kms enable-key`, or give another",
        ),
        (
            Key {
                state: "Creating",
                ..Key::default()
            },
            "is still being created: try again in a minute",
        ),
        (
            Key {
                state: "PendingDeletion",
                ..Key::default()
            },
            "is to be deleted, and what is encrypted with it is lost then: cancel that with `aws kms cancel-key-deletion` and enable the key, or give another",
        ),
        (
            Key {
                state: "Sleeping",
                ..Key::default()
            },
            "is in the state Sleeping, in which it takes no material: give another",
        ),
    ] {
        let id = own.add(key);
        let mut seen = own.fake.requests().len();
        assert_eq!(
            refused(&own, &Target::key(id.clone()), 7).await,
            format!("the KMS key \"{id}\" {reason}")
        );
        assert_eq!(own.asked(&mut seen), ["DescribeKey"]);
        // Nor does it get a name.
        let named = Target::alias(ALIAS.to_owned(), Some(id.clone())).unwrap();
        let sentence = refused(&own, &named, 7).await;
        assert_eq!(sentence, format!("the KMS key \"{id}\" {reason}"));
    }
    own.with(|state| assert!(state.aliases.is_empty()));
}

/// Made for a key, wrapped elsewhere, and sent with what does not belong to it.
#[tokio::test]
async fn what_was_wrapped_elsewhere_must_fit_its_token() {
    let own = OwnKms::start().await;
    let (id, other) = (own.add(Key::default()), own.add(Key::default()));
    let way = way(&own).await;
    let facts = way.facts(&id, TIMEOUT).await.unwrap();
    let parameters = way.import_parameters(&facts, WRAPPING, TIMEOUT).await;
    let parameters = parameters.unwrap();
    assert_eq!(parameters.valid_to, Some(at(24 * 60 * 60)));
    let again = WrappingKey::from_der(&parameters.wrapping_key_der).unwrap();
    let wrapped = again.wrap(OaepHash::Sha256, &Secret::take(&mut [7; 32]));
    let sha1 = again.wrap(OaepHash::Sha1, &Secret::take(&mut [7; 32]));
    let send = async |id: &str, wrapped: &[u8]| {
        let material = Material::Wrapped {
            wrapped: wrapped.to_vec(),
            token: parameters.token.clone(),
        };
        let (_, done) = run(&own, &Target::key(id.to_owned()), material, Expiry::Never).await;
        done.map_err(|error| error.to_string())
    };
    let key = |id: &str| format!("the KMS key \"{}\" takes no material", arn(id));
    let again = "get both anew with `cloakfs keys import --wrap-only`, and wrap the material again for them";
    assert_eq!(
        send(&other, &wrapped).await.unwrap_err(),
        format!(
            "{}, since the import token is damaged or another key's (not of this key): give the token and what was wrapped with the key that came with it, or {again}",
            key(&other)
        )
    );
    for wrong in [&sha1[..], &[1; 256], &wrapped[..255]] {
        assert_eq!(
            send(&id, wrong).await.unwrap_err(),
            format!(
                "{}, since the wrapped material does not open (it does not open): it was wrapped with another wrapping key than the one that came with the token, or with another algorithm (openssl's own choice is OAEP with SHA-1); wrap it again",
                key(&id)
            )
        );
    }
    send(&id, &wrapped).await.unwrap();
    own.with(|state| assert_eq!(state.keys[&id].material, Some(vec![7; 32])));
    own.expire_tokens();
    assert_eq!(
        send(&id, &wrapped).await.unwrap_err(),
        format!(
            "{}, since the import token has expired (too old): it is good for 24 hours, as is the wrapping key that came with it; {again}",
            key(&id)
        )
    );
    // A token is no reason to make a key.
    let wrapped = Material::Wrapped {
        wrapped,
        token: parameters.token.clone(),
    };
    let (_, done) = run(&own, &by_alias(), wrapped, Expiry::Never).await;
    assert_eq!(
        done.unwrap_err().to_string(),
        "alias/mine does not exist, and what was wrapped elsewhere was wrapped for a key that does: give the alias or key that the wrapping key and the token came for"
    );
    own.with(|state| assert_eq!(state.keys.len(), 2));
}

/// As LocalStack does.
#[tokio::test]
async fn a_kms_that_takes_other_material_is_found_out() {
    let own = OwnKms::start().await;
    run(&own, &by_alias(), material(7), Expiry::Never)
        .await
        .1
        .unwrap();
    let id = own.with(|state| {
        let (id, key) = state.keys.first_key_value().unwrap();
        assert_eq!(key.material, Some(vec![7; 32]));
        id.clone()
    });
    let state = own.shared();
    let lax = id.clone();
    own.meddle(move |operation, _| {
        if operation != "ImportKeyMaterial" {
            return Meddle::Pass;
        }
        state.lock().unwrap().keys.get_mut(&lax).unwrap().material = Some(vec![8; 32]);
        Meddle::Instead(answer("200 OK", &json!({})))
    });
    assert_eq!(
        refused(&own, &by_alias(), 8).await,
        format!(
            "the KMS alias \"alias/mine\" (now {}) does not decrypt what it encrypted before this import: this KMS took other material in place of what was there, which AWS's refuses; what is encrypted under one material is read with that one alone, so import the right one again",
            arn(&id)
        )
    );
}

#[tokio::test]
async fn answers_that_kms_would_not_give_are_refused() {
    let own = OwnKms::start().await;
    let id = own.add(Key::default());
    let other = arn("99999999-12ab-34cd-56ef-1234567890ab");
    let token = "dG9rZW4=";
    for (told, reason) in [
        (
            json!({"KeyId": other, "ImportToken": token, "PublicKey": ""}),
            format!("the answer is of {other}, which is another key"),
        ),
        (
            json!({"ImportToken": token, "PublicKey": ""}),
            "the answer names no key".to_owned(),
        ),
        (
            json!({"KeyId": arn(&id), "PublicKey": ""}),
            "the answer has no import token".to_owned(),
        ),
        (
            json!({"KeyId": arn(&id), "ImportToken": token, "PublicKey": "AAAA"}),
            "its wrapping key is no public RSA key in DER (SubjectPublicKeyInfo): give the file as KMS gave it, WrappingPublicKey.bin".to_owned(),
        ),
    ] {
        own.meddle(move |operation, _| match operation {
            "GetParametersForImport" => Meddle::Instead(answer("200 OK", &told)),
            _ => Meddle::Pass,
        });
        assert_eq!(
            refused(&own, &Target::key(id.clone()), 7).await,
            format!(
                "the KMS key \"{}\" gives no wrapping key and no import token: {reason}; check --kms-endpoint-url, since KMS does not answer so",
                arn(&id)
            )
        );
    }
    // A shorter wrapping key than was asked for.
    own.meddle(|_, _| Meddle::Pass);
    let way = way(&own).await;
    let facts = way.facts(&id, TIMEOUT).await.unwrap();
    let parameters = way
        .import_parameters(&facts, WRAPPING, TIMEOUT)
        .await
        .unwrap();
    let short = BASE64.encode(&parameters.wrapping_key_der);
    let key = arn(&id);
    own.meddle(move |_, _| {
        let told = json!({"KeyId": key, "ImportToken": token, "PublicKey": short});
        Meddle::Instead(answer("200 OK", &told))
    });
    let asked = Wrapping {
        bits: WrappingBits::Rsa4096,
        ..WRAPPING
    };
    let refused = way.import_parameters(&facts, asked, TIMEOUT).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("its wrapping key has 2048 bits, and 4096 were asked for")
    );
}

/// What is encrypted must come back, or it is not said to work.
#[tokio::test]
async fn a_key_that_does_not_work_afterwards_is_told() {
    for (operation, instead, reason) in [
        (
            "Encrypt",
            error("AccessDeniedException", "no"),
            "does not encrypt, since KMS at http://FAKE denies it (no): allow kms:Encrypt to these credentials, in the key's policy too",
        ),
        (
            "Decrypt",
            answer("200 OK", &json!({"Plaintext": "AAAA"})),
            "does not decrypt what it has encrypted: the answer is something else; check --kms-endpoint-url, since KMS does not answer so",
        ),
    ] {
        let own = OwnKms::start().await;
        let id = own.add(Key::default());
        own.meddle(move |asked, _| {
            if asked == operation {
                Meddle::Instead(instead.clone())
            } else {
                Meddle::Pass
            }
        });
        assert_eq!(
            refused(&own, &Target::key(id.clone()), 7).await,
            format!(
                "the material was imported into the KMS key \"{id}\", but whether the key works is not known: the KMS key \"{}\" {reason}",
                arn(&id)
            )
        );
    }
}
