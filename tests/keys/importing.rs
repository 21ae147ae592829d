//! Material of one's own into KMS: as it goes, again, and after the material is gone.

use std::time::Duration;

use cloakfs::admin::import::{ImportError, Imported, Material, Target, import};
use cloakfs::base::secret::Secret;
use cloakfs::base::time::Timestamp;
use cloakfs::crypto::wrapping::OaepHash;
use cloakfs::keys::kms::{
    Expires, Expiry, Kms, KmsErrorKind, Wrapping, WrappingBits, marker, rfc3339,
};

use crate::own_kms::{OwnKms, arn};
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

pub async fn refused(own: &OwnKms, target: &Target, byte: u8) -> String {
    let (_, done) = run(own, target, material(byte), Expiry::Never).await;
    let sentence = done.unwrap_err().to_string();
    sentence.replace(&own.fake.endpoint, "http://FAKE")
}

pub fn at(secs: i64) -> Timestamp {
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
