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
    let status = client::status(socket, &mountpoint)?;
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
    client::sync(socket, &mountpoint, Command::Sync, |progress| {
        line.show(&describe(progress));
    })?;
    Ok(())
}

/// Also removes what a daemon that died left behind.
pub(super) fn unmount(mountpoint: &Path) -> anyhow::Result<()> {
    let (mountpoint, socket) = find(mountpoint)?;
    settle(&mountpoint, ask_to_unmount(socket, &mountpoint))
}

/// For umount(8), by which root unmounts what others have mounted. Their daemon cannot be asked
/// from here; it has nothing unstored when no file is open, and else the kernel refuses.
pub(super) fn unmount_anyones(mountpoint: &Path) -> anyhow::Result<()> {
    let (mountpoint, socket) = find(mountpoint)?;
    match ask_to_unmount(socket, &mountpoint) {
        Err(ControlError::Elsewhere { entry, .. }) => {
            unmounting::take_away(&mountpoint, Way::WhenFree)?;
            output::note(&format!(
                "the daemon of {entry} at {mountpoint} cannot be asked from here; it is unmounted without waiting for it"
            ));
            Ok(())
        }
        asked => settle(&mountpoint, asked),
    }
}

/// Without asking the daemon, which notices and uploads what it still has.
pub(super) fn take_away(mountpoint: &Path, way: Way) -> anyhow::Result<()> {
    Ok(unmounting::take_away(
        &Mountpoint::resolve(mountpoint)?,
        way,
    )?)
}

fn ask_to_unmount(socket: PathBuf, mountpoint: &Mountpoint) -> Result<(), ControlError> {
    let mut line = output::ProgressLine::start();
    client::sync(socket, mountpoint, Command::Unmount, |progress| {
        line.show(&describe(progress));
    })
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
