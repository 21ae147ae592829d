//! What a server can do beyond what every S3 server can, found out by trying.
//!
//! At mount, one small object is written below `<prefix>.cloakfs/probe/`, read back, written to
//! under conditions that hold and that do not, and deleted. A server that ignores a condition says
//! nothing: only the effect shows it. Whatever happens the object is deleted again, as far as
//! the server lets us. Credentials that may not write, or a store that does not answer, are a
//! result too: what could not be found out is taken for lacking, and the reason is kept.

use bytes::Bytes;

use super::{
    CopyAttributes, CopySource, DeleteOptions, ETag, ErrorKind, GetOptions, ObjectKey, Operation,
    PutOptions, Result, Store, StoreError, WriteCondition, Written,
};
use crate::base::id::CommitId;
use crate::base::limits;

/// What the object of the probe holds.
const CONTENT: &[u8] = b"cloakfs probes what this server can do";

/// What was found. A capability that could not be tried is taken for lacking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Objects can be written. [`Access::Encryption`] is also that what was written cannot be
    /// read back under the encryption that was asked for: a key may be allowed for one alone.
    pub write: Access,
    /// What is written can be read.
    pub read: Access,
    /// Objects can be deleted.
    pub delete: Access,
    /// A put that asks for an absent object refuses to overwrite one.
    pub conditional_create: bool,
    /// A put that asks for a version refuses to overwrite another.
    pub conditional_replace: bool,
    /// A copy that asks for a version of its source refuses another.
    pub conditional_copy_source: bool,
    /// A copy that asks for an absent target refuses to overwrite one.
    pub conditional_copy: bool,
    /// A delete that asks for a version leaves another.
    pub conditional_delete: bool,
}

/// What became of a kind of request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    Allowed,
    /// The encryption that was asked for is refused, or its key; why. Whatever is tried
    /// next would fail too, so a mount is refused with them.
    Encryption(String),
    /// The credentials do not allow it; the server's words.
    Denied(String),
    /// It failed otherwise; the server's words.
    Failed(String),
    NotTried,
}

impl Access {
    fn of(error: &StoreError) -> Self {
        match error.kind() {
            _ if error.concerns_encryption() => Self::Encryption(error.message().to_owned()),
            ErrorKind::Denied => Self::Denied(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }

    #[must_use]
    pub fn is_allowed(&self) -> bool {
        *self == Self::Allowed
    }
}

impl Capabilities {
    /// Nothing was tried.
    #[must_use]
    pub const fn unknown() -> Self {
        Self {
            write: Access::NotTried,
            read: Access::NotTried,
            delete: Access::NotTried,
            conditional_create: false,
            conditional_replace: false,
            conditional_copy_source: false,
            conditional_copy: false,
            conditional_delete: false,
        }
    }

    /// One sentence for each thing that the server lacks: what, and what it costs.
    #[must_use]
    pub fn lacking(&self) -> Vec<String> {
        match &self.write {
            Access::NotTried => return vec![],
            Access::Encryption(why) => {
                return vec![format!(
                    "objects cannot be written with the encryption asked for: {why}"
                )];
            }
            Access::Denied(why) => {
                return vec![format!("the credentials do not allow to write: {why}")];
            }
            Access::Failed(why) => {
                return vec![format!(
                    "what the server can do could not be found out, because a first write failed: {why}"
                )];
            }
            Access::Allowed => {}
        }
        let mut lacking = vec![];
        if let Access::Encryption(why) | Access::Denied(why) | Access::Failed(why) = &self.read {
            lacking.push(format!("what is written cannot be read again: {why}"));
        }
        if let Access::Encryption(why) | Access::Denied(why) | Access::Failed(why) = &self.delete {
            lacking.push(format!(
                "objects cannot be deleted, so rm, rmdir and mv fail: {why}"
            ));
        }
        let missing = self.conditions().into_iter().filter(|(works, _)| !works);
        lacking.extend(missing.map(|(_, sentence)| sentence.to_owned()));
        lacking
    }

    /// Each condition that a mount uses: whether the server honours it, and the sentence for where
    /// it does not. Creation, replacement, a copy's source, a copy's target, deletion.
    #[must_use]
    pub fn conditions(&self) -> [(bool, &'static str); 5] {
        [
            (
                self.conditional_create,
                "the server does not honour If-None-Match on PutObject: two machines that create the same file at once overwrite each other, and lock files do not exclude",
            ),
            (
                self.conditional_replace,
                "the server does not honour If-Match on PutObject: a change by another machine during a write is overwritten without notice",
            ),
            (
                self.conditional_copy_source,
                "the server does not honour x-amz-copy-source-if-match: a rename or chmod may take a version that another machine has just written for the one it saw",
            ),
            (
                self.conditional_copy,
                "the server does not honour If-None-Match on CopyObject: a rename that may replace nothing (mv, mv -n) copies what cloakfs wrote in two requests more, and of other tools' objects replaces one that another machine stores at the new name just then",
            ),
            (
                self.conditional_delete || !self.delete.is_allowed(),
                "the server has no conditional delete: a rename or rm looks at the object just before it deletes it, and a change by another machine between the two is lost",
            ),
        ]
    }
}

/// Tries what `store` can do below `prefix`, which is empty or ends in `/`.
pub async fn probe(store: &dyn Store, prefix: &str) -> Capabilities {
    let name = format!(
        "{prefix}{}probe/{}",
        limits::RESERVED_PREFIX,
        CommitId::random()
    );
    let (Ok(key), Ok(copy)) = (ObjectKey::new(name.clone()), ObjectKey::new(name + "-copy")) else {
        return Capabilities {
            write: Access::Failed("the volume's prefix is too long for an object's key".into()),
            ..Capabilities::unknown()
        };
    };
    let mut found = Capabilities::unknown();
    let copied = try_writes(store, &key, &copy, &mut found).await;
    if copied {
        clear_away(store, &copy).await;
    }
    if found.write.is_allowed() {
        found.delete = try_deletes(store, &key, &mut found.conditional_delete).await;
    } else {
        // The first write may have been carried out although it failed.
        clear_away(store, &key).await;
    }
    found
}

/// Whether there may be a copy to clear away.
async fn try_writes(
    store: &dyn Store,
    key: &ObjectKey,
    copy: &ObjectKey,
    found: &mut Capabilities,
) -> bool {
    let first = match put(store, key, WriteCondition::IfAbsent).await {
        Ok(first) => first,
        // Some servers refuse conditions that they do not implement.
        Err(error) if error.kind() == ErrorKind::Invalid => {
            match put(store, key, WriteCondition::None).await {
                Ok(first) => first,
                Err(error) => {
                    found.write = Access::of(&error);
                    return false;
                }
            }
        }
        Err(error) => {
            found.write = Access::of(&error);
            return false;
        }
    };
    found.write = Access::Allowed;
    found.read = match read_back(store, key).await {
        Ok(()) => Access::Allowed,
        Err(error) if error.concerns_encryption() => {
            found.write =
                Access::Encryption(format!("what was written cannot be read back: {error}"));
            return false;
        }
        Err(error) => Access::of(&error),
    };
    found.conditional_create = refuses(&put(store, key, WriteCondition::IfAbsent).await);
    let other = WriteCondition::IfMatch(other_than(&first.etag));
    // A condition that holds must be let through too: always saying no is not support.
    found.conditional_replace = refuses(&put(store, key, other).await)
        && put(store, key, WriteCondition::IfMatch(first.etag.clone()))
            .await
            .is_ok();
    let source = CopySource {
        key: key.clone(),
        if_match: Some(other_than(&first.etag)),
        version: None,
        range: None,
    };
    let (keep, always) = (CopyAttributes::Keep, WriteCondition::None);
    let copied = store.copy(copy, source, keep, always).await;
    found.conditional_copy_source = refuses(&copied);
    let source = CopySource {
        key: key.clone(),
        if_match: None,
        version: None,
        range: None,
    };
    // Onto itself, which is allowed with other attributes: so the target is there.
    let changed = CopyAttributes::Replace(PutOptions::default().attributes);
    let onto = store.copy(key, source, changed, WriteCondition::IfAbsent);
    found.conditional_copy = refuses(&onto.await);
    !found.conditional_copy_source
}

async fn try_deletes(store: &dyn Store, key: &ObjectKey, conditional: &mut bool) -> Access {
    let options = DeleteOptions {
        if_match: Some(other_than(&ETag::new(""))),
        version: None,
    };
    *conditional = refuses(&store.delete(key, options).await);
    match store.delete(key, DeleteOptions::default()).await {
        Ok(()) => Access::Allowed,
        Err(error) => Access::of(&error),
    }
}

async fn put(store: &dyn Store, key: &ObjectKey, condition: WriteCondition) -> Result<Written> {
    let options = PutOptions {
        condition,
        ..PutOptions::default()
    };
    store.put(key, Bytes::from_static(CONTENT), options).await
}

async fn read_back(store: &dyn Store, key: &ObjectKey) -> Result<()> {
    let object = store.get(key, GetOptions::default()).await?;
    if object.body == CONTENT {
        return Ok(());
    }
    Err(StoreError::new(
        ErrorKind::Corrupt,
        Operation::GetObject,
        key.as_str(),
        "what was read is not what was written just before",
    ))
}

fn refuses<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(error) if error.kind() == ErrorKind::Precondition)
}

/// An ETag of the usual form that no object has.
fn other_than(etag: &ETag) -> ETag {
    let zeros = ETag::new("\"00000000000000000000000000000000\"");
    if zeros == *etag {
        ETag::new("\"11111111111111111111111111111111\"")
    } else {
        zeros
    }
}

async fn clear_away(store: &dyn Store, key: &ObjectKey) {
    if let Err(error) = store.delete(key, DeleteOptions::default()).await {
        tracing::debug!(object = %key, "the probe may have left an object behind: {error}");
    }
}

#[cfg(test)]
mod tests;
