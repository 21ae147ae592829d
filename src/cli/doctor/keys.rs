//! The keys that a mount is given, and KMS.

use std::time::Duration;

use super::{DoctorConfig, Found};
use crate::admin::doctor::{Finding, bounded};
use crate::aws::Aws;
use crate::base::context::EncryptionContext;
use crate::cli::client_side::{ClientSide, Material, RootSource};
use crate::cli::config::StoreConfig;
use crate::cli::encryption::{KmsKey, ServerSide, SseKms};
use crate::cli::output;
use crate::cli::server_side::{self, CustomerKeys};
use crate::keys::kms::Kms;
use crate::keys::passphrase::Input;
use crate::layout::sealed::VolumeId;
use crate::store::s3::RequestedEncryption;

/// What the files held.
pub(super) struct Keys {
    /// Of SSE-C; `None` where they could not be read.
    pub customer: Option<CustomerKeys>,
    /// What a client-side volume is opened with. `None` where nothing is known that would.
    pub material: Option<Material>,
}

pub(super) async fn read(config: &DoctorConfig, found: &mut Found) -> Keys {
    let check = "key file";
    let mut keys = Keys {
        customer: None,
        material: None,
    };
    if let StoreConfig::S3(settings) = &config.store {
        let has_files = settings.encryption.key_files().next().is_some();
        match CustomerKeys::read(&settings.encryption, config.timeout).await {
            Ok(customer) => {
                if has_files {
                    found.add([Finding::ok(check, told(&customer))]);
                }
                keys.customer = Some(customer);
            }
            Err(error) => found.add([Finding::fail(check, output::sentence(&error))]),
        }
    }
    if let ClientSide::Yes(options) = &config.client_side {
        match (&options.root, options.root.key_file()) {
            // Nobody is asked for it: a check must not wait for a person.
            (RootSource::Passphrase(Input::Terminal(_)), _) => {}
            (root, path) => match Material::read(root, config.timeout).await {
                Ok(material) => {
                    if path.is_some() {
                        found.add([Finding::ok(check, "it holds a key of 32 bytes")]);
                    }
                    keys.material = Some(material);
                }
                Err(error) => found.add([Finding::fail(check, output::sentence(&error))]),
            },
        }
    }
    keys
}

/// The check values, which are no secret.
fn told(customer: &CustomerKeys) -> String {
    let all = customer.all();
    let values: Vec<&str> = all.iter().map(crate::store::s3::CustomerKey::md5).collect();
    format!("the MD5 of each key: {}", values.join(", "))
}

/// The KMS key of `sse-kms`; puts its ARN in the place of its name. `bucket_region` is the
/// configured one where the bucket's is not known.
pub(super) async fn of_server(
    mode: &ServerSide,
    aws: &Aws,
    requested: &mut RequestedEncryption,
    timeout: Duration,
) -> Vec<Finding> {
    let check = "KMS key";
    let ServerSide::SseKms(SseKms { key, .. }) = mode else {
        return vec![];
    };
    if key.is_none() {
        return vec![Finding::ok(check, "S3's own, aws/s3: nothing to look at")];
    }
    let kms = match server_side::kms_to_ask(mode, aws) {
        Ok(Some(kms)) => kms,
        Ok(None) => {
            return vec![Finding::skipped(
                check,
                "no KMS is known beside the server, and the key is used as it is given: an upload shows whether it works",
            )];
        }
        Err(error) => return vec![Finding::fail(check, output::sentence(&error))],
    };
    let mut notes = vec![];
    let region = &aws.s3().region;
    let resolving = server_side::resolve_key(requested, &kms, region, timeout, &mut notes);
    if let Err(error) = resolving.await {
        return vec![Finding::fail(check, error.to_string())];
    }
    let mut found = vec![];
    if notes.is_empty() {
        let arn = requested.kms_key().unwrap_or_default();
        found.push(Finding::ok(
            check,
            format!("{arn} is enabled, and S3 can use it"),
        ));
    }
    found.extend(notes.into_iter().map(|note| Finding::warn(check, note)));
    found
}

/// The KMS key of `cse-kms`, and whether it makes and unwraps data keys. `volume` is the one that
/// is there.
pub(super) async fn of_client(
    key: &KmsKey,
    context: &EncryptionContext,
    aws: &Aws,
    volume: Option<VolumeId>,
    config: &DoctorConfig,
) -> Vec<Finding> {
    let timeout = config.timeout;
    let checks = ["KMS key", "kms:GenerateDataKey", "kms:Decrypt"];
    let behind = |failed: usize| {
        let skipped = checks[failed + 1..].iter();
        skipped.map(move |check| {
            let until = checks[failed];
            Finding::skipped(check, format!("not known until this is right: {until}"))
        })
    };
    let fail = |at: usize, words: String| {
        let mut found = vec![Finding::fail(checks[at], words)];
        found.extend(behind(at));
        found
    };
    let kms = match Kms::new(aws) {
        Ok(Some(kms)) => kms,
        Ok(None) => {
            let server = aws.s3().describe("S3");
            return fail(
                0,
                format!(
                    "no KMS is known beside {server}, which is not Amazon's: give --kms-endpoint-url"
                ),
            );
        }
        Err(error) => return fail(0, error.to_string()),
    };
    let (root, notes) = match kms.root(key.as_str(), context.clone(), timeout).await {
        Ok(found) => found,
        Err(error) => return fail(0, error.to_string()),
    };
    let mut found = vec![];
    if notes.is_empty() {
        let arn = root.key();
        found.push(Finding::ok(checks[0], format!("{arn} is enabled")));
    }
    found.extend(notes.into_iter().map(|note| Finding::warn(checks[0], note)));
    if config.read_only {
        let words = "no data key is made with --read-only";
        found.push(Finding::skipped(checks[1], words));
        found.push(Finding::skipped(checks[2], "opening the volume shows it"));
        return found;
    }
    // Where there is no volume yet, that of one that will never be.
    let volume = *volume.unwrap_or_else(VolumeId::random).as_bytes();
    let wrapped = match root.generate(&volume).await {
        Ok((_never_used, wrapped)) => wrapped,
        Err(error) => {
            found.extend(fail(1, error.to_string()));
            return found;
        }
    };
    found.push(Finding::ok(checks[1], "the key makes data keys"));
    found.push(match root.unwrap(&volume, &wrapped).await {
        Ok(_never_used) => Finding::ok(checks[2], "and unwraps them"),
        Err(error) => Finding::fail(checks[2], error.to_string()),
    });
    found
}

/// All of it within the time that one check has; each request has the same.
pub(super) async fn in_time(
    timeout: Duration,
    looking: impl Future<Output = Vec<Finding>>,
) -> Vec<Finding> {
    bounded("KMS key", timeout, looking).await
}
