//! Checks of a bucket in memory.

mod left;
mod mounts;
mod names;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::state::Others;
use super::tree::Counts;
use super::*;
use crate::admin::fixture::{Ground, PREFIX, write};
use crate::store::{ObjectAttributes, ObjectKey, Store};
use crate::volume::lease::{self, Claimant, Gate, Life, Origin, Place, Presence, Term};
use crate::volume::{Volume, record};

const MOUNT: &str = "0123456789abcdef";
const ID: &str = "0123456789abcdef0123456789abcdef";

impl Ground {
    async fn plain(&self) -> Arc<Volume> {
        let options = self.options(false);
        let opened = Volume::open_as_it_is(self.store(), PREFIX, options, None).await;
        opened.unwrap_or_else(|error| panic!("{error}"))
    }

    fn place(&self) -> Place {
        Place {
            store: self.store(),
            prefix: PREFIX.to_owned(),
            server: String::new(),
            source: "mem:/p".to_owned(),
            locks: self.state.path().join("leases"),
        }
    }

    fn write_back(&self) -> PathBuf {
        self.state.path().join("write-back")
    }

    async fn others(&self) -> Others {
        let tenants = lease::tenants(&self.place(), &claimant()).await.unwrap();
        Others {
            tenants,
            alone: false,
        }
    }

    async fn state(&self, volume: &Volume, others: &Others) -> Vec<Finding> {
        let (store, write_back) = (self.store(), self.write_back());
        let found = state::survey(&store, PREFIX, volume, others, &write_back);
        found.await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn tree(&self, volume: &Volume) -> (Vec<Finding>, Counts) {
        let mut findings = Vec::new();
        let mut tell = |finding: Option<&Finding>, _: &Counts| findings.extend(finding.cloned());
        let counts = tree::survey(self.store(), PREFIX, volume, &mut tell).await;
        (findings, counts.unwrap())
    }

    async fn repair(&self, volume: &Arc<Volume>, others: &Others) {
        let gate = Gate::default();
        let failed = repair::repair(&self.store(), PREFIX, volume, others, &gate).await;
        assert_eq!(failed.unwrap_or_else(|error| panic!("{error}")), [""; 0]);
    }

    /// A registration or lease of a machine that nothing is known of.
    async fn register(&self, name: &str) {
        let record = format!(
            r#"{{"format":1,"mount":"{ID}","host":"far","boot":"b","pid":7,"since":1,"term_secs":180,"counter":1,"lock":1}}"#
        );
        self.put(&own(name), record).await;
    }
}

fn own(name: &str) -> String {
    format!("{PREFIX}.cloakfs/{name}")
}

fn claimant() -> Claimant {
    Claimant {
        origin: Origin::here("here".to_owned()),
        term: Term::new(None, Duration::from_mins(1)).unwrap(),
        waits: false,
    }
}

/// Name and class of each, by the object below the prefix.
fn told(findings: &[Finding]) -> Vec<(&str, &str, Class)> {
    let findings = findings.iter();
    findings
        .map(|found| {
            let object = found.object.strip_prefix(PREFIX).unwrap_or(&found.object);
            (object, found.finding.name(), found.class)
        })
        .collect()
}
