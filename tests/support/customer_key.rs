//! Keys of SSE-C: as the other client sends them, and as `--key-file` reads them.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

/// Headers to add to a request.
pub type Headers = Vec<(&'static str, String)>;

/// A customer's key. Of tests, so it may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomerKey([u8; 32]);

impl CustomerKey {
    /// The same for the same `seed`.
    pub fn new(seed: u64) -> Self {
        let half = |number: u8| Md5::digest([&seed.to_le_bytes()[..], &[number]].concat());
        let bytes = [half(0), half(1)].concat();
        Self(bytes.try_into().expect("two halves of 16 bytes"))
    }

    /// What is in a file of 32 bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes.try_into().expect("32 bytes"))
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// What servers answer in place of the key.
    pub fn md5(&self) -> String {
        STANDARD.encode(Md5::digest(self.0))
    }

    /// Of a request that reads or writes under the key.
    pub fn headers(&self) -> Headers {
        self.named([
            "x-amz-server-side-encryption-customer-algorithm",
            "x-amz-server-side-encryption-customer-key",
            "x-amz-server-side-encryption-customer-key-md5",
        ])
    }

    /// Of a copy whose source is under the key.
    pub fn source_headers(&self) -> Headers {
        self.named([
            "x-amz-copy-source-server-side-encryption-customer-algorithm",
            "x-amz-copy-source-server-side-encryption-customer-key",
            "x-amz-copy-source-server-side-encryption-customer-key-md5",
        ])
    }

    fn named(&self, [algorithm, key, md5]: [&'static str; 3]) -> Headers {
        vec![
            (algorithm, "AES256".to_owned()),
            (key, self.base64()),
            (md5, self.md5()),
        ]
    }

    /// A file with the key's 32 bytes, for its owner only, in `directory`.
    pub fn file(&self, directory: &Path) -> PathBuf {
        self.write(
            directory.join(format!("key-{:02x}{:02x}", self.0[0], self.0[1])),
            &self.0,
        )
    }

    /// The same as one line of base64, as s3fs wants it.
    pub fn base64_file(&self, directory: &Path) -> PathBuf {
        let line = self.base64() + "\n";
        self.write(
            directory.join(format!("key-{:02x}{:02x}.base64", self.0[0], self.0[1])),
            line.as_bytes(),
        )
    }

    fn write(&self, path: PathBuf, content: &[u8]) -> PathBuf {
        File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(content))
            .unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
        path
    }
}
