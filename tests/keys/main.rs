//! KMS keys as KMS tells of them: LocalStack's, over https, for what a real server shows, and a
//! fake one for what none does on demand.

mod answers;
mod fake;
#[path = "../support/fake_http.rs"]
mod fake_http;
mod states;

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
    Kms::new(&aws).expect("its endpoint was given")
}

#[tokio::test]
async fn without_an_endpoint_there_is_no_kms_beside_somebody_elses_s3() {
    let mut config = config("https://kms.invalid");
    config.kms_endpoint_url = None;
    assert!(Kms::new(&Aws::find(&config).await.unwrap()).is_none());
    config.endpoint_url = None;
    assert!(Kms::new(&Aws::find(&config).await.unwrap()).is_some());
}
