//! Objects of the Amazon S3 Encryption Client, told by the names in their metadata. What the
//! values say is not looked at: the client that decrypts does.
//!
//! The names are those of the client's own documentation: version 1 has `x-amz-iv` and
//! `x-amz-key`, version 2 `x-amz-iv` and `x-amz-key-v2`, version 3 `x-amz-3`, `x-amz-d` and
//! `x-amz-i`. What wraps the key may be in a file of its own beside the object
//! (`NAME.instruction`): of versions 1 and 2 the object then says nothing at all.

use std::collections::BTreeMap;

use crate::layout::s3ec::{
    COMMITMENT, INSTRUCTION_BYTES_MAX, INSTRUCTION_SUFFIX, IS_INSTRUCTION_FILE, KEY_V1, KEY_V2,
    KEY_V3, MESSAGE_ID,
};
use crate::store::{
    ErrorKind, GetOptions, HeadOptions, Metadata, ObjectKey, Result, Store, StoreError,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct S3ec {
    pub version: S3ecVersion,
    /// What wraps its key is in a file of its own.
    pub instruction_file: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3ecVersion {
    /// AES-CBC, which authenticates nothing.
    V1,
    V2,
    V3,
    /// An instruction file itself.
    Instruction,
}

impl S3ecVersion {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "s3ec-v1",
            Self::V2 => "s3ec-v2",
            Self::V3 => "s3ec-v3",
            Self::Instruction => "s3ec-instruction",
        }
    }
}

/// # Errors
/// What follows the object's name in a sentence, where the metadata is of more than one version.
pub(super) fn of(metadata: &Metadata) -> std::result::Result<Option<S3ec>, String> {
    let is = |name: &str| metadata.contains_key(name);
    if is(IS_INSTRUCTION_FILE) {
        return Ok(Some(S3ec {
            version: S3ecVersion::Instruction,
            instruction_file: true,
        }));
    }
    let Some(version) = version(&is)? else {
        return Ok(None);
    };
    // The commitment stays with the object where the wrapped key does not.
    let instruction_file = version == S3ecVersion::V3 && !is(KEY_V3);
    Ok(Some(S3ec {
        version,
        instruction_file,
    }))
}

fn version(is: &dyn Fn(&str) -> bool) -> std::result::Result<Option<S3ecVersion>, String> {
    let (v1, v2) = (is(KEY_V1), is(KEY_V2));
    let v3 = is(KEY_V3) || is(COMMITMENT) && is(MESSAGE_ID);
    match (v1, v2, v3) {
        (false, false, false) => Ok(None),
        (true, false, false) => Ok(Some(S3ecVersion::V1)),
        (false, true, false) => Ok(Some(S3ecVersion::V2)),
        (false, false, true) => Ok(Some(S3ecVersion::V3)),
        _ => Err("has wrapped keys of more than one version of the Amazon S3 Encryption Client, which that client refuses".to_owned()),
    }
}

/// What the instruction file beside an object says; `None` where there is none.
pub(super) async fn instruction_of(store: &dyn Store, key: &ObjectKey) -> Result<Option<S3ec>> {
    let Ok(file) = ObjectKey::new(format!("{key}{INSTRUCTION_SUFFIX}")) else {
        return Ok(None);
    };
    let absent = |error: &StoreError| error.kind() == ErrorKind::NotFound;
    let info = match store.head(&file, HeadOptions::default()).await {
        Ok(info) => info,
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let marked = info.attributes.metadata.contains_key(IS_INSTRUCTION_FILE);
    if !marked || info.size > INSTRUCTION_BYTES_MAX {
        return Ok(None);
    }
    let options = GetOptions {
        if_match: Some(info.etag),
        ..GetOptions::default()
    };
    let body = match store.get(&file, options).await {
        Ok(object) => object.body,
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(said) = serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(&body) else {
        return Ok(None);
    };
    let version = version(&|name| said.contains_key(name));
    Ok(version.ok().flatten().map(|version| S3ec {
        version,
        instruction_file: true,
    }))
}
