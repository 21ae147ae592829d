//! `cloakfs doctor`: every check in its turn, each with its line.
//!
//! What the store and the bucket can be asked is in `admin::doctor`; here is what needs the
//! options: keys, KMS, the volume, and the system that mounts.

mod bucket;
mod keys;
mod system;

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::arguments::DoctorArguments;
use super::arguments::MountArguments;
use super::client_side::ClientSide;
use super::config::{ConfigError, StoreConfig, absolute};
use super::source::Source;
use super::{environment, output};
use crate::admin::doctor::{Finding, Status};
use crate::keys::file;
use crate::mount::daemon;

/// A mount that is to be looked at.
#[derive(Debug)]
pub(super) struct DoctorConfig {
    store: StoreConfig,
    client_side: ClientSide,
    allow_other: bool,
    read_only: bool,
    timeout: Duration,
    json: bool,
}

impl DoctorConfig {
    pub(super) fn from_arguments(arguments: &DoctorArguments) -> Result<Self, ConfigError> {
        let source = Source::parse(&arguments.source)?;
        let mount = as_mounted(arguments);
        Ok(Self {
            store: StoreConfig::for_mount(source, &mount)?,
            client_side: ClientSide::for_mount(&mount, absolute)?,
            allow_other: arguments.allow_other,
            read_only: arguments.read_only,
            timeout: arguments.timeout,
            json: arguments.json,
        })
    }
}

/// The same as options of a mount, so that they mean the same.
fn as_mounted(arguments: &DoctorArguments) -> MountArguments {
    let mut mount =
        MountArguments::of_source(&arguments.source).expect("a source alone can be mounted");
    mount.encryption = arguments.encryption;
    mount.keys = arguments.keys.clone();
    mount.bucket_key = arguments.bucket_key;
    mount.dsse = arguments.dsse;
    mount.read_key_file.clone_from(&arguments.read_key_file);
    mount.connection = arguments.connection.clone();
    mount.read_only = arguments.read_only;
    mount
}

pub(super) fn doctor(config: &DoctorConfig) -> anyhow::Result<()> {
    environment::make_paths_absolute();
    daemon::harden().context("the process cannot be protected from core dumps")?;
    let servers = match &config.store {
        StoreConfig::S3(settings) => Some(settings.encryption.key_files()),
        StoreConfig::Dir(_) => None,
    };
    let key_files = servers
        .into_iter()
        .flatten()
        .chain(config.client_side.key_files());
    for path in key_files {
        file::refuse_key_for_path(path)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let mut found = Found::new(config.json);
    runtime.block_on(look(config, &mut found));
    runtime.shutdown_timeout(Duration::from_secs(2));
    found.conclude(&config.store.describe())
}

async fn look(config: &DoctorConfig, found: &mut Found) {
    found.add(system::look(config.allow_other));
    let keys = keys::read(config, found).await;
    match &config.store {
        StoreConfig::Dir(settings) => {
            Box::pin(bucket::directory(config, settings, keys, found)).await;
        }
        StoreConfig::S3(settings) => {
            Box::pin(bucket::bucket(config, settings, keys, found)).await;
        }
    }
}

/// What was found so far. For a person each line appears when it is known.
struct Found {
    json: bool,
    findings: Vec<Finding>,
}

impl Found {
    const fn new(json: bool) -> Self {
        Self {
            json,
            findings: vec![],
        }
    }

    fn add(&mut self, more: impl IntoIterator<Item = Finding>) {
        for finding in more {
            if !self.json {
                output::say(&line(&finding));
            }
            self.findings.push(finding);
        }
    }

    fn count(&self, status: Status) -> usize {
        let all = self.findings.iter();
        all.filter(|finding| finding.status == status).count()
    }

    fn conclude(&self, source: &str) -> anyhow::Result<()> {
        let failed = self.count(Status::Fail);
        if self.json {
            let report = json!({
                "source": source,
                "healthy": failed == 0,
                "findings": self.findings,
            });
            output::say(&serde_json::to_string_pretty(&report)?);
        }
        if failed > 0 {
            let checks = if failed == 1 { "check" } else { "checks" };
            bail!(
                "{failed} {checks} failed: {source} cannot be mounted so, or not all of it works"
            );
        }
        Ok(())
    }
}

fn line(finding: &Finding) -> String {
    let status = match finding.status {
        Status::Ok => "ok",
        Status::Warn => "warn",
        Status::Fail => "FAIL",
        Status::Skipped => "-",
    };
    format!("{status:<5} {:<29} {}", finding.check, finding.message)
}
