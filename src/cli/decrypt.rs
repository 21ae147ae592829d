//! `cloakfs decrypt`: one object of a client-side volume, without a mount.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use super::arguments::{DecryptArguments, EncryptionArgument};
use super::client_side::{ClientSideError, Kms, Material, Place, RootSource, open_record};
use super::config::{ConfigError, StoreConfig, absolute};
use super::source::Source;
use super::{environment, open, output};
use crate::base::id::CommitId;
use crate::base::limits::RESERVED_PREFIX;
use crate::keys::file;
use crate::mount::daemon;
use crate::volume::record::{self, place};
use crate::volume::single::{Reader, Sink};

/// An object that is to be read.
#[derive(Debug)]
pub(super) struct DecryptConfig {
    /// As it was given.
    object: String,
    store: StoreConfig,
    /// What of the object's name the store is asked about: all of it for a bucket, and what
    /// comes after the directory of a volume.
    name: String,
    root: RootSource,
    output: Option<PathBuf>,
    timeout: Duration,
}

impl DecryptConfig {
    pub(super) fn from_arguments(arguments: &DecryptArguments) -> Result<Self, ConfigError> {
        let keys = &arguments.keys;
        let is_kms = keys.kms_key.is_some();
        let (mode, given) = if is_kms {
            (EncryptionArgument::CseKms, "--kms-key was given")
        } else {
            (EncryptionArgument::CseC, "no --kms-key was given")
        };
        ClientSideError::refuse_other_keys(mode, keys, false, given)?;
        let object = arguments.object.to_string_lossy().into_owned();
        let mut source = Source::parse(&arguments.object)?;
        let name = match &mut source {
            Source::S3(location) => {
                let name = std::mem::take(&mut location.prefix);
                name.trim_end_matches('/').to_owned()
            }
            Source::Dir(path) => {
                let whole = absolute(path)?;
                let (volume, name) =
                    split_at_volume(&whole).ok_or_else(|| ConfigError::NoVolume(object.clone()))?;
                *path = volume;
                name
            }
        };
        if name.is_empty() {
            return Err(ConfigError::NoVolume(object));
        }
        Ok(Self {
            object,
            store: StoreConfig::for_client_side(source, is_kms, &arguments.connection, keys)?,
            name,
            root: RootSource::new(mode, keys, absolute)?,
            output: arguments.output.as_deref().map(absolute).transpose()?,
            timeout: arguments.timeout,
        })
    }
}

/// The innermost directory on the way to `path` that has a volume's state in it, and the rest.
fn split_at_volume(path: &Path) -> Option<(PathBuf, String)> {
    let volume = path
        .ancestors()
        .skip(1)
        .find(|directory| directory.join(RESERVED_PREFIX).is_dir())?;
    let name = path.strip_prefix(volume).ok()?.to_str()?;
    Some((volume.to_owned(), name.to_owned()))
}

pub(super) fn decrypt(config: &DecryptConfig) -> anyhow::Result<()> {
    environment::make_paths_absolute();
    daemon::harden().context("the process cannot be protected from core dumps")?;
    if let Some(path) = config.root.key_file() {
        file::refuse_key_for_path(path)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let done = runtime.block_on(read(config));
    runtime.shutdown_timeout(Duration::from_secs(2));
    done
}

async fn read(config: &DecryptConfig) -> anyhow::Result<()> {
    if let Some(path) = &config.output
        && std::fs::symlink_metadata(path).is_ok()
    {
        bail!(
            "{} is there already, and is not overwritten: name another file",
            path.display()
        );
    }
    let material = Material::read(&config.root, config.timeout).await?;
    let opened = open::store(&config.store, config.timeout).await?;
    let nowhere = || anyhow!(ConfigError::NoVolume(config.object.clone()));
    let prefix = place::above(opened.store.as_ref(), &format!("{}/", config.name)).await?;
    let prefix = prefix.ok_or_else(nowhere)?;
    let record = record::find(&opened.store, &prefix).await?;
    let record = record.ok_or_else(nowhere)?;
    let place = Place {
        store: &opened.store,
        prefix: &prefix,
        described: match prefix.trim_end_matches('/') {
            "" => config.store.describe(),
            prefix => format!("{}/{prefix}", config.store.describe()),
        },
        read_only: true,
    };
    let kms = Kms {
        store: &config.store,
        aws: opened.about.aws.clone(),
        timeout: config.timeout,
    };
    let mut notes = Vec::new();
    let volume = open_record(&place, record, material, &kms, &mut notes).await?;
    notes.extend(volume.notes.iter().cloned());
    for note in &notes {
        output::note(note);
    }
    let name = &config.name[prefix.len()..];
    let reader = Reader::new(opened.store.clone(), prefix.clone(), volume);
    match &config.output {
        None => {
            let mut stdout = Stdout(io::stdout().is_terminal());
            reader.read(name, &mut stdout).await?;
            io::stdout()
                .flush()
                .context("the content cannot be written")
        }
        Some(path) => {
            let mut file = Unfinished::beside(path)?;
            let length = reader.read(name, &mut file).await?;
            file.finish(length)
        }
    }
}

/// Standard output, and whether it is a terminal.
struct Stdout(bool);

impl Sink for Stdout {
    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.0 && !is_text(bytes) {
            return Err(io::Error::other(
                "it is binary, and standard output is a terminal: give -o FILE, or redirect it",
            ));
        }
        io::stdout().lock().write_all(bytes)
    }

    fn zeros(&mut self, count: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let mut left = count;
        while left > 0 {
            let some = left.min(ZEROS.len() as u64);
            self.data(&ZEROS[..usize::try_from(some).unwrap_or(ZEROS.len())])?;
            left -= some;
        }
        Ok(())
    }
}

/// Whether a terminal shows it and does nothing else: a character cut at the end will do.
fn is_text(bytes: &[u8]) -> bool {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    text.chars()
        .all(|character| !character.is_control() || matches!(character, '\t' | '\n' | '\r'))
}

/// A file that gets its name when all of it is there and authentic.
struct Unfinished {
    file: File,
    path: PathBuf,
    name: PathBuf,
}

impl Unfinished {
    fn beside(name: &Path) -> anyhow::Result<Self> {
        let mut path = name.as_os_str().to_owned();
        path.push(format!(".{}", CommitId::random()));
        let path = PathBuf::from(path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| anyhow!("{} cannot be written: {error}", name.display()))?;
        Ok(Self {
            file,
            path,
            name: name.to_owned(),
        })
    }

    fn finish(self, length: u64) -> anyhow::Result<()> {
        let cannot = |error| anyhow!("{} cannot be written: {error}", self.name.display());
        self.file.set_len(length).map_err(cannot)?;
        self.file.sync_all().map_err(cannot)?;
        // A link replaces nothing that came there meanwhile.
        std::fs::hard_link(&self.path, &self.name).map_err(cannot)
    }
}

/// What has its name now is another link.
impl Drop for Unfinished {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_file(&self.path);
    }
}

impl Sink for Unfinished {
    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn zeros(&mut self, count: u64) -> io::Result<()> {
        let count = i64::try_from(count).map_err(io::Error::other)?;
        self.file.seek(SeekFrom::Current(count)).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_no_text() {
        for text in ["", "a\tb\r\n", "städte", "\u{1f600}"] {
            assert!(is_text(text.as_bytes()), "{text:?}");
        }
        assert!(is_text(&"ä".as_bytes()[..1]), "cut");
        for binary in [
            &b"a\0"[..],
            b"\x1b[2J",
            b"\x7f",
            b"\xff a",
            "\u{9b}".as_bytes(),
        ] {
            assert!(!is_text(binary), "{binary:?}");
        }
    }

    #[test]
    fn a_path_is_split_at_the_innermost_volume() {
        let dir = tempfile::tempdir().unwrap();
        let (outer, inner) = (dir.path().join("v"), dir.path().join("v/a/w"));
        assert_eq!(split_at_volume(&outer.join("x")), None);
        std::fs::create_dir_all(outer.join(".cloakfs")).unwrap();
        assert_eq!(
            split_at_volume(&outer.join("a/w/x")),
            Some((outer.clone(), "a/w/x".to_owned()))
        );
        std::fs::create_dir_all(inner.join(".cloakfs")).unwrap();
        assert_eq!(
            split_at_volume(&inner.join("x")),
            Some((inner, "x".to_owned()))
        );
    }
}
