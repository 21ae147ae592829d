//! `keys import --wrap-only`: what a key that is elsewhere takes, in files named as AWS's guide
//! names them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{anyhow, bail};

use super::config::KmsWay;
use super::generate::check_value;
use crate::admin::import::{self, Target};
use crate::base::terminal::printable;
use crate::cli::{new_file, output, server_side};
use crate::crypto::wrapping::{OaepHash, WrappingKey};
use crate::keys::file;
use crate::keys::kms::{Wrapping, rfc3339};

const WRAPPING_KEY: &str = "WrappingPublicKey.bin";
const TOKEN: &str = "ImportToken.bin";
const WRAPPED: &str = "EncryptedKeyMaterial.bin";

/// More than any wrapping key, token or wrapped key.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Gets a wrapping key and its token, and says what to do with them.
pub(super) async fn prepare(
    kms: &KmsWay,
    target: &Target,
    wrapping: Wrapping,
    directory: &Path,
) -> anyhow::Result<()> {
    let files = [WRAPPING_KEY, TOKEN].map(|name| directory.join(name));
    for path in &files {
        new_file::refuse_there(path)?;
    }
    let way = kms.open().await?;
    let mut told = |words: &str| output::say(&printable(words));
    let (key, parameters) = import::prepare(&way, target, wrapping, kms.timeout, &mut told).await?;
    let [wrapping_key, token] = &files;
    new_file::write(wrapping_key, &parameters.wrapping_key_der)?;
    new_file::write(token, &parameters.token)?;
    let until = parameters.valid_to.map_or_else(
        || "for 24 hours".to_owned(),
        |at| format!("until {}", rfc3339(at)),
    );
    let md = match wrapping.hash {
        OaepHash::Sha256 => "sha256",
        OaepHash::Sha1 => "sha1",
    };
    let algorithm = match wrapping.hash {
        OaepHash::Sha256 => String::new(),
        OaepHash::Sha1 => format!(" --algorithm {}", OaepHash::Sha1.algorithm()),
    };
    let mut text = String::new();
    let _infallible = write!(
        text,
        "{wrapping_key} is the wrapping key, RSA_{bits}, with the SHA-256 {fingerprint}\n\
         {token} is its import token; both are good {until}\n\
         Where your key is, compare the SHA-256 and wrap it:\n  \
           cloakfs keys import --wrap-only --wrapping-key {WRAPPING_KEY}{algorithm} --key-file KEY\n\
         or, with the 32 bytes as they are in KEY:\n  \
           openssl pkeyutl -encrypt -in KEY -out {WRAPPED} -inkey {WRAPPING_KEY} -keyform DER -pubin -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:{md} -pkeyopt rsa_mgf1_md:{md}\n\
         Then import it here:\n  \
           cloakfs keys import --wrapped {WRAPPED} --token {token} --kms-key {key}",
        wrapping_key = wrapping_key.display(),
        bits = parameters.wrapping_key.bits(),
        fingerprint = parameters.wrapping_key.fingerprint(),
        token = token.display(),
        key = key.arn(),
    );
    output::say(&text);
    Ok(())
}

/// Wraps a key for a wrapping key that came from elsewhere.
pub(super) async fn wrap(
    wrapping_key: &Path,
    key_file: &Path,
    hash: OaepHash,
    timeout: Duration,
    directory: &Path,
) -> anyhow::Result<()> {
    let wrapped = directory.join(WRAPPED);
    new_file::refuse_there(&wrapped)?;
    let public = public_key(wrapping_key)?;
    let key = server_side::within(timeout, key_file, file::read_one).await?;
    new_file::write(&wrapped, &public.wrap(hash, &key))?;
    output::say(&format!(
        "{} is the key in {} (check value {}), wrapped with {} for the wrapping key with the SHA-256 {}",
        wrapped.display(),
        key_file.display(),
        check_value(&key),
        hash.algorithm(),
        public.fingerprint()
    ));
    output::say(
        "compare the SHA-256 with the one that was told with the wrapping key: whoever has made another could read your key",
    );
    Ok(())
}

fn public_key(path: &Path) -> anyhow::Result<WrappingKey> {
    let der = read(path)?;
    WrappingKey::from_der(&der)
        .map_err(|error| anyhow!("the wrapping key {} {error}", path.display()))
}

/// What was wrapped elsewhere, and its token. Nothing is sent that has not the form of them: a key
/// in a wrong place stays here.
pub(super) fn read_wrapped(wrapped: &Path, token: &Path) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let material = read(wrapped)?;
    let shown = wrapped.display();
    match material.len() {
        256 | 384 | 512 => {}
        32 => bail!(
            "{shown} holds 32 bytes, which is a key and not a wrapped one, and was sent nowhere: give it with --key-file, or wrap it first with --wrap-only"
        ),
        bytes => bail!(
            "{shown} holds {bytes} bytes, and a wrapped key is as long as its wrapping key: 256, 384 or 512; give {WRAPPED} as it was made"
        ),
    }
    let token_bytes = read(token)?;
    if token_bytes.is_empty() {
        bail!(
            "{} is empty, and an import token is not: give {TOKEN} as KMS gave it",
            token.display()
        );
    }
    Ok((material, token_bytes))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = |error| anyhow!("{} cannot be read: {error}", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        bail!(
            "{} is longer than {FILE_BYTES_MAX} bytes: check that it is the right file",
            path.display()
        );
    }
    Ok(bytes)
}

/// For whoever names a directory that is none.
pub(super) fn check_directory(directory: &Path) -> anyhow::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    bail!(
        "{} is no directory: give one that is there with --output",
        directory.display()
    )
}
