//! The store: the way to it, what may be done there, and the volume in it.

use std::sync::Arc;

use super::keys::{self, Keys};
use super::{DoctorConfig, Found};
use crate::admin::doctor::{Finding, bounded, permissions, settings, way};
use crate::aws::{Aws, AwsError};
use crate::base::jitter::Jitter;
use crate::base::limits::RESERVED_PREFIX;
use crate::cli::client_side::{ClientSide, Kms, Material, Place, open_record};
use crate::cli::config::{DirSettings, S3Settings};
use crate::cli::encryption::{KmsKey, ServerSide, SseKms};
use crate::cli::{open, output, server_side};
use crate::layout::sealed::VolumeId;
use crate::store::Store;
use crate::store::dir::DirStore;
use crate::store::retry::{Retry, RetryPolicy};
use crate::store::s3::{RequestedEncryption, S3Config, S3Store};
use crate::volume::record::{self, VolumeRecord, place};

const BEHIND_CREDENTIALS: &str = "not known until this is right: credentials";

pub(super) async fn directory(
    config: &DoctorConfig,
    settings: &DirSettings,
    keys: Keys,
    found: &mut Found,
) {
    let check = "directory";
    let path = settings.path.clone();
    let opening = tokio::task::spawn_blocking(move || {
        place::refuse_inside_directory(&path).map_err(|error| error.to_string())?;
        DirStore::open(&path).map_err(|error| error.to_string())
    });
    let opened = match tokio::time::timeout(config.timeout, opening).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err(format!(
            "{} did not answer within {} s: look at the disk that it is on",
            settings.path.display(),
            config.timeout.as_secs()
        )),
    };
    let store: Arc<dyn Store> = match opened {
        Ok(store) => Arc::new(store),
        Err(words) => return found.add([Finding::fail(check, words)]),
    };
    found.add([Finding::ok(check, "it can be used as a store")]);
    let record = volume(config, &store, "", found).await;
    let volume_id = record.as_ref().map(|record| record.header().id);
    let aws = match (&keys.material, &config.client_side) {
        (Some(Material::Kms { .. }), _) => credentials(config, found).await,
        _ => None,
    };
    if let (Some(Material::Kms { key, context }), Some(aws)) = (&keys.material, &aws) {
        let looking = Box::pin(keys::of_client(key, context, aws, volume_id, config));
        found.add(keys::in_time(config.timeout, looking).await);
    }
    Box::pin(open_volume(
        config,
        &store,
        "",
        record,
        keys.material,
        aws,
        found,
    ))
    .await;
    objects(config, &store, "", None, found).await;
}

pub(super) async fn bucket(
    config: &DoctorConfig,
    asked: &S3Settings,
    keys: Keys,
    found: &mut Found,
) {
    let Some(aws) = credentials(config, found).await else {
        let skipped = ["endpoint", "bucket", "permissions", "KMS key"];
        return found.add(skipped.map(|check| Finding::skipped(check, BEHIND_CREDENTIALS)));
    };
    let Some(customer) = &keys.customer else {
        return found.add([Finding::skipped(
            "bucket",
            "not known until this is right: key file",
        )]);
    };
    let mode = &asked.encryption.mode;
    let mut s3 = S3Config {
        path_style: asked.path_style,
        encryption: server_side::request(mode, customer),
        read_keys: customer.older.clone(),
        ..S3Config::new(asked.location.bucket.clone())
    };
    let store = match S3Store::new(&aws, s3.clone()) {
        Ok(store) => store,
        Err(error) => return found.add([Finding::fail("endpoint", error.to_string())]),
    };
    let prefix = asked.location.prefix.as_str();
    let is_open = contact(config, &store, prefix, found).await;
    let looking = Box::pin(keys::of_server(
        mode,
        &aws,
        &mut s3.encryption,
        config.timeout,
    ));
    found.add(keys::in_time(config.timeout, looking).await);
    if !is_open {
        if let Some(Material::Kms { key, context }) = &keys.material {
            let looking = Box::pin(keys::of_client(key, context, &aws, None, config));
            found.add(keys::in_time(config.timeout, looking).await);
        }
        let words = "not known until the bucket answers";
        return found.add([Finding::skipped("permissions", words)]);
    }
    let named = s3.encryption.kms_key();
    if let ServerSide::SseKms(SseKms {
        key: Some(KmsKey::Alias(alias)),
        ..
    }) = mode
        && named == Some(alias)
    {
        // S3 would look for it elsewhere, or take it for a key's id.
        let words = "not known until this is right: KMS key";
        return found.add([Finding::skipped("permissions", words)]);
    }
    let asks = s3.encryption != RequestedEncryption::None;
    let described = asks.then(|| s3.encryption.to_string());
    let store = match S3Store::new(&aws, s3) {
        Ok(store) => Arc::new(store),
        Err(error) => return found.add([Finding::fail("endpoint", error.to_string())]),
    };
    found.add(encryption(config, mode, &store, prefix).await);
    let policy = RetryPolicy::with_timeout(config.timeout);
    let patient: Arc<dyn Store> = Arc::new(Retry::new(store, policy, Jitter::from_os()));
    let record = volume(config, &patient, prefix, found).await;
    if let Some(Material::Kms { key, context }) = &keys.material {
        let volume_id = record.as_ref().map(|record| record.header().id);
        let looking = Box::pin(keys::of_client(key, context, &aws, volume_id, config));
        found.add(keys::in_time(config.timeout, looking).await);
    }
    let material = keys.material;
    let aws = Some(aws);
    Box::pin(open_volume(
        config, &patient, prefix, record, material, aws, found,
    ))
    .await;
    objects(config, &patient, prefix, described.as_deref(), found).await;
}

async fn credentials(config: &DoctorConfig, found: &mut Found) -> Option<Aws> {
    let check = "credentials";
    match open::find_aws(config.store.connection(), config.timeout).await {
        Ok(aws) => {
            let region = &aws.s3().region;
            found.add([Finding::ok(
                check,
                format!("there are some; the region is {region}"),
            )]);
            Some(aws)
        }
        Err(error) => {
            let check = match error.downcast_ref::<AwsError>() {
                Some(AwsError::CaBundle(_)) => "TLS",
                Some(AwsError::BadEndpoint(_)) => "endpoint",
                _ => check,
            };
            found.add([Finding::fail(check, output::sentence(&error))]);
            None
        }
    }
}

/// Whether objects can be asked about.
async fn contact(config: &DoctorConfig, store: &S3Store, prefix: &str, found: &mut Found) -> bool {
    let endpoint = store.endpoint();
    let server = endpoint.describe("S3");
    let Ok(contact) = tokio::time::timeout(config.timeout, store.contact(prefix)).await else {
        found.add([Finding::fail(
            "endpoint",
            format!(
                "{server} did not answer within {} s; check --endpoint-url and the network",
                config.timeout.as_secs()
            ),
        )]);
        return false;
    };
    let explained = contact
        .listed
        .as_ref()
        .err()
        .map(|error| store.explain(error));
    found.add(way::judge(
        &contact,
        way::Asked {
            bucket: store.bucket(),
            prefix,
            server: &server,
            region: &endpoint.region,
            is_tls: endpoint.is_tls(),
            is_loopback: endpoint.is_loopback(),
            explained: explained.as_deref(),
        },
    ));
    way::is_open(&contact)
}

/// What the bucket says of encryption, and what the objects that are there are under.
async fn encryption(
    config: &DoctorConfig,
    mode: &ServerSide,
    store: &Arc<S3Store>,
    prefix: &str,
) -> Vec<Finding> {
    let is_amazon = store.endpoint().is_amazon();
    let mut found = vec![];
    let told = async {
        match mode {
            ServerSide::SseC { .. } => {
                vec![settings::customer_keys(store.as_ref(), is_amazon).await]
            }
            ServerSide::BucketDefault if !matches!(config.client_side, ClientSide::Yes(_)) => {
                vec![settings::default(store.as_ref()).await]
            }
            _ => vec![],
        }
    };
    found.extend(bounded("default encryption", config.timeout, told).await);
    if matches!(config.client_side, ClientSide::Yes(_)) {
        return found;
    }
    let check = "objects";
    let looked = async {
        match store.check_keys(prefix).await {
            Ok(notes) if notes.is_empty() => {
                vec![Finding::ok(
                    check,
                    "those that were looked at can be opened",
                )]
            }
            Ok(notes) => notes
                .into_iter()
                .map(|note| Finding::warn(check, note))
                .collect(),
            Err(words) => vec![Finding::fail(check, words)],
        }
    };
    found.extend(bounded(check, config.timeout, looked).await);
    found
}

/// The record of the volume that is there, where the mode fits.
async fn volume(
    config: &DoctorConfig,
    store: &Arc<dyn Store>,
    prefix: &str,
    found: &mut Found,
) -> Option<VolumeRecord> {
    let check = "volume";
    let looking = tokio::time::timeout(config.timeout, async {
        place::refuse_inside(store.as_ref(), prefix).await?;
        // As a mount without such a mode does: by a listing, and only then by reading.
        let wanted = matches!(config.client_side, ClientSide::Yes(_));
        if !wanted && !place::is_volume(store.as_ref(), prefix).await? {
            place::refuse_sealed(store.as_ref(), prefix).await?;
            return Ok(None);
        }
        record::find(store, prefix).await
    });
    let record = match looking.await {
        Ok(Ok(record)) => record,
        Ok(Err(error)) => {
            found.add([Finding::fail(check, error.to_string())]);
            return None;
        }
        Err(_elapsed) => {
            found.add(bounded(check, std::time::Duration::ZERO, std::future::pending()).await);
            return None;
        }
    };
    let source = config.store.describe();
    match (&config.client_side, record) {
        (ClientSide::Yes(options), Some(record)) => {
            let mode = options.root.mode();
            if record.has_mode(mode) {
                return Some(record);
            }
            found.add([Finding::fail(
                check,
                format!(
                    "{source} is a client-side volume of the mode {}: give --encryption {0}",
                    record.mode()
                ),
            )]);
        }
        (ClientSide::Yes(options), None) => {
            let mode = options.root.mode();
            found.add([Finding::fail(
                check,
                format!(
                    "{source} is no client-side volume yet: make it with `cloakfs init {source} --encryption {mode}` and its key, or mount it with --create"
                ),
            )]);
        }
        (ClientSide::No(_) | ClientSide::Unstated(_), Some(record)) => {
            let is_unstated = matches!(config.client_side, ClientSide::Unstated(_));
            let words = format!(
                "{source} is a client-side volume: give --encryption {} and its key",
                record.mode()
            );
            found.add([if is_unstated && record.has_passphrase() {
                Finding::warn(
                    check,
                    format!("{words}, or its passphrase when it is mounted"),
                )
            } else {
                Finding::fail(check, words)
            }]);
        }
        (ClientSide::No(_) | ClientSide::Unstated(_), None) => {}
    }
    None
}

/// Whether the key that was given opens the volume; nothing is mended.
async fn open_volume(
    config: &DoctorConfig,
    store: &Arc<dyn Store>,
    prefix: &str,
    record: Option<VolumeRecord>,
    material: Option<Material>,
    aws: Option<Aws>,
    found: &mut Found,
) {
    let check = "volume";
    let Some(record) = record else { return };
    let id: VolumeId = record.header().id;
    let Some(material) = material else {
        let words = "it is there; whether the key opens it is not known without one (--key-file, --passphrase-fd)";
        return found.add([Finding::skipped(check, words)]);
    };
    let at = Place {
        store,
        prefix,
        described: config.store.describe(),
        read_only: true,
    };
    let kms = Kms {
        store: &config.store,
        aws,
        timeout: config.timeout,
    };
    let opening = async {
        let mut notes = vec![];
        match open_record(&at, record, material, &kms, &mut notes).await {
            Ok(volume) => {
                notes.extend(volume.notes.iter().cloned());
                let opened = Finding::ok(check, format!("the key opens the volume {id}"));
                let notes = notes.into_iter().map(|note| Finding::warn(check, note));
                std::iter::once(opened).chain(notes).collect()
            }
            Err(error) => vec![Finding::fail(check, output::sentence(&error))],
        }
    };
    found.add(bounded(check, config.timeout, Box::pin(opening)).await);
}

async fn objects(
    config: &DoctorConfig,
    store: &Arc<dyn Store>,
    prefix: &str,
    encryption: Option<&str>,
    found: &mut Found,
) {
    let looking = async {
        if config.read_only {
            permissions::reading(store.as_ref(), prefix).await
        } else {
            permissions::writing(store.as_ref(), prefix, encryption).await
        }
    };
    match tokio::time::timeout(config.timeout, Box::pin(looking)).await {
        Ok(findings) => found.add(findings),
        Err(_elapsed) => found.add([Finding::fail(
            "permissions",
            format!(
                "not found out within {} s, and objects of the check may be left below {prefix}{RESERVED_PREFIX}probe/: give it longer with --timeout",
                config.timeout.as_secs()
            ),
        )]),
    }
}
