//! Instruction files: a JSON map of strings, which is all that they hold.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::S3ecError;
use super::metadata::Map;

/// What follows the object's key.
pub const INSTRUCTION_SUFFIX: &str = ".instruction";
/// Longer ones are not read.
pub const INSTRUCTION_BYTES_MAX: u64 = 64 << 10;

/// # Errors
/// When it is no JSON map of strings, or names something twice.
pub(super) fn parse(file: &[u8]) -> Result<Map, S3ecError> {
    parse_map(file).ok_or(S3ecError::Broken(
        "the instruction file is no JSON map of strings",
    ))
}

pub(super) fn parse_map(json: &[u8]) -> Option<Map> {
    let Pairs(map) = serde_json::from_slice(json).ok()?;
    Some(map)
}

/// A map in which every name is there once: serde_json would take the last of several.
struct Pairs(Map);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfStrings;

        impl<'de> Visitor<'de> for OfStrings {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Pairs, A::Error> {
                let mut map = BTreeMap::new();
                while let Some((name, value)) = access.next_entry::<String, String>()? {
                    if map.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name is there twice"));
                    }
                }
                Ok(Pairs(map))
            }
        }

        deserializer.deserialize_map(OfStrings)
    }
}
