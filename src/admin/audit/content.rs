//! Reading everything of an object. In a client-side volume every byte is authenticated; elsewhere
//! the server has to decrypt it, and of what arrives in one piece its checksum is compared, where
//! it keeps one.

use super::{Audit, Finding};
use crate::admin::inspect::Looked;
use crate::base::range::ByteRange;
use crate::store::{ErrorKind, GetOptions, GetRange, ObjectKey, Store, StoreError};
use crate::volume::VolumeError;
use crate::volume::single::SingleError;

/// An object up to this long is read in one request, of which the server's checksum is of all.
const WHOLE_BYTES_MAX: u64 = 16 << 20;
/// Of longer ones so much at a time.
const PIECE_BYTES: u64 = 8 << 20;
/// How often an object is read that is changed meanwhile.
const TRIES: u32 = 3;

/// Reads it to its end; how many bytes. What goes meanwhile is no finding.
pub(super) async fn read(
    audit: &Audit,
    key: &str,
    looked: &Looked,
    is_sealed: bool,
) -> Result<u64, Option<Finding>> {
    let Ok(object) = ObjectKey::new(key) else {
        return Err(None);
    };
    if let Some(reader) = audit.reader.as_ref().filter(|_| is_sealed) {
        let mut tries = 1;
        return loop {
            match reader.authenticate(&object).await {
                Ok(bytes) => break Ok(bytes),
                Err(SingleError::Volume(error)) if is_gone(&error) => break Err(None),
                Err(SingleError::Volume(error))
                    if error.kind() == ErrorKind::Precondition && tries < TRIES =>
                {
                    tries += 1;
                }
                Err(SingleError::Volume(error)) => {
                    break Err(Some(Finding::of_content(key, looked, &error)));
                }
                Err(SingleError::NoContent(..) | SingleError::Sink(_)) => {
                    unreachable!("nothing is asked of its type, and nothing is written")
                }
            }
        };
    }
    let mut tries = 1;
    loop {
        match whole(audit.store.as_ref(), &object).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(None),
            Err(error) if error.kind() == ErrorKind::Precondition && tries < TRIES => tries += 1,
            Err(error) => return Err(Some(Finding::of_read(key, looked, &error))),
        }
    }
}

fn is_gone(error: &VolumeError) -> bool {
    error.kind() == ErrorKind::NotFound
}

/// Reads one version of an object, and keeps none of it.
async fn whole(store: &dyn Store, key: &ObjectKey) -> Result<u64, StoreError> {
    let info = store
        .head(key, crate::store::HeadOptions::default())
        .await?;
    if info.size == 0 {
        return Ok(0);
    }
    let mut start = 0;
    while start < info.size {
        let is_whole = info.size <= WHOLE_BYTES_MAX;
        let end = if is_whole {
            info.size
        } else {
            info.size.min(start + PIECE_BYTES)
        };
        let options = GetOptions {
            range: (!is_whole).then_some(GetRange::Bytes(ByteRange::new(start, end))),
            if_match: Some(info.etag.clone()),
            version: None,
        };
        let got = store.get(key, options).await?;
        if got.body.len() as u64 != end - start {
            let words = format!(
                "asked for {} bytes, the store answered {}",
                end - start,
                got.body.len()
            );
            let operation = crate::store::Operation::GetObject;
            return Err(StoreError::new(
                ErrorKind::Corrupt,
                operation,
                key.as_str(),
                words,
            ));
        }
        start = end;
    }
    Ok(info.size)
}
