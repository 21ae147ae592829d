//! Files that are made once, and never written over.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{anyhow, bail};

/// Before anything is done that would be in vain.
pub(super) fn refuse_there(path: &Path) -> anyhow::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => bail!("{} cannot be made: {error}", path.display()),
        Ok(_there) => Err(there(path)),
    }
}

/// Writes a file that nobody else can read, and waits until it is on the disk. Where that fails
/// there is no file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    private_file(path, bytes).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => there(path),
        _ => anyhow!("{} cannot be written: {error}", path.display()),
    })
}

fn there(path: &Path) -> anyhow::Error {
    anyhow!(
        "{} is there already, and is not overwritten: name another file",
        path.display()
    )
}

fn private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Before there is a file: who may not open it could not sync the name, either.
    let directory = path.parent().map(File::open).transpose()?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let sync_name = || directory.map_or(Ok(()), |directory| directory.sync_all());
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| sync_name()) {
        // Half a key is worse than none, and so is one of which it is said that it was not made.
        let _left_behind = std::fs::remove_file(path);
        return Err(error);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none/file");
        let refused = write(&missing, b"key").unwrap_err().to_string();
        assert!(refused.contains("cannot be written"), "{refused}");
        let path = dir.path().join("file");
        write(&path, b"key").unwrap();
        for again in [write(&path, b"other"), refuse_there(&path)] {
            assert_eq!(
                again.unwrap_err().to_string(),
                format!(
                    "{} is there already, and is not overwritten: name another file",
                    path.display()
                )
            );
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"key");
    }
}
