//! What is in a key file: 32 raw bytes, or lines of 64 hex digits or 44 characters of base64.
//!
//! Exactly 32 bytes are a raw key, whatever they are. Everything else is text: blank lines,
//! lines that begin with `#`, and white space around a key do not count. Pure; what was copied
//! on the way is wiped.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::base::secret::Secret;

const KEY_BYTES: usize = 32;
const HEX_DIGITS: usize = 2 * KEY_BYTES;
/// With its one `=`.
const BASE64_CHARS: usize = 44;

/// What is wrong with the content; the rest of a sentence that begins with the file. Lengths
/// and line numbers, never content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    #[error(
        "holds no key: write 32 raw bytes into it, or one line of 64 hex digits or 44 characters of base64"
    )]
    Empty,
    #[error(
        "holds {0} bytes that are no text, and a raw key is exactly 32 bytes: check that it is the right file"
    )]
    Binary(usize),
    #[error(
        "has a line {line} that is no key: it is {chars} characters long, and a key is 64 hex digits or 44 characters of base64"
    )]
    Length { line: usize, chars: usize },
    #[error(
        "has a line {line} that is no key: it has the 64 characters of a key in hex, but not all of them are hex digits"
    )]
    Hex { line: usize },
    #[error(
        "has a line {line} that is no key: it has the 44 characters of a key in base64, but they are not the base64 of 32 bytes"
    )]
    Base64 { line: usize },
}

/// All keys of a file, at least one.
pub(super) fn keys(content: &[u8]) -> Result<Vec<Secret<KEY_BYTES>>, KeyTextError> {
    if let Ok(raw) = <&[u8; KEY_BYTES]>::try_from(content) {
        return Ok(vec![take(&mut Zeroizing::new(*raw))]);
    }
    let Ok(text) = str::from_utf8(content) else {
        return Err(KeyTextError::Binary(content.len()));
    };
    let mut keys = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if !text.is_empty() && !text.starts_with('#') {
            keys.push(key(text, line)?);
        }
    }
    if keys.is_empty() {
        return Err(KeyTextError::Empty);
    }
    Ok(keys)
}

fn key(text: &str, line: usize) -> Result<Secret<KEY_BYTES>, KeyTextError> {
    match text.chars().count() {
        HEX_DIGITS => from_hex(text).ok_or(KeyTextError::Hex { line }),
        BASE64_CHARS => from_base64(text).ok_or(KeyTextError::Base64 { line }),
        chars => Err(KeyTextError::Length { line, chars }),
    }
}

fn from_hex(text: &str) -> Option<Secret<KEY_BYTES>> {
    let digits: &[u8; HEX_DIGITS] = text.as_bytes().try_into().ok()?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for (byte, pair) in key.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(take(&mut key))
}

fn hex_digit(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

fn from_base64(text: &str) -> Option<Secret<KEY_BYTES>> {
    // The decoder wants room for the 33 bytes that 44 characters without padding would be.
    let mut decoded = Zeroizing::new([0; KEY_BYTES + 1]);
    let len = BASE64.decode_slice(text, &mut decoded[..]).ok()?;
    if len != KEY_BYTES {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    key.copy_from_slice(&decoded[..KEY_BYTES]);
    Some(take(&mut key))
}

fn take(key: &mut Zeroizing<[u8; KEY_BYTES]>) -> Secret<KEY_BYTES> {
    Secret::take(&mut *key)
}

/// Whether the end of a path, after a separator or from its beginning, looks like a key in text.
///
/// A path arrives here absolute and without doubled separators, and base64 may have some of its
/// own: a little shorter will do.
pub(super) fn ends_in_key(path: &Path) -> bool {
    let path = path.as_os_str().as_bytes();
    let tails = (0..path.len()).filter(|&at| at == 0 || path[at - 1] == b'/' || path[at] == b'/');
    tails.map(|at| &path[at..]).any(looks_like_key)
}

fn looks_like_key(text: &[u8]) -> bool {
    let is_hex = text.len() == HEX_DIGITS && text.iter().all(u8::is_ascii_hexdigit);
    let is_base64 = |chars: &[u8]| {
        chars
            .iter()
            .all(|char| char.is_ascii_alphanumeric() || b"+/-_".contains(char))
    };
    let in_base64 = text.strip_suffix(b"=").is_some_and(|chars| {
        (BASE64_CHARS - 4..BASE64_CHARS).contains(&chars.len()) && is_base64(chars)
    });
    is_hex || in_base64
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(content: &[u8]) -> Result<Vec<[u8; 32]>, KeyTextError> {
        keys(content).map(|keys| keys.iter().map(|key| *key.expose()).collect())
    }

    pub(in crate::keys::file) fn hex(bytes: &[u8]) -> String {
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let hex = digits.map(|digit| char::from_digit(digit.into(), 16).expect("a digit"));
        hex.collect()
    }

    #[test]
    fn what_is_no_key_is_refused_in_words_without_content() {
        let hex = "00".repeat(32);
        for (content, sentence) in [
            (
                String::new(),
                "holds no key: write 32 raw bytes into it, or one line of 64 hex digits or 44 characters of base64",
            ),
            (
                "# only a comment\n\n".to_owned(),
                "holds no key: write 32 raw bytes into it, or one line of 64 hex digits or 44 characters of base64",
            ),
            (
                "# a comment\n\nsecret\n".to_owned(),
                "has a line 3 that is no key: it is 6 characters long, and a key is 64 hex digits or 44 characters of base64",
            ),
            (
                format!("{hex}\n{}g\n", &hex[..63]),
                "has a line 2 that is no key: it has the 64 characters of a key in hex, but not all of them are hex digits",
            ),
            (
                "é".repeat(64),
                "has a line 1 that is no key: it has the 64 characters of a key in hex, but not all of them are hex digits",
            ),
            (
                "A".repeat(44),
                "has a line 1 that is no key: it has the 44 characters of a key in base64, but they are not the base64 of 32 bytes",
            ),
            (
                // Bits beyond the last byte: two texts would be one key.
                format!("{}B=", "A".repeat(42)),
                "has a line 1 that is no key: it has the 44 characters of a key in base64, but they are not the base64 of 32 bytes",
            ),
        ] {
            let refused = parsed(content.as_bytes()).unwrap_err();
            assert_eq!(refused.to_string(), sentence, "{content:?}");
        }
        assert_eq!(
            parsed(&[0xff; 33]).unwrap_err().to_string(),
            "holds 33 bytes that are no text, and a raw key is exactly 32 bytes: check that it is the right file"
        );
    }

    #[test]
    fn a_key_of_zeros_is_a_key() {
        assert_eq!(parsed(&[0; 32]).unwrap(), [[0; 32]]);
        assert_eq!(
            parsed(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap(),
            [[0; 32]]
        );
    }

    #[test]
    fn a_key_in_place_of_a_path_is_known() {
        let slashes = format!("/ab/{}+/cd=", "x".repeat(36));
        assert_eq!(slashes.len(), 45);
        for path in [
            "aB".repeat(32),
            format!("/home/user/{}", "0f".repeat(32)),
            format!("{}=", "A".repeat(43)),
            format!("/home/user/{}=", "A".repeat(43)),
            slashes[1..].to_owned(),
            format!("/home{slashes}"),
        ] {
            assert!(ends_in_key(Path::new(&path)), "{path}");
        }
        for path in [
            "/home/user/key".to_owned(),
            format!("/home/user/{}", "0".repeat(63)),
            format!("/home/user/{}", "A".repeat(43)),
            String::new(),
        ] {
            assert!(!ends_in_key(Path::new(&path)), "{path}");
        }
    }

    fn written(key: &[u8; 32], form: u8) -> String {
        match form {
            0 => hex(key),
            1 => hex(key).to_uppercase(),
            _ => BASE64.encode(key),
        }
    }

    proptest! {
        #[test]
        fn every_form_comes_back(keys in prop::collection::vec((any::<[u8; 32]>(), 0_u8..3, "[ \t]{0,3}", "(\r?\n){1,3}(#[^\r\n]{0,9}\n)?"), 1..5)) {
            let mut text = "# keys\n".to_owned();
            for (key, form, space, end) in &keys {
                let key = written(key, *form);
                text.extend([space, &key, space, end].map(String::as_str));
            }
            let expected: Vec<_> = keys.iter().map(|(key, ..)| *key).collect();
            prop_assert_eq!(parsed(text.as_bytes()).unwrap(), expected);
        }

        #[test]
        fn a_raw_key_comes_back(key: [u8; 32]) {
            prop_assert_eq!(parsed(&key).unwrap(), [key]);
        }

        #[test]
        fn another_length_is_refused(key: [u8; 32], form in 0_u8..3, cut in 0_usize..64, more in "[0-9a-fA-F]{1,9}", longer: bool) {
            let mut text = written(&key, form);
            if longer { text += &more } else { text.truncate(cut.min(text.len() - 1)) }
            // Digits of hex that happen to be a key in another form.
            prop_assume!(text.len() != 32);
            let refused = parsed(text.as_bytes());
            prop_assert!(refused.is_err());
            prop_assert!(text.len() < 9 || !refused.unwrap_err().to_string().contains(&text));
        }

        #[test]
        fn a_raw_key_of_another_length_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assume!(bytes.len() != 32);
            // Whatever it is, it is told without a panic; random bytes are never a key in text.
            prop_assert!(parsed(&bytes).is_err());
        }

        #[test]
        fn any_changed_character_is_another_key_or_refused(key: [u8; 32], form in 0_u8..3, at in 0_usize..64, to in "[ -~]") {
            let text = written(&key, form);
            let at = at % text.len();
            let mut changed = text.clone();
            changed.replace_range(at..=at, &to);
            prop_assume!(!changed.eq_ignore_ascii_case(&text));
            if let Ok(keys) = parsed(changed.as_bytes()) {
                prop_assert_ne!(keys, [key]);
            }
        }
    }
}
