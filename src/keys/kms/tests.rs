//! Which keys S3 can use, without a server.

use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyState, KeyUsageType};
use aws_smithy_types::DateTime;

use super::describe::{taken_as_given, usable_by_s3};
use super::error::{KmsError, KmsErrorKind};
use super::key_name::KeyName;

const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn key(state: KeyState, change: impl FnOnce(&mut KeyMetadata)) -> KeyMetadata {
    let mut key = KeyMetadata::builder()
        .key_id(ID)
        .arn(ARN)
        .enabled(state == KeyState::Enabled)
        .key_state(state)
        .key_spec(KeySpec::SymmetricDefault)
        .key_usage(KeyUsageType::EncryptDecrypt)
        .build()
        .unwrap();
    change(&mut key);
    key
}

fn refused(name: &str, key: &KeyMetadata, region: &str) -> (KmsErrorKind, String) {
    let error = usable_by_s3(&KeyName::parse(name), Some(key), region).unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn a_key_that_s3_can_use_is_its_arn() {
    for state in [KeyState::Enabled, KeyState::Updating] {
        for name in [ID, ARN, "alias/a"] {
            let key = key(state.clone(), |_| {});
            let resolved = usable_by_s3(&KeyName::parse(name), Some(&key), "eu-west-1").unwrap();
            assert_eq!(resolved.arn, ARN);
            assert_eq!(resolved.notes, [""; 0]);
        }
    }
}

#[test]
fn a_state_in_which_it_cannot_be_used_is_told() {
    for (state, sentence) in [
        (
            KeyState::Disabled,
            "is disabled: enable it with `aws kms enable-key`, or give another",
        ),
        (
            KeyState::PendingDeletion,
            "is to be deleted on 2026-12-05, and what is encrypted with it is lost then: cancel that with `aws kms cancel-key-deletion` and enable the key, or give another",
        ),
        (
            KeyState::PendingReplicaDeletion,
            "is to be deleted as soon as its replicas are: cancel that with `aws kms cancel-key-deletion`, or give another",
        ),
        (
            KeyState::PendingImport,
            "has no key material, because none was imported yet or what was has expired or was deleted: import it with `cloakfs keys import`, or give another",
        ),
        (
            KeyState::Creating,
            "is still being created: try again in a minute",
        ),
        (
            KeyState::Unavailable,
            "is in a key store that KMS cannot reach: connect its custom key store, or give another key",
        ),
        (
            KeyState::from("Sleeping"),
            "is in the state Sleeping, in which S3 cannot encrypt with it: give another",
        ),
    ] {
        let key = key(state, |key| {
            key.deletion_date = Some(DateTime::from_secs(1_796_428_800));
        });
        assert_eq!(
            refused(ID, &key, "eu-west-1"),
            (
                KmsErrorKind::State,
                format!("the KMS key \"{ID}\" {sentence}")
            )
        );
    }
}

#[test]
fn an_alias_is_told_with_the_key_behind_it() {
    let key = key(KeyState::Disabled, |_| {});
    assert_eq!(
        refused("alias/a", &key, "eu-west-1").1,
        format!(
            "the KMS alias \"alias/a\" (now {ARN}) is disabled: enable it with `aws kms enable-key`, or give another"
        )
    );
}

#[test]
fn a_kind_that_s3_does_not_encrypt_with_is_refused() {
    for (spec, usage, what) in [
        (
            KeySpec::Rsa2048,
            KeyUsageType::EncryptDecrypt,
            "an asymmetric key (RSA_2048, ENCRYPT_DECRYPT)",
        ),
        (
            KeySpec::EccNistP256,
            KeyUsageType::SignVerify,
            "an asymmetric key (ECC_NIST_P256, SIGN_VERIFY)",
        ),
        (
            KeySpec::Hmac256,
            KeyUsageType::GenerateVerifyMac,
            "an HMAC key (HMAC_256, GENERATE_VERIFY_MAC)",
        ),
        (
            KeySpec::SymmetricDefault,
            KeyUsageType::SignVerify,
            "a key for another use (SYMMETRIC_DEFAULT, SIGN_VERIFY)",
        ),
    ] {
        let key = key(KeyState::Enabled, |key| {
            key.key_spec = Some(spec);
            key.key_usage = Some(usage);
        });
        assert_eq!(
            refused(ID, &key, "eu-west-1"),
            (
                KmsErrorKind::Unsuitable,
                format!(
                    "the KMS key \"{ID}\" is {what}, and S3 encrypts with symmetric keys only: give a key of the kind SYMMETRIC_DEFAULT for ENCRYPT_DECRYPT"
                )
            )
        );
    }
}

#[test]
fn a_key_of_another_place_is_refused() {
    let enabled = key(KeyState::Enabled, |_| {});
    assert_eq!(
        refused("mrk-1", &enabled, "us-east-1"),
        (
            KmsErrorKind::Unsuitable,
            "the KMS key \"mrk-1\" is in the region eu-west-1, and S3 encrypts objects of a bucket in us-east-1 with keys of that region only: give a key of us-east-1 (of a multi-region key, its replica there)".to_owned()
        )
    );
    let elsewhere = key(KeyState::Enabled, |key| {
        key.arn = Some(ARN.replace(":aws:", ":aws-cn:"));
    });
    assert_eq!(
        refused(ID, &elsewhere, "eu-west-1").1,
        format!(
            "the KMS key \"{ID}\" is in the partition aws-cn, and the region eu-west-1 belongs to aws: check the ARN"
        )
    );
}

#[test]
fn an_answer_without_a_key_is_none() {
    let error = usable_by_s3(&KeyName::parse(ID), None, "eu-west-1").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the KMS key \"{ID}\" cannot be looked at: the answer has no ARN, so it is none of KMS"
        )
    );
}

#[test]
fn a_key_that_may_not_be_looked_at_is_used_as_given_with_a_note() {
    let denied = KmsError::new(KmsErrorKind::Denied, "it is denied");
    let resolved = taken_as_given(&KeyName::parse(ARN), &denied);
    assert_eq!(resolved.arn, ARN);
    assert_eq!(
        resolved.notes,
        [
            "it is denied; the key is used as given, and whether it works will be seen when something is written"
        ]
    );
}

#[test]
fn an_answer_about_another_key_than_asked_for_is_refused() {
    let other_account = ARN.replace("111122223333", "999999999999");
    let other_key = ARN.replace("1234abcd", "00000000");
    let alias = "arn:aws:kms:eu-west-1:111122223333:alias/a";
    let answered = |arn: &str| key(KeyState::Enabled, |key| key.arn = Some(arn.to_owned()));
    for (name, what, arn) in [
        (ARN, "key", &other_account),
        (ARN, "key", &other_key),
        (alias, "alias", &other_account),
    ] {
        assert_eq!(
            refused(name, &answered(arn), "eu-west-1"),
            (
                KmsErrorKind::Unsuitable,
                format!(
                    "the KMS {what} \"{name}\" was asked for, and the answer is of {arn}, which is another key or of another account: check --kms-endpoint-url, since KMS does not answer so"
                )
            )
        );
    }
    // Which key an alias leads to, only KMS knows; an id names no account.
    for (name, arn) in [
        (alias, &other_key),
        ("alias/a", &other_account),
        (ID, &other_account),
    ] {
        let key = answered(arn);
        let resolved = usable_by_s3(&KeyName::parse(name), Some(&key), "eu-west-1");
        assert_eq!(resolved.unwrap().arn, *arn);
    }
}
