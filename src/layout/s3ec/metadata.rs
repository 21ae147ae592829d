//! The names of an object's metadata, and what they say together.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::envelope::WRAPPED_KEY_BYTES_MAX;
use super::{Content, Envelope, FormatVersion, S3ecError, Wrapping, instruction};

/// Names and values, without the `x-amz-meta-` prefix.
pub type Map = BTreeMap<String, String>;

pub const KEY_V1: &str = "x-amz-key";
pub const KEY_V2: &str = "x-amz-key-v2";
const IV: &str = "x-amz-iv";
const WRAPPING_V2: &str = "x-amz-wrap-alg";
const CONTENT_V2: &str = "x-amz-cek-alg";
const TAG_BITS: &str = "x-amz-tag-len";
const CONTEXT_V2: &str = "x-amz-matdesc";
pub const IS_INSTRUCTION_FILE: &str = "x-amz-crypto-instr-file";

const CONTENT_V3: &str = "x-amz-c";
pub const KEY_V3: &str = "x-amz-3";
const WRAPPING_V3: &str = "x-amz-w";
pub const COMMITMENT: &str = "x-amz-d";
pub const MESSAGE_ID: &str = "x-amz-i";
const CONTEXT_V3: &str = "x-amz-t";
const MATERIAL_V3: &str = "x-amz-m";

const OF_V1_V2: [&str; 7] = [
    KEY_V1,
    KEY_V2,
    IV,
    WRAPPING_V2,
    CONTENT_V2,
    TAG_BITS,
    CONTEXT_V2,
];
const ON_OBJECT_V3: [&str; 3] = [CONTENT_V3, COMMITMENT, MESSAGE_ID];
const OF_KEY_V3: [&str; 4] = [KEY_V3, WRAPPING_V3, CONTEXT_V3, MATERIAL_V3];

/// The suite of v3, as metadata and associated data name it.
const SUITE_V3: &str = "115";
/// Longer wrapped keys of v1 are RSA's: AES-ECB's have 48 bytes.
const AES_ECB_BYTES: usize = 48;

/// What an object's own metadata say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Described {
    /// Nothing. Of v1 and v2 it may be all in an instruction file.
    Nothing,
    /// All of it.
    Whole(Envelope),
    /// v3, whose wrapped key is in an instruction file.
    ContentOnly(Content),
}

impl Described {
    /// # Errors
    /// When the metadata are of more than one version, or not as that version has them.
    pub fn decode(metadata: &Map) -> Result<Self, S3ecError> {
        if metadata.contains_key(IS_INSTRUCTION_FILE) {
            return Err(S3ecError::IsInstructionFile);
        }
        let has = |name: &str| metadata.contains_key(name);
        let old = OF_V1_V2.iter().any(|name| has(name));
        let content = ON_OBJECT_V3.iter().any(|name| has(name));
        let key = OF_KEY_V3.iter().any(|name| has(name));
        match (old, content, key) {
            (false, false, false) => Ok(Self::Nothing),
            (true, false, false) => decode_v1_v2(metadata).map(Self::Whole),
            (false, _, true) => decode_v3(metadata).map(Self::Whole),
            (false, true, false) => content_v3(metadata).map(Self::ContentOnly),
            (true, ..) => Err(S3ecError::Mixed("an older one and v3")),
        }
    }

    /// With what the instruction file of the object holds, its bytes.
    ///
    /// # Errors
    /// When they do not make one whole.
    ///
    /// # Panics
    /// When the object's own metadata say all of it.
    pub fn with_instruction_file(&self, file: &[u8]) -> Result<Envelope, S3ecError> {
        let map = instruction::parse(file)?;
        let has = |name: &str| map.contains_key(name);
        let old = OF_V1_V2.iter().any(|name| has(name));
        let on_object = ON_OBJECT_V3.iter().any(|name| has(name));
        let key = OF_KEY_V3.iter().any(|name| has(name));
        let envelope = match (self, old, key) {
            _ if on_object || (old && key) => {
                let what = "an instruction file has what v3 stores on the object, or two versions";
                return Err(S3ecError::Mixed(what));
            }
            (Self::Whole(_), ..) => unreachable!("it says all of it itself"),
            (Self::Nothing, true, false) => decode_v1_v2(&map)?,
            (Self::ContentOnly(content), false, true) => with_key_v3(*content, &map)?,
            (Self::ContentOnly(_), true, false) => {
                return Err(S3ecError::Mixed(
                    "v3, and an older one in the instruction file",
                ));
            }
            (Self::Nothing, false, true) => {
                return Err(S3ecError::Broken(
                    "the instruction file is of v3, and the object has none of v3's metadata",
                ));
            }
            _ => {
                return Err(S3ecError::Broken(
                    "the instruction file holds no wrapped key",
                ));
            }
        };
        Ok(Envelope {
            has_instruction_file: true,
            ..envelope
        })
    }
}

impl Envelope {
    /// The metadata of a v3 object.
    ///
    /// # Panics
    /// When it is of another version, or its wrapping is not one that v3 writes.
    #[must_use]
    pub fn encode(&self) -> Map {
        let Content::Committing {
            message_id,
            commitment,
        } = &self.content
        else {
            panic!("only v3 is written");
        };
        let wrapping = match self.wrapping {
            Wrapping::AesGcm => "02",
            Wrapping::RsaOaepSha1 => "22",
            Wrapping::KmsContext => "12",
            Wrapping::Kms | Wrapping::AesKeyWrap | Wrapping::AesEcb => {
                panic!("v3 has no legacy wrapping")
            }
        };
        let mut map = Map::from(
            [
                (CONTENT_V3, SUITE_V3.to_owned()),
                (WRAPPING_V3, wrapping.to_owned()),
                (KEY_V3, BASE64.encode(&self.wrapped_key)),
                (MESSAGE_ID, BASE64.encode(message_id)),
                (COMMITMENT, BASE64.encode(commitment)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        if self.wrapping == Wrapping::KmsContext {
            let context = serde_json::to_string(&self.context).expect("a map of strings is JSON");
            map.insert(CONTEXT_V3.to_owned(), context);
        }
        map
    }
}

fn decode_v1_v2(map: &Map) -> Result<Envelope, S3ecError> {
    let text = |name: &str| map.get(name).map(String::as_str);
    let (version, wrapped) = match (text(KEY_V1), text(KEY_V2)) {
        (Some(_), Some(_)) => return Err(S3ecError::Mixed("v1 and v2")),
        (Some(key), None) => (FormatVersion::V1, wrapped_key(key)?),
        (None, Some(key)) => (FormatVersion::V2, wrapped_key(key)?),
        (None, None) => return Err(S3ecError::Broken("the wrapped key is missing")),
    };
    let iv = text(IV).ok_or(S3ecError::Broken("x-amz-iv is missing"))?;
    let no_iv = S3ecError::Broken("x-amz-iv is not an initialisation vector");
    let content = match (version, text(CONTENT_V2)) {
        (FormatVersion::V2, Some("AES/GCM/NoPadding")) => {
            if text(TAG_BITS) != Some("128") {
                return Err(S3ecError::Broken("x-amz-tag-len is not 128"));
            }
            let iv = bytes(iv).ok_or(no_iv)?;
            Content::Gcm { iv }
        }
        (FormatVersion::V1, None) | (_, Some("AES/CBC/PKCS5Padding")) => {
            let iv = bytes(iv).ok_or(no_iv)?;
            Content::Cbc { iv }
        }
        (_, None) => return Err(S3ecError::Broken("x-amz-cek-alg is missing")),
        _ => return Err(S3ecError::Unknown("the algorithm of its content")),
    };
    let is_cbc = matches!(content, Content::Cbc { .. });
    let wrapping = match (version, text(WRAPPING_V2)) {
        (_, Some("AESWrap")) => Wrapping::AesKeyWrap,
        (_, Some("kms")) => Wrapping::Kms,
        (FormatVersion::V2, Some("AES/GCM")) if !is_cbc => Wrapping::AesGcm,
        (FormatVersion::V2, Some("RSA-OAEP-SHA1")) if !is_cbc => Wrapping::RsaOaepSha1,
        (FormatVersion::V2, Some("kms+context")) if !is_cbc => Wrapping::KmsContext,
        (FormatVersion::V1, None) if wrapped.len() == AES_ECB_BYTES => Wrapping::AesEcb,
        (FormatVersion::V2, None) => return Err(S3ecError::Broken("x-amz-wrap-alg is missing")),
        _ => return Err(S3ecError::Unknown("how its data key is wrapped")),
    };
    Ok(Envelope {
        version,
        content,
        wrapping,
        context: context(wrapping, text(CONTEXT_V2))?,
        wrapped_key: wrapped,
        has_instruction_file: false,
    })
}

fn decode_v3(map: &Map) -> Result<Envelope, S3ecError> {
    with_key_v3(content_v3(map)?, map)
}

/// What v3 stores on the object always.
fn content_v3(map: &Map) -> Result<Content, S3ecError> {
    let text = |name: &str| map.get(name).map(String::as_str);
    let suite = text(CONTENT_V3).ok_or(S3ecError::Broken("x-amz-c is missing"))?;
    if suite != SUITE_V3 {
        return Err(S3ecError::Unknown("the algorithm of its content"));
    }
    let message_id = text(MESSAGE_ID).ok_or(S3ecError::Broken("x-amz-i is missing"))?;
    let commitment = text(COMMITMENT).ok_or(S3ecError::Broken("x-amz-d is missing"))?;
    Ok(Content::Committing {
        message_id: bytes(message_id).ok_or(S3ecError::Broken("x-amz-i is not a message id"))?,
        commitment: bytes(commitment).ok_or(S3ecError::Broken("x-amz-d is not a commitment"))?,
    })
}

fn with_key_v3(content: Content, map: &Map) -> Result<Envelope, S3ecError> {
    let text = |name: &str| map.get(name).map(String::as_str);
    let key = text(KEY_V3).ok_or(S3ecError::Broken("the wrapped key is missing"))?;
    let wrapping = match text(WRAPPING_V3) {
        Some("02") => Wrapping::AesGcm,
        Some("22") => Wrapping::RsaOaepSha1,
        Some("12") => Wrapping::KmsContext,
        Some(_) => return Err(S3ecError::Unknown("how its data key is wrapped")),
        None => return Err(S3ecError::Broken("x-amz-w is missing")),
    };
    Ok(Envelope {
        version: FormatVersion::V3,
        content,
        wrapping,
        context: context(wrapping, text(CONTEXT_V3))?,
        wrapped_key: wrapped_key(key)?,
        has_instruction_file: false,
    })
}

/// The stored encryption context, where there is one.
fn context(wrapping: Wrapping, json: Option<&str>) -> Result<Map, S3ecError> {
    if !matches!(wrapping, Wrapping::Kms | Wrapping::KmsContext) {
        return Ok(Map::new());
    }
    json.map_or_else(
        || Ok(Map::new()),
        |json| {
            instruction::parse_map(json.as_bytes())
                .ok_or(S3ecError::Broken("its encryption context is no JSON map"))
        },
    )
}

fn wrapped_key(text: &str) -> Result<Vec<u8>, S3ecError> {
    BASE64
        .decode(text)
        .ok()
        .filter(|key| (1..=WRAPPED_KEY_BYTES_MAX).contains(&key.len()))
        .ok_or(S3ecError::Broken("the wrapped key is none"))
}

/// Standard base64, padded, of exactly so many bytes.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text).ok()?.try_into().ok()
}
