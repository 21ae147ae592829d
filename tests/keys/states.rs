//! Keys in all their states, on LocalStack.

use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::{BehaviorVersion, Region};
use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyUsageType, OriginType};
use cloakfs::aws::Transport;
use cloakfs::keys::kms::{Kms, KmsError, KmsErrorKind};

use crate::{REGION, config, credentials};

const TIMEOUT: Duration = Duration::from_secs(30);
const OTHER_REGION: &str = "eu-west-1";

/// LocalStack over https, and its certificate.
fn server() -> (String, std::path::PathBuf) {
    let variable = |name: &str| {
        std::env::var(name).unwrap_or_else(|_| {
            panic!("{name} is not set, so there is no server to test on: run the tests with scripts/test, which starts the servers")
        })
    };
    let endpoint = variable("CLOAKFS_TEST_LOCALSTACK_ENDPOINT");
    let ca = variable("CLOAKFS_TEST_LOCALSTACK_CA");
    (endpoint.replacen("http://", "https://", 1), ca.into())
}

async fn kms() -> Kms {
    let (endpoint, ca) = server();
    let mut config = config(&endpoint);
    config.ca_bundle = Some(ca);
    crate::kms(&config).await
}

/// The SDK's own client, to make keys with.
fn client(region: &'static str) -> Client {
    let (endpoint, ca) = server();
    Client::from_conf(
        aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(Transport::new(Some(&ca)).unwrap())
            .endpoint_url(endpoint)
            .region(Region::new(region))
            .credentials_provider(credentials())
            .build(),
    )
}

async fn new_key(client: &Client) -> KeyMetadata {
    let made = client.create_key().send().await.unwrap();
    made.key_metadata.unwrap()
}

async fn resolve(name: &str) -> Result<String, KmsError> {
    let resolved = kms().await.resolve_for_s3(name, REGION, TIMEOUT).await?;
    assert_eq!(resolved.notes, [""; 0]);
    Ok(resolved.arn)
}

async fn refused(name: &str) -> (KmsErrorKind, String) {
    let error = resolve(name).await.unwrap_err();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn a_key_is_found_by_each_of_its_names() {
    let client = client(REGION);
    let key = new_key(&client).await;
    let arn = key.arn().unwrap();
    let alias = format!("alias/test-{}", key.key_id());
    let made = client.create_alias().alias_name(&alias);
    made.target_key_id(key.key_id()).send().await.unwrap();
    let (place, _) = arn.split_once("key/").unwrap();
    for name in [key.key_id(), arn, &alias, &format!("{place}{alias}")] {
        assert_eq!(resolve(name).await.unwrap(), arn, "{name}");
    }
}

#[tokio::test]
async fn a_name_that_no_key_has_is_refused() {
    let (endpoint, _) = server();
    let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let arn = format!("arn:aws:kms:{REGION}:000000000000:key/{id}");
    for name in [id, &arn] {
        assert_eq!(
            refused(name).await,
            (
                KmsErrorKind::NotFound,
                format!(
                    "the KMS key \"{name}\" is not known to KMS at {endpoint}: check the key, its account and its region"
                )
            )
        );
    }
    assert_eq!(
        refused("alias/nobody").await,
        (
            KmsErrorKind::NotFound,
            format!(
                "the KMS alias \"alias/nobody\" is not known to KMS at {endpoint}: check the alias and its region"
            )
        )
    );
    assert_eq!(
        refused("nobody").await,
        (
            KmsErrorKind::NotFound,
            format!(
                "the KMS key \"nobody\" is not known to KMS at {endpoint}: check its id, and write an alias as alias/NAME"
            )
        )
    );
}

#[tokio::test]
async fn a_disabled_key_is_refused_until_it_is_enabled() {
    let client = client(REGION);
    let key = new_key(&client).await;
    let id = key.key_id();
    client.disable_key().key_id(id).send().await.unwrap();
    assert_eq!(
        refused(id).await,
        (
            KmsErrorKind::State,
            format!(
                "the KMS key \"{id}\" is disabled: enable it with `aws kms enable-key`, or give another"
            )
        )
    );
    client.enable_key().key_id(id).send().await.unwrap();
    assert!(resolve(id).await.is_ok());
}

#[tokio::test]
async fn a_key_that_is_to_be_deleted_is_refused_with_the_day() {
    let client = client(REGION);
    let key = new_key(&client).await;
    let id = key.key_id();
    let deletion = client.schedule_key_deletion().key_id(id);
    let scheduled = deletion.pending_window_in_days(7).send().await.unwrap();
    let date = scheduled.deletion_date().unwrap();
    let date = date
        .fmt(aws_smithy_types::date_time::Format::DateTime)
        .unwrap();
    assert_eq!(
        refused(id).await,
        (
            KmsErrorKind::State,
            format!(
                "the KMS key \"{id}\" is to be deleted on {}, and what is encrypted with it is lost then: cancel that with `aws kms cancel-key-deletion` and enable the key, or give another",
                &date[..10]
            )
        )
    );
}

#[tokio::test]
async fn a_key_without_its_material_is_refused() {
    let client = client(REGION);
    let made = client.create_key().origin(OriginType::External);
    let key = made.send().await.unwrap().key_metadata.unwrap();
    assert_eq!(
        refused(key.key_id()).await,
        (
            KmsErrorKind::State,
            format!(
                "the KMS key \"{}\" has no key material, because none was imported yet or what was has expired or was deleted: import it with `cloakfs keys import`, or give another",
                key.key_id()
            )
        )
    );
}

#[tokio::test]
async fn a_key_of_another_kind_is_refused_behind_an_alias_too() {
    let client = client(REGION);
    for (spec, usage, what) in [
        (
            KeySpec::Rsa2048,
            KeyUsageType::EncryptDecrypt,
            "an asymmetric key (RSA_2048, ENCRYPT_DECRYPT)",
        ),
        (
            KeySpec::Rsa2048,
            KeyUsageType::SignVerify,
            "an asymmetric key (RSA_2048, SIGN_VERIFY)",
        ),
        (
            KeySpec::Hmac256,
            KeyUsageType::GenerateVerifyMac,
            "an HMAC key (HMAC_256, GENERATE_VERIFY_MAC)",
        ),
    ] {
        let made = client.create_key().key_spec(spec).key_usage(usage);
        let key = made.send().await.unwrap().key_metadata.unwrap();
        let alias = format!("alias/kind-{}", key.key_id());
        let made = client.create_alias().alias_name(&alias);
        made.target_key_id(key.key_id()).send().await.unwrap();
        assert_eq!(
            refused(&alias).await,
            (
                KmsErrorKind::Unsuitable,
                format!(
                    "the KMS alias \"{alias}\" (now {}) is {what}, and S3 encrypts with symmetric keys only: give a key of the kind SYMMETRIC_DEFAULT for ENCRYPT_DECRYPT",
                    key.arn().unwrap()
                )
            )
        );
    }
}

#[tokio::test]
async fn a_key_is_looked_for_in_the_buckets_region() {
    let key = new_key(&client(OTHER_REGION)).await;
    let arn = key.arn().unwrap();
    assert_eq!(
        refused(arn).await,
        (
            KmsErrorKind::Unsuitable,
            format!(
                "the KMS key \"{arn}\" is in the region {OTHER_REGION}, and S3 encrypts objects of a bucket in {REGION} with keys of that region only: give a key of {REGION} (of a multi-region key, its replica there)"
            )
        )
    );
    assert_eq!(refused(key.key_id()).await.0, KmsErrorKind::NotFound);
    // The region that is configured is another.
    let kms = kms().await;
    for name in [arn, key.key_id()] {
        let found = kms.resolve_for_s3(name, OTHER_REGION, TIMEOUT).await;
        assert_eq!(found.unwrap().arn, arn);
    }
}

#[tokio::test]
async fn a_server_whose_certificate_is_not_trusted_is_not_asked() {
    let (endpoint, _) = server();
    let kms = crate::kms(&config(&endpoint)).await;
    let error = kms.resolve_for_s3("k", REGION, TIMEOUT).await.unwrap_err();
    assert_eq!(error.kind(), KmsErrorKind::Unreachable);
    let host = endpoint.trim_start_matches("https://");
    assert!(
        error.to_string().starts_with(&format!(
            "the KMS key \"k\" cannot be looked at: KMS cannot be asked: the TLS certificate of {host} is not trusted"
        )),
        "{error}"
    );
}
