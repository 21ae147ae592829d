//! Material of one's own into KMS: as it goes, again, after the material is gone, and what is
//! refused.

use std::time::Duration;

use cloakfs::admin::import::{ImportError, Imported, Material, Target, import};
use cloakfs::base::secret::Secret;
use cloakfs::base::time::Timestamp;
use cloakfs::crypto::wrapping::{OaepHash, WrappingKey};
use cloakfs::keys::kms::{
    Expires, Expiry, Kms, KmsErrorKind, Wrapping, WrappingBits, marker, rfc3339,
};
use serde_json::json;

use crate::own_kms::{Key, Meddle, OwnKms, arn};
use crate::world::{answer, error};
use crate::{config, kms};

pub const TIMEOUT: Duration = Duration::from_secs(30);
pub const ALIAS: &str = "alias/mine";
pub const WRAPPING: Wrapping = Wrapping {
    hash: OaepHash::Sha256,
    bits: WrappingBits::Rsa2048,
};
/// The operations of an import for which the key has to be made.
pub const STEPS: [&str; 9] = [
    "DescribeKey",
    "ListKeys",
    "CreateKey",
    "CreateAlias",
    "GetParametersForImport",
    "ImportKeyMaterial",
    "Encrypt",
    "Decrypt",
    "DescribeKey",
];

pub fn material(byte: u8) -> Material {
    Material::Key {
        key: Secret::take(&mut [byte; 32]),
        wrapping: WRAPPING,
    }
}

pub fn by_alias() -> Target {
    Target::alias(ALIAS.to_owned(), None).unwrap()
}

pub async fn way(own: &OwnKms) -> Kms {
    kms(&config(&own.fake.endpoint)).await
}

/// What was told on the way, and what became of it.
pub async fn run(
    own: &OwnKms,
    target: &Target,
    material: Material,
    expiry: Expiry,
) -> (Vec<String>, Result<Imported, ImportError>) {
    run_for(own, target, material, expiry, TIMEOUT).await
}

pub async fn run_for(
    own: &OwnKms,
    target: &Target,
    material: Material,
    expiry: Expiry,
    timeout: Duration,
) -> (Vec<String>, Result<Imported, ImportError>) {
    let mut told = Vec::new();
    let mut tell = |words: &str| told.push(words.to_owned());
    let done = import(
        &way(own).await,
        target,
        material,
        expiry,
        timeout,
        &mut tell,
    )
    .await;
    (told, done)
}

async fn refused(own: &OwnKms, target: &Target, byte: u8) -> String {
    let (_, done) = run(own, target, material(byte), Expiry::Never).await;
    let sentence = done.unwrap_err().to_string();
    sentence.replace(&own.fake.endpoint, "http://FAKE")
}

fn at(secs: i64) -> Timestamp {
    Timestamp::new(secs, 0).unwrap()
}

#[tokio::test]
async fn a_key_is_made_named_given_its_material_and_seen_to_work() {
    let own = OwnKms::start().await;
    let (told, done) = run(&own, &by_alias(), material(7), Expiry::Never).await;
    let imported = done.unwrap();
    assert_eq!(own.asked(&mut 0), STEPS);
    let (id, key) = own.with(|state| state.keys.clone().pop_first().unwrap());
    let arn = arn(&id);
    assert_eq!(
        (imported, key.material, key.description),
        (
            Imported {
                arn: arn.clone(),
                alias: Some(ALIAS.to_owned()),
                expires: Expires::Never,
                note: None,
            },
            Some(vec![7; 32]),
            marker(ALIAS),
        )
    );
    assert_eq!(
        told,
        [
            format!("the key {arn} was made, for material of your own (origin EXTERNAL)"),
            format!("alias/mine now leads to the key {arn}"),
            "the material was imported".to_owned(),
            "the key encrypts, and decrypts what it encrypted".to_owned(),
        ]
    );
    // Nothing of the material is in any request, in no form.
    for request in own.fake.requests() {
        for secret in [&[7; 8][..], b"BwcHBwcH", b"07070707"] {
            assert!(
                !request
                    .body
                    .windows(secret.len())
                    .any(|part| part == secret)
            );
        }
    }
}

#[tokio::test]
async fn the_same_again_makes_no_second_key_and_renews_the_expiry() {
    let own = OwnKms::start().await;
    run(&own, &by_alias(), material(7), Expiry::Never)
        .await
        .1
        .unwrap();
    let id = own.with(|state| state.keys.first_key_value().unwrap().0.clone());
    let later = Expiry::At(at(1_800_000_000));
    let (told, done) = run(&own, &by_alias(), material(7), later).await;
    assert_eq!(done.unwrap().expires, Expires::At(at(1_800_000_000)));
    assert_eq!(
        told,
        [
            format!("alias/mine leads to the key {}", arn(&id)),
            "it has material (it does not expire): the same is imported again".to_owned(),
            "the material was imported".to_owned(),
            "the key encrypts, and decrypts what it encrypted".to_owned(),
        ]
    );
    let (told, done) = run(&own, &Target::key(id), material(7), Expiry::Never).await;
    assert_eq!(done.unwrap().expires, Expires::Never);
    assert_eq!(
        told[1],
        format!(
            "it has material (it expires at {}): the same is imported again",
            rfc3339(at(1_800_000_000))
        )
    );
    own.with(|state| assert_eq!((state.keys.len(), state.aliases.len()), (1, 1)));
}

/// AWS's KMS forgets material at its time, and when it is told to.
#[tokio::test]
async fn material_that_expired_or_was_deleted_is_brought_back_by_the_same_bytes_alone() {
    let own = OwnKms::start().await;
    own.with(|state| state.now = 1_799_000_000);
    let until = Expiry::At(at(1_800_000_000));
    run(&own, &by_alias(), material(7), until).await.1.unwrap();
    let way = way(&own).await;
    let key = way.facts(ALIAS, TIMEOUT).await.unwrap();
    assert_eq!(key.expires(), Some(Expires::At(at(1_800_000_000))));
    let written = way.probe(&key, TIMEOUT).await.unwrap();
    for how in ["expired", "deleted"] {
        if how == "expired" {
            own.with(|state| state.now = 1_800_000_000);
        } else {
            way.delete_material(&key, TIMEOUT).await.unwrap();
        }
        let gone = way.opens(&key, &written, TIMEOUT).await.unwrap_err();
        assert_eq!(
            (gone.kind(), gone.to_string()),
            (
                KmsErrorKind::State,
                format!(
                    "the KMS key \"{0}\" does not decrypt what it has encrypted, since its state does not allow it ({0} is pending import): look at it with `aws kms describe-key`, cancel its deletion, import its material or connect its key store",
                    key.arn()
                )
            ),
            "{how}"
        );
        let facts = way.facts(ALIAS, TIMEOUT).await.unwrap();
        assert_eq!((facts.state(), facts.expires()), ("PendingImport", None));
        assert_eq!(
            refused(&own, &by_alias(), 8).await,
            format!(
                "the KMS key \"{}\" takes no other material than it had (the material must be the same): give the same 32 bytes that were imported into it first, and for others make another key",
                key.arn()
            )
        );
        let (told, done) = run(&own, &by_alias(), material(7), Expiry::Never).await;
        done.unwrap();
        assert_eq!(
            told[0],
            format!(
                "alias/mine leads to the key {}, which waits for its material",
                key.arn()
            )
        );
        way.opens(&key, &written, TIMEOUT).await.unwrap();
    }
    own.with(|state| assert_eq!(state.keys.len(), 1));
}

#[tokio::test]
async fn each_algorithm_wraps_as_it_says() {
    for hash in [OaepHash::Sha256, OaepHash::Sha1] {
        let own = OwnKms::start().await;
        let wrapping = Wrapping { hash, ..WRAPPING };
        let key = Secret::take(&mut [7; 32]);
        let material = Material::Key { key, wrapping };
        run(&own, &by_alias(), material, Expiry::Never)
            .await
            .1
            .unwrap();
        let asked = own.fake.requests();
        let name = format!("\"WrappingAlgorithm\":\"{}\"", hash.algorithm());
        assert!(
            asked
                .iter()
                .any(|request| String::from_utf8_lossy(&request.body).contains(&name))
        );
    }
}

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
    use base64::Engine as _;
    let short = base64::engine::general_purpose::STANDARD.encode(&parameters.wrapping_key_der);
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
