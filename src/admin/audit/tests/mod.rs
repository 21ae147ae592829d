//! Audits of a bucket in memory.

mod deep;
mod modes;

use std::time::Duration;

use super::*;
use crate::admin::fixture::{Ground, PREFIX, write};
use crate::admin::inspect::RootKind;
use crate::store::fault::{Effect, Rule};
use crate::store::s3::encryption::ExpectedEncryption;
use crate::store::{
    ErrorKind, Metadata, ObjectAttributes, ObjectKey, Operation, ServerEncryption, Store, VersionId,
};

const CSE_C: Required = Required::Client {
    root: RootKind::Master,
};

/// Findings as `object: name`, and the summary.
async fn audit(ground: &Ground, required: Required, key: Option<u8>, deep: bool) -> Audited {
    let reader = match key {
        Some(key) => Some(Arc::new(ground.reader(key).await)),
        None => None,
    };
    let audit = Audit {
        store: ground.store(),
        prefix: PREFIX.to_owned(),
        required,
        reader,
        deep,
    };
    let mut findings = Vec::new();
    let mut tell = |event: Event<'_>| {
        if let Event::Finding(finding) = event {
            findings.push(finding.clone());
        }
    };
    let summary = audit.run(&mut tell).await.unwrap();
    Audited { findings, summary }
}

struct Audited {
    findings: Vec<Finding>,
    summary: Summary,
}

impl Audited {
    fn names(&self) -> Vec<(&str, &str)> {
        let findings = self.findings.iter();
        findings
            .map(|found| (&found.object[PREFIX.len()..], found.finding.name()))
            .collect()
    }
}

fn kms(key: &str) -> ServerEncryption {
    ServerEncryption::SseKms {
        key_id: Some(key.to_owned()),
        bucket_key: false,
        dsse: false,
    }
}

fn of_kms(key: &str) -> Required {
    Required::Server(ExpectedEncryption::SseKms {
        key: Some(key.to_owned()),
        dsse: false,
    })
}

fn customer(md5: &str) -> ServerEncryption {
    ServerEncryption::SseC {
        key_md5: md5.to_owned(),
    }
}

fn of_customer(md5: &str) -> Required {
    Required::Server(ExpectedEncryption::SseC {
        key_md5: md5.to_owned(),
    })
}
