//! `status`, `sync` and `umount`: asking a running daemon.

use std::path::{Path, PathBuf};

use anyhow::bail;

use super::{output, view};
use crate::base::size::ByteSize;
use crate::mount::control::client::{self, ControlError};
use crate::mount::control::protocol::{Command, Progress};
use crate::mount::mounting::{self, Way};
use crate::mount::mountpoint::Mountpoint;
use crate::mount::state::StateDir;
use crate::mount::unmounting;

pub(super) fn status(mountpoint: &Path, as_json: bool) -> anyhow::Result<()> {
    let (mountpoint, socket) = find(mountpoint)?;
    let status = client::status(&socket, &mountpoint)?;
    output::say(&if as_json {
        serde_json::to_string_pretty(&status)?
    } else {
        view::status(&status)
    });
    Ok(())
}

pub(super) fn sync(mountpoint: &Path) -> anyhow::Result<()> {
    let (mountpoint, socket) = find(mountpoint)?;
    let mut line = output::ProgressLine::start();
    client::sync(&socket, &mountpoint, Command::Sync, |progress| {
        line.show(&describe(progress));
    })?;
    Ok(())
}

/// As root also what others have mounted. Also removes what a daemon that died left behind.
pub(super) fn unmount(mountpoint: &Path) -> anyhow::Result<()> {
    let (mountpoint, socket) = find(mountpoint)?;
    let mut line = output::ProgressLine::start();
    let asked = client::sync(&socket, &mountpoint, Command::Unmount, |progress| {
        line.show(&describe(progress));
    });
    drop(line);
    settle(&mountpoint, asked)
}

/// Without asking the daemon, which notices and uploads what it still has, as far as it can.
pub(super) fn take_away(mountpoint: &Path, way: Way) -> anyhow::Result<()> {
    Ok(unmounting::take_away(
        &Mountpoint::resolve(mountpoint)?,
        way,
    )?)
}

fn settle(mountpoint: &Mountpoint, asked: Result<(), ControlError>) -> anyhow::Result<()> {
    match asked {
        Err(ControlError::Dead { entry, .. }) => {
            mounting::remove_dead(mountpoint, &entry)?;
            output::note(&format!(
                "the daemon of {mountpoint} had died, perhaps with data that was not uploaded; its dead mount is removed"
            ));
            Ok(())
        }
        Err(error) => bail!(error),
        Ok(()) => Ok(()),
    }
}

fn find(mountpoint: &Path) -> anyhow::Result<(Mountpoint, PathBuf)> {
    let mountpoint = Mountpoint::resolve(mountpoint)?;
    let socket = StateDir::at(StateDir::locate()?).socket(&mountpoint);
    Ok((mountpoint, socket))
}

fn describe(progress: Progress) -> String {
    format!(
        "uploading: {} of {} files, {} of {}",
        progress.files_done,
        progress.files,
        ByteSize(progress.bytes_done),
        ByteSize(progress.bytes)
    )
}
