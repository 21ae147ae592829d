//! The key of SSE-C, which goes with every request on an object.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

use crate::base::secret::Secret;
use crate::crypto::InputKey;

/// A key of 256 bits and what S3 wants beside it. Clones share the key, which is wiped with the
/// last of them.
#[derive(Clone)]
pub struct CustomerKey(Arc<Inner>);

struct Inner {
    /// In base64, as it is sent.
    base64: Secret<44>,
    md5: String,
}

impl CustomerKey {
    #[must_use]
    pub fn new(key: &Secret<32>) -> Self {
        let mut base64 = [0; 44];
        let written = BASE64
            .encode_slice(key.expose(), &mut base64)
            .expect("32 bytes are 44 characters");
        assert_eq!(written, base64.len(), "32 bytes are 44 characters");
        Self(Arc::new(Inner {
            base64: Secret::take(&mut base64),
            md5: BASE64.encode(Md5::digest(key.expose())),
        }))
    }

    /// The MD5 of the key, in base64: S3 answers it, and it tells keys apart. Not secret.
    #[must_use]
    pub fn md5(&self) -> &str {
        &self.0.md5
    }

    /// The same key, to wrap what this machine keeps.
    #[must_use]
    pub fn input_key(&self) -> InputKey {
        let mut bytes = [0; 32];
        let read = BASE64
            .decode_slice_unchecked(self.expose_base64(), &mut bytes)
            .expect("it was encoded here");
        assert_eq!(read, bytes.len(), "a key has 32 bytes");
        InputKey::from_secret(Secret::take(&mut bytes))
    }

    /// The value of `x-amz-server-side-encryption-customer-key`: the key itself.
    pub(in crate::store::s3) fn expose_base64(&self) -> &str {
        str::from_utf8(self.0.base64.expose()).expect("base64 is ASCII")
    }
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomerKey(MD5 {})", self.md5())
    }
}

impl PartialEq for CustomerKey {
    /// By check value: the keys themselves are not compared.
    fn eq(&self, other: &Self) -> bool {
        self.0.md5 == other.0.md5
    }
}

impl Eq for CustomerKey {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_as_the_aws_command_line_sends_it() {
        let mut bytes = *b"0123456789abcdef0123456789abcdef";
        let key = CustomerKey::new(&Secret::take(&mut bytes));
        assert_eq!(
            key.expose_base64(),
            "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
        );
        // printf 0123456789abcdef0123456789abcdef | openssl md5 -binary | base64
        assert_eq!(key.md5(), "hRasmdxgYDKV3nvbahU1MA==");
        assert_eq!(
            format!("{key:?}"),
            "CustomerKey(MD5 hRasmdxgYDKV3nvbahU1MA==)"
        );
    }
}
