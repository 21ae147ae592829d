//! Where a volume is in the way of another, or of a mount that would not know what it sees.

use futures_util::future::try_join_all;

use super::{RecordError, describe, key};
use crate::base::limits::RESERVED_PREFIX;
use crate::layout::sealed::volume::OBJECTS;
use crate::store::{ErrorKind, HeadOptions, ListOptions, Store};

/// The prefix of the innermost volume that `prefix` lies in, itself excluded.
///
/// # Errors
/// When the store does not answer. What these credentials may not look at is taken for no
/// volume: they may be confined to the prefix.
pub async fn above(store: &dyn Store, prefix: &str) -> Result<Option<String>, RecordError> {
    let ancestors = ancestors(prefix).map(|ancestor| async move {
        Ok::<_, RecordError>(is_volume(store, ancestor).await?.then_some(ancestor))
    });
    let found = try_join_all(ancestors).await?;
    Ok(found.into_iter().flatten().next_back().map(str::to_owned))
}

/// Refuses a prefix that lies in a volume.
///
/// # Errors
/// [`RecordError::Inside`], or as [`above`].
pub async fn refuse_inside(store: &dyn Store, prefix: &str) -> Result<(), RecordError> {
    match above(store, prefix).await? {
        None => Ok(()),
        Some(root) => Err(RecordError::Inside {
            volume: describe(store, prefix),
            above: describe(store, &root),
        }),
    }
}

/// Whether there is a copy of a volume record, in a request that no encryption of the server
/// stands in the way of.
///
/// # Errors
/// As [`above`].
pub async fn is_volume(store: &dyn Store, prefix: &str) -> Result<bool, RecordError> {
    let heads = OBJECTS.map(|name| async move {
        let key = key(prefix, name)?;
        match store.head(&key, HeadOptions::default()).await {
            Ok(_there) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::NotFound => Ok(false),
                ErrorKind::Denied | ErrorKind::Invalid => {
                    tracing::debug!(
                        "whether there is a volume at {prefix:?} is not known: {error}"
                    );
                    Ok(false)
                }
                _ => Err(RecordError::from(error)),
            },
        }
    });
    Ok(try_join_all(heads).await?.contains(&true))
}

/// Refuses a prefix with anything in it but what mounts leave under the reserved prefix. So no
/// volume lies below a new one, and no plain object in it.
pub(super) async fn refuse_occupied(store: &dyn Store, prefix: &str) -> Result<(), RecordError> {
    let reserved = format!("{prefix}{RESERVED_PREFIX}");
    // In a whole bucket mounted plainly, the root's attributes.
    let root = format!("{reserved}root/");
    let mut options = ListOptions {
        prefix: prefix.to_owned(),
        ..ListOptions::default()
    };
    loop {
        let page = store.list(options.clone()).await?;
        let mut keys = page.objects.iter().map(|object| &object.key);
        if let Some(key) = keys.find(|key| !key.starts_with(&reserved) || **key == root) {
            return Err(occupied(store, prefix, key));
        }
        match page.next {
            None => return Ok(()),
            next => options.token = next,
        }
    }
}

fn occupied(store: &dyn Store, prefix: &str, key: &str) -> RecordError {
    let volume = describe(store, prefix);
    let below = OBJECTS.iter().find_map(|name| {
        let record = format!("/{RESERVED_PREFIX}{name}");
        key.strip_suffix(&record)
    });
    match below {
        Some(below) => RecordError::Around {
            volume,
            below: describe(store, below),
        },
        None => RecordError::NotEmpty {
            volume,
            object: key.to_owned(),
        },
    }
}

/// The prefixes that `prefix` lies below, the shortest first.
fn ancestors(prefix: &str) -> impl Iterator<Item = &str> {
    let own = prefix.trim_end_matches('/');
    let top = (!own.is_empty()).then_some("");
    top.into_iter()
        .chain(own.match_indices('/').map(|(at, _)| &prefix[..=at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_are_proper() {
        let of = |prefix| ancestors(prefix).collect::<Vec<_>>();
        assert_eq!(of(""), [""; 0]);
        assert_eq!(of("a/"), [""]);
        assert_eq!(of("a/b/c/"), ["", "a/", "a/b/"]);
    }
}
