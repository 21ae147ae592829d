//! The LocalStack that all tests share, S3 and KMS over https, and a client of its KMS.
//!
//! It checks keys and their state, but neither signatures nor policies. Its CA is the same
//! self-signed certificate as MinIO's.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, KeySpec, KeyUsageType};
use tokio::runtime::Runtime;

use super::other_client::sdk_config;
use super::s3_server::{S3Server, announced};

#[derive(Clone, Copy, Debug)]
pub struct LocalStack;

impl LocalStack {
    pub fn shared() -> S3Server {
        // http and https share the port.
        let endpoint =
            announced("CLOAKFS_TEST_LOCALSTACK_ENDPOINT").replacen("http://", "https://", 1);
        S3Server {
            kms_endpoint: Some(endpoint.clone()),
            endpoint,
            ca: Some(announced("CLOAKFS_TEST_LOCALSTACK_CA").into()),
            // Any would do.
            access_key: "test".into(),
            secret_key: "test".into(),
            session_token: None,
        }
    }

    /// Its KMS in the region of the tests' buckets.
    pub fn kms() -> Kms {
        Self::kms_in("us-east-1")
    }

    pub fn kms_in(region: &str) -> Kms {
        Kms {
            client: Client::new(&sdk_config(&Self::shared(), region)),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
        }
    }
}

/// A key in KMS.
#[derive(Clone, Debug)]
pub struct KmsKey {
    pub id: String,
    pub arn: String,
}

/// Makes keys and changes their state. Every call blocks, and panics when it is refused.
pub struct Kms {
    client: Client,
    runtime: Runtime,
}

impl Kms {
    /// A symmetric key, as S3 wants it.
    pub fn create(&self) -> KmsKey {
        self.create_as(KeySpec::SymmetricDefault)
    }

    /// An RSA key, under which S3 cannot encrypt.
    pub fn create_rsa(&self) -> KmsKey {
        self.create_as(KeySpec::Rsa2048)
    }

    fn create_as(&self, spec: KeySpec) -> KmsKey {
        let request = self
            .client
            .create_key()
            .key_spec(spec)
            .key_usage(KeyUsageType::EncryptDecrypt);
        let made = self.runtime.block_on(request.send()).expect("a new key");
        let key = made.key_metadata.expect("the new key's metadata");
        KmsKey {
            arn: key.arn.expect("a key's ARN"),
            id: key.key_id,
        }
    }

    /// Gives a key a name, which begins with `alias/`.
    pub fn alias(&self, name: &str, key: &KmsKey) {
        let request = self
            .client
            .create_alias()
            .alias_name(name)
            .target_key_id(&key.id);
        self.runtime.block_on(request.send()).expect("a new alias");
    }

    /// The key behind an alias.
    pub fn behind(&self, alias: &str) -> KmsKey {
        let request = self.client.describe_key().key_id(alias);
        let found = self.runtime.block_on(request.send()).expect("an alias");
        let key = found.key_metadata.expect("the key's metadata");
        KmsKey {
            arn: key.arn.expect("a key's ARN"),
            id: key.key_id,
        }
    }

    /// The key's policy.
    pub fn policy(&self, key: &KmsKey) -> serde_json::Value {
        let request = self.client.get_key_policy().key_id(&key.id);
        let request = request.policy_name("default");
        let told = self.runtime.block_on(request.send()).expect("a policy");
        serde_json::from_str(&told.policy.expect("a policy")).expect("JSON")
    }

    pub fn put_policy(&self, key: &KmsKey, policy: &serde_json::Value) {
        let request = self.client.put_key_policy().key_id(&key.id);
        let request = request.policy_name("default").policy(policy.to_string());
        self.runtime
            .block_on(request.send())
            .expect("putting a policy");
    }

    pub fn disable(&self, key: &KmsKey) {
        let request = self.client.disable_key().key_id(&key.id);
        self.runtime
            .block_on(request.send())
            .expect("disabling a key");
    }

    pub fn enable(&self, key: &KmsKey) {
        let request = self.client.enable_key().key_id(&key.id);
        self.runtime
            .block_on(request.send())
            .expect("enabling a key");
    }

    /// A data key in a context, as an attacker with the right to use the KMS key would make one.
    pub fn generate(&self, key: &KmsKey, context: &[(&str, &str)]) -> Vec<u8> {
        let request = self
            .client
            .generate_data_key()
            .key_id(&key.id)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(owned(context)));
        let made = self.runtime.block_on(request.send()).expect("a data key");
        made.ciphertext_blob.expect("a wrapped key").into_inner()
    }

    /// Whether something is under a key in a context.
    pub fn opens(&self, key: &KmsKey, context: &[(&str, &str)], blob: &[u8]) -> bool {
        let request = self
            .client
            .decrypt()
            .key_id(&key.id)
            .set_encryption_context(Some(owned(context)))
            .ciphertext_blob(Blob::new(blob));
        self.runtime.block_on(request.send()).is_ok()
    }

    /// What is under a key in a context.
    pub fn decrypt(&self, key: &KmsKey, context: &[(&str, &str)], blob: &[u8]) -> Vec<u8> {
        let request = self
            .client
            .decrypt()
            .key_id(&key.id)
            .set_encryption_context(Some(owned(context)))
            .ciphertext_blob(Blob::new(blob));
        let opened = self
            .runtime
            .block_on(request.send())
            .expect("its plaintext");
        opened.plaintext.expect("a plaintext").into_inner()
    }

    /// The key is not usable from now on, and gone after a week.
    pub fn schedule_deletion(&self, key: &KmsKey) {
        let request = self
            .client
            .schedule_key_deletion()
            .key_id(&key.id)
            .pending_window_in_days(7);
        self.runtime
            .block_on(request.send())
            .expect("scheduling a key's deletion");
    }
}

fn owned(context: &[(&str, &str)]) -> HashMap<String, String> {
    let pairs = context.iter();
    pairs
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

impl fmt::Debug for Kms {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Kms").finish_non_exhaustive()
    }
}
