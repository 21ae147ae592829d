//! The modes of encryption by the server, on the servers that can show them: how each is asked for,
//! and what another client must then see on every object.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::customer_key::CustomerKey;
use crate::localstack::LocalStack;
use crate::minio::{KMS_KEY, Minio};
use crate::mount::Source;
use crate::other_client::OtherClient;
use crate::proofs::{self, LOCALSTACK_IS_LAX, MINIO_IS_STRICT, MODE};
use crate::s3_server::{Bucket, S3Server};

/// One mode on one server.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub server: fn() -> S3Server,
    /// Shows that the server refuses what is wrong in this mode.
    pub probe: fn(&OtherClient),
    /// Makes the keys that it needs; files go into the directory.
    pub mode: fn(&OtherClient, &Path) -> Mode,
}

/// A mode with its keys.
#[derive(Clone, Debug, Default)]
pub struct Mode {
    /// Of `cloakfs mount`.
    pub options: Vec<String>,
    /// They are of a mode that asks a KMS where there is one.
    pub with_kms: bool,
    pub expected: Expected,
}

/// What an object of the mode shows.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    pub encryption: Option<&'static str>,
    /// The key's whole name as the server tells it; `None` where it tells none.
    pub kms_key: Option<String>,
    /// Where the server tells it.
    pub kms_context: Option<serde_json::Value>,
    pub bucket_key: bool,
    pub customer_key: Option<CustomerKey>,
}

impl Mode {
    pub fn source(&self, bucket: &Bucket) -> Source {
        let mut source = if self.with_kms {
            bucket.source_with_kms()
        } else {
            bucket.source()
        };
        source.options.extend(self.options.iter().cloned());
        source
    }
}

impl Expected {
    /// Looks at the object with the other client.
    #[track_caller]
    pub fn assert_on(&self, client: &OtherClient, object: &str) {
        let headers = self.customer_key.map(|key| key.headers());
        let seen = client
            .with(headers.unwrap_or_default())
            .head(object)
            .unwrap_or_else(|refused| panic!("HEAD of {object:?}: {refused:?}"));
        assert_eq!(seen.encryption.as_deref(), self.encryption, "{object:?}");
        assert_eq!(seen.kms_key, self.kms_key, "the key of {object:?}");
        let context = seen.kms_context.map(|context| {
            let json = STANDARD.decode(context).expect("a context in base64");
            serde_json::from_slice::<serde_json::Value>(&json).expect("a context in JSON")
        });
        assert_eq!(context, self.kms_context, "the context of {object:?}");
        assert_eq!(seen.bucket_key, self.bucket_key, "{object:?}");
        let md5 = self.customer_key.map(|key| key.md5());
        assert_eq!(seen.key_md5, md5, "the customer's key of {object:?}");
        if self.customer_key.is_some() {
            let refused = client.with([]).head(object);
            let refused = refused.expect_err("a HEAD without the key");
            assert_eq!(refused.status, 400, "{object:?}");
        }
    }
}

/// Nothing is asked for.
pub fn none() -> Mode {
    Mode {
        options: ["--encryption", "none"].map(String::from).into(),
        ..Mode::default()
    }
}

pub fn sse_s3() -> Mode {
    Mode {
        options: ["--encryption", "sse-s3"].map(String::from).into(),
        with_kms: false,
        expected: Expected {
            encryption: Some("AES256"),
            ..Expected::default()
        },
    }
}

/// `key` is what is asked for, `expected` what is told.
pub fn sse_kms(key: Option<&str>, expected: &str, more: &[&str]) -> Mode {
    let key = key.map(|key| ["--kms-key", key]);
    Mode {
        options: ["--encryption", "sse-kms"]
            .iter()
            .chain(key.iter().flatten())
            .chain(more)
            .map(ToString::to_string)
            .collect(),
        with_kms: true,
        expected: Expected {
            encryption: Some("aws:kms"),
            kms_key: Some(expected.to_owned()),
            ..Expected::default()
        },
    }
}

/// The key's file is made in `directory`.
pub fn sse_c(key: CustomerKey, directory: &Path) -> Mode {
    let file = key.file(directory).display().to_string();
    Mode {
        options: ["--encryption", "sse-c", "--key-file", &file]
            .map(String::from)
            .into(),
        with_kms: false,
        expected: Expected {
            customer_key: Some(key),
            ..Expected::default()
        },
    }
}

/// As MinIO tells its key.
pub fn minio_arn() -> String {
    format!("arn:aws:kms:{KMS_KEY}")
}

pub const MINIO_NONE: Row = Row {
    server: Minio::shared,
    probe: proofs::minio_tells_what_is_not_encrypted,
    mode: |_, _| none(),
};

pub const MINIO_SSE_S3: Row = Row {
    server: Minio::shared,
    probe: proofs::minio_tells_what_is_not_encrypted,
    mode: |_, _| sse_s3(),
};

pub const MINIO_SSE_KMS: Row = Row {
    server: Minio::shared,
    probe: proofs::minio_checks_kms_keys,
    mode: |_, _| sse_kms(Some(KMS_KEY), &minio_arn(), &[]),
};

pub const MINIO_SSE_KMS_IN_A_CONTEXT: Row = Row {
    server: Minio::shared,
    probe: proofs::minio_checks_kms_keys,
    mode: |_, _| {
        let context = [
            "--kms-context",
            "tenant=the east",
            "--kms-context",
            "purpose=one=\"two\", three",
        ];
        let mut mode = sse_kms(Some(&minio_arn()), &minio_arn(), &context);
        mode.expected.kms_context = Some(serde_json::json!({
            "tenant": "the east",
            "purpose": "one=\"two\", three",
        }));
        mode
    },
};

pub const MINIO_SSE_C: Row = Row {
    server: Minio::shared,
    probe: |client| proofs::customer_keys_are_checked(client, MINIO_IS_STRICT),
    mode: |_, directory| sse_c(CustomerKey::new(1), directory),
};

pub const LOCALSTACK_SSE_KMS: Row = Row {
    server: LocalStack::shared,
    probe: proofs::localstack_checks_kms_keys,
    mode: |_, _| {
        let key = LocalStack::kms().create();
        sse_kms(Some(&key.id), &key.arn, &[])
    },
};

/// With a context, which the server takes without a word about it.
pub const LOCALSTACK_SSE_KMS_BY_ARN: Row = Row {
    server: LocalStack::shared,
    probe: proofs::localstack_checks_kms_keys,
    mode: |_, _| {
        let key = LocalStack::kms().create();
        sse_kms(Some(&key.arn), &key.arn, &["--kms-context", "tenant=a"])
    },
};

/// An alias that the server was given would be told in the key's place.
pub const LOCALSTACK_SSE_KMS_BY_ALIAS: Row = Row {
    server: LocalStack::shared,
    probe: proofs::localstack_takes_an_alias_for_an_id,
    mode: |_, _| {
        let kms = LocalStack::kms();
        let key = kms.create();
        let alias = format!("alias/e2e-{}", key.id);
        kms.alias(&alias, &key);
        sse_kms(Some(&alias), &key.arn, &[])
    },
};

pub const LOCALSTACK_SSE_KMS_WITH_A_BUCKET_KEY: Row = Row {
    server: LocalStack::shared,
    probe: proofs::localstack_tells_bucket_keys_and_dsse,
    mode: |_, _| {
        let key = LocalStack::kms().create();
        let mut mode = sse_kms(Some(&key.arn), &key.arn, &["--bucket-key"]);
        mode.expected.bucket_key = true;
        mode
    },
};

/// The key that S3 takes where none is named.
pub const LOCALSTACK_SSE_KMS_BY_DEFAULT: Row = Row {
    server: LocalStack::shared,
    probe: proofs::localstack_checks_kms_keys,
    mode: |client, _| {
        let asked = client.with([(MODE, "aws:kms".to_owned())]);
        let told = asked.put("probe", "x").expect("SSE-KMS").kms_key;
        client.delete("probe");
        sse_kms(None, &told.expect("a default key"), &[])
    },
};

pub const LOCALSTACK_DSSE: Row = Row {
    server: LocalStack::shared,
    probe: proofs::localstack_tells_bucket_keys_and_dsse,
    mode: |_, _| {
        let key = LocalStack::kms().create();
        let mut mode = sse_kms(Some(&key.arn), &key.arn, &["--dsse"]);
        mode.expected.encryption = Some("aws:kms:dsse");
        // It does not say.
        mode.expected.kms_key = None;
        mode
    },
};

pub const LOCALSTACK_SSE_C: Row = Row {
    server: LocalStack::shared,
    probe: |client| proofs::customer_keys_are_checked(client, LOCALSTACK_IS_LAX),
    mode: |_, directory| sse_c(CustomerKey::new(2), directory),
};
