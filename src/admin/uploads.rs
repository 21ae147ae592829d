//! Multipart uploads under way below a prefix.

use crate::store::{ErrorKind, PendingUpload, Result, Store};

/// The uploads whose keys begin with `prefix`, as far as the server tells.
///
/// MinIO finds none by the prefix of a directory, but all by none at all: where the first finds
/// nothing, the second is asked, too. Those of all the bucket are in memory then.
///
/// # Errors
/// When the server does not list them.
pub async fn pending(store: &dyn Store, prefix: &str) -> Result<Vec<PendingUpload>> {
    let found = store.list_multipart(prefix).await?;
    if !found.is_empty() || prefix.is_empty() {
        return Ok(found);
    }
    let mut all = match store.list_multipart("").await {
        Ok(all) => all,
        // It may be allowed for the prefix alone. Any other answer leaves open whether there are
        // some.
        Err(error) if error.kind() == ErrorKind::Denied => Vec::new(),
        Err(error) => return Err(error),
    };
    all.retain(|upload| upload.key.starts_with(prefix));
    Ok(all)
}
