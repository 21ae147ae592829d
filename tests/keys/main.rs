//! KMS keys as KMS tells of them: LocalStack's, over https, for what a real server shows, and a
//! fake one for what none does on demand.

mod answers;
mod changes;
mod data_keys;
mod fake;
#[path = "../support/fake_http.rs"]
mod fake_http;
mod importing;
mod interrupted;
mod material_gone;
mod not_imported;
mod own_kms;
mod policies;
mod refusals;
mod states;
mod told;
mod usage;
mod world;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use cloakfs::aws::{Aws, AwsConfig};
use cloakfs::keys::kms::Kms;

const REGION: &str = "us-east-1";

fn credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"))
}

/// The way to a KMS whose S3 is somebody else's.
fn config(endpoint: &str) -> AwsConfig {
    AwsConfig {
        endpoint_url: Some("https://s3.invalid".to_owned()),
        kms_endpoint_url: Some(endpoint.to_owned()),
        region: Some(REGION.to_owned()),
        credentials: Some(credentials()),
        ..AwsConfig::default()
    }
}

async fn kms(config: &AwsConfig) -> Kms {
    let aws = Aws::find(config).await.unwrap();
    let kms = Kms::new(&aws).expect("https, or a server of this machine");
    kms.expect("its endpoint was given")
}

#[tokio::test]
async fn without_an_endpoint_there_is_no_kms_beside_somebody_elses_s3() {
    let mut config = config("https://kms.invalid");
    config.kms_endpoint_url = None;
    let has_kms = async |config: &AwsConfig| {
        let aws = Aws::find(config).await.unwrap();
        Kms::new(&aws).unwrap().is_some()
    };
    assert!(!has_kms(&config).await);
    config.endpoint_url = None;
    assert!(has_kms(&config).await);
}

/// Whoever is between could answer with a key of theirs.
#[tokio::test]
async fn over_plain_http_only_this_machine_is_asked() {
    for (given, far) in [
        ("http://kms.invalid", "http://kms.invalid"),
        ("HTTP://10.0.0.1:4566", "http://10.0.0.1:4566"),
    ] {
        let aws = Aws::find(&config(given)).await.unwrap();
        assert_eq!(
            Kms::new(&aws).unwrap_err().to_string(),
            format!(
                "KMS would be asked over plain http at {far}, where others could answer with a key of theirs: give an https:// endpoint with --kms-endpoint-url or AWS_ENDPOINT_URL_KMS"
            )
        );
    }
    for near in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"] {
        let _asks_there = kms(&config(near)).await;
    }
}
