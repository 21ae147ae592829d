//! The bucket whose settings are read and put, and the words for what goes wrong there.

use std::sync::Arc;

use anyhow::anyhow;

use super::Way;
use super::config::Subject;
use crate::admin::policy::iam::{self, Permission};
use crate::base::jitter::Jitter;
use crate::cli::open;
use crate::store::retry::{Retry, RetryPolicy};
use crate::store::s3::{CustomerKey, RequestedEncryption, S3Config, S3Store};
use crate::store::{ErrorKind, Store, StoreError};

/// The bucket, with what is to be asked of its server.
pub(super) async fn bucket(
    subject: &Subject,
    way: &mut Way,
    encryption: RequestedEncryption,
    read_keys: Vec<CustomerKey>,
) -> anyhow::Result<S3Store> {
    let config = S3Config {
        path_style: subject.path_style,
        encryption,
        read_keys,
        ..S3Config::new(subject.location.bucket.clone())
    };
    Ok(S3Store::new(way.aws(subject).await?, config)?)
}

/// The same for objects, asked again where the server is only busy.
pub(super) fn patient(store: S3Store, subject: &Subject) -> Arc<dyn Store> {
    let policy = RetryPolicy::with_timeout(subject.timeout);
    Arc::new(Retry::new(Arc::new(store), policy, Jitter::from_os()))
}

/// The answer to a request about the settings.
pub(super) async fn ask<T>(
    subject: &Subject,
    store: &S3Store,
    asking: impl Future<Output = Result<T, StoreError>>,
) -> anyhow::Result<T> {
    open::within(subject.timeout, store, asking)
        .await?
        .map_err(|error| anyhow!(explain(store, &error)))
}

fn explain(store: &S3Store, error: &StoreError) -> String {
    let action = match iam::permission(error.operation()) {
        Permission::Object(action) | Permission::Bucket(action) => action,
        Permission::List => "s3:ListBucket",
    };
    if error.kind() == ErrorKind::Denied && error.code() == Some("AccessDenied") {
        return format!(
            "{} denied {} of the bucket {:?} (AccessDenied): the credentials need {action} on it",
            store.endpoint().describe("S3"),
            error.operation(),
            store.bucket()
        );
    }
    store.explain(error)
}
