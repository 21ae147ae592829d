//! `keys generate`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::{harden, note_locking};
use crate::base::secret::Secret;
use crate::cli::arguments::{FormArgument, GenerateArguments};
use crate::cli::config::{ConfigError, absolute};
use crate::cli::{new_file, output};
use crate::keys::file;
use crate::store::s3::CustomerKey;

/// Room for the longest form, 64 digits and the end of the line.
const TEXT_BYTES: usize = 65;

#[derive(Debug)]
pub(super) struct GenerateConfig {
    file: PathBuf,
    form: FormArgument,
}

pub(super) fn config(arguments: &GenerateArguments) -> Result<GenerateConfig, ConfigError> {
    Ok(GenerateConfig {
        file: absolute(&arguments.file)?,
        form: arguments.form,
    })
}

pub(super) fn generate(config: &GenerateConfig) -> anyhow::Result<()> {
    harden()?;
    let path = &config.file;
    file::refuse_key_for_path(path)?;
    new_file::refuse_there(path)?;
    let key = Secret::<32>::random();
    match config.form {
        FormArgument::Raw => new_file::write(path, key.expose())?,
        FormArgument::Hex | FormArgument::Base64 => {
            let mut text = Zeroizing::new([0; TEXT_BYTES]);
            let len = written(&key, config.form, &mut text);
            new_file::write(path, &text[..len])?;
        }
    }
    note_locking();
    let path = path.display();
    output::say(&format!(
        "{path} holds a new key, whose check value is {}",
        check_value(&key)
    ));
    output::say("keep a copy elsewhere: without the key nothing that it encrypts can be read");
    Ok(())
}

/// A line of text; how long it is.
fn written(key: &Secret<32>, form: FormArgument, text: &mut [u8; TEXT_BYTES]) -> usize {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let len = if form == FormArgument::Hex {
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(key.expose()) {
            *pair = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
        }
        TEXT_BYTES - 1
    } else {
        BASE64
            .encode_slice(key.expose(), &mut text[..TEXT_BYTES - 1])
            .expect("32 bytes are 44 characters of base64")
    };
    text[len] = b'\n';
    len + 1
}

/// What tells keys apart, and says nothing about a random one: the value that S3 wants beside a
/// customer's key, which `status` and `getfattr` show as `key_md5`.
pub(super) fn check_value(key: &Secret<32>) -> String {
    CustomerKey::new(key).md5().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_as_a_line() {
        let key = || {
            let mut next = 0_u8..;
            Secret::take(&mut [0; 32].map(|_: u8| next.next().expect("a byte") ^ 0xa5))
        };
        for (form, text) in [
            (
                FormArgument::Hex,
                "a5a4a7a6a1a0a3a2adacafaea9a8abaab5b4b7b6b1b0b3b2bdbcbfbeb9b8bbba\n",
            ),
            (
                FormArgument::Base64,
                "paSnpqGgo6KtrK+uqairqrW0t7axsLOyvby/vrm4u7o=\n",
            ),
        ] {
            let mut room = [0; TEXT_BYTES];
            let len = written(&key(), form, &mut room);
            assert_eq!(str::from_utf8(&room[..len]), Ok(text));
        }
        assert_eq!(check_value(&key()).len(), 24);
    }
}
