//! Making and removing the mount itself.
//!
//! mount(2) with type `fuse.cloakfs` where this process may; else the set-user-id helper
//! `fusermount3`, which opens the device for an ordinary user and hands the descriptor over.
//! The kernel checks permissions itself (`default_permissions`) and keeps other users out unless
//! `allow_other` is given.
//!
//! A mount is removed by place and device: when something else was mounted above it, or it is
//! gone already, nothing is touched.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::adapter::REQUEST_BYTES_MAX;
use super::flags::MountFlags;
use super::fusermount;
use super::mountinfo::{self, FS_TYPE, MountEntry};
use super::mountpoint::Mountpoint;

pub(super) const DEVICE: &str = "/dev/fuse";

/// What the kernel is told beside source and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelOptions {
    /// Flags of mount(2).
    pub flags: MountFlags,
    /// Users other than the mounting one may use it.
    pub allow_other: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum MountError {
    #[error(
        "this system has no {DEVICE}, which mounting needs; load the kernel's module with: modprobe fuse (in a container, start it with --device {DEVICE})"
    )]
    NoDevice,
    #[error(
        "an ordinary user mounts with the helper fusermount3, which is not installed; install the package fuse3, or mount as root"
    )]
    NoHelper,
    #[error(
        "--allow-other is not permitted to ordinary users here; add a line user_allow_other to /etc/fuse.conf, or mount as root"
    )]
    AllowOtherNotPermitted,
    #[error(
        "only root may open {DEVICE} on this system, so ordinary users cannot mount; as root, give it its usual mode with: chmod 666 {DEVICE}"
    )]
    DeviceNotPermitted,
    #[error(
        "the helper {helper} is not root's with the set-user-id bit, so it cannot mount for ordinary users; install the package fuse3 again, or mount as root"
    )]
    HelperPowerless { helper: PathBuf },
    #[error("mounting on {mountpoint} failed: {reason}")]
    Failed { mountpoint: PathBuf, reason: String },
}

#[derive(Debug, thiserror::Error)]
pub enum UnmountError {
    #[error(
        "{mountpoint} is in use by a program; everything is stored, and it stays mounted until you close what uses it (see: fuser -vm {mountpoint})"
    )]
    Busy { mountpoint: PathBuf },
    #[error("{mountpoint} cannot be unmounted: {reason}")]
    Failed { mountpoint: PathBuf, reason: String },
}

/// How a mount goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Only when nothing uses it.
    WhenFree,
    /// At once for newcomers; for those who use it, when they leave.
    Lazily,
    /// What is under way is broken off first: it fails, and so does every file that is open,
    /// which still keep it there.
    ByForce,
    /// Both: it is gone whatever uses it.
    ByForceLazily,
}

/// A mount that this process made.
#[derive(Clone, Debug)]
pub struct Mounted {
    mountpoint: PathBuf,
    /// `major:minor`, where the mount table told it.
    device: Option<String>,
}

/// Says at once that nothing can be mounted here, before anything else is asked.
pub fn check_device() -> Result<(), MountError> {
    if Path::new(DEVICE).exists() {
        Ok(())
    } else {
        Err(MountError::NoDevice)
    }
}

/// Mounts `source` at `mountpoint`; the descriptor is where the kernel's requests come from.
/// Nothing may touch the mount before they are answered.
pub fn mount(
    source: &str,
    mountpoint: &Mountpoint,
    options: &KernelOptions,
) -> Result<(Mounted, OwnedFd), MountError> {
    let path = mountpoint.path();
    let descriptor = match mount_directly(source, path, options)? {
        Some(descriptor) => descriptor,
        None => fusermount::mount(path, &helper_options(source, options))?,
    };
    let device = mountinfo::mounted_at(path)
        .ok()
        .flatten()
        .filter(|entry| entry.fs_type == FS_TYPE)
        .map(|entry| entry.device);
    let mounted = Mounted {
        mountpoint: path.to_owned(),
        device,
    };
    Ok((mounted, descriptor))
}

/// Removes a dead mount, whoever still stands in it: that which was `examined` and found dead,
/// and nothing that came in its place or above it since.
pub fn remove_dead(mountpoint: &Mountpoint, examined: &MountEntry) -> Result<(), UnmountError> {
    let failed = |reason: String| UnmountError::Failed {
        mountpoint: mountpoint.path().to_owned(),
        reason,
    };
    let top =
        mountinfo::mounted_at(mountpoint.path()).map_err(|error| failed(error.to_string()))?;
    if is_still_there(top.as_ref(), examined).map_err(failed)? {
        unmount(mountpoint.path(), Way::Lazily)
    } else {
        Ok(())
    }
}

/// Whether `examined` is the uppermost mount; `Err` says what is instead.
fn is_still_there(top: Option<&MountEntry>, examined: &MountEntry) -> Result<bool, String> {
    match top {
        None => Ok(false),
        Some(top) if top == examined => Ok(true),
        Some(top) => Err(format!(
            "{top} was mounted there while the dead {examined} was being looked at; see what is there with: findmnt {}, and try again",
            top.mountpoint.display()
        )),
    }
}

impl Mounted {
    /// Unmounts, unless it was already. `lazily` also where it is in use: the mount is then gone
    /// for newcomers, and the session ends when the last user closes.
    pub fn unmount(&self, lazily: bool) -> Result<(), UnmountError> {
        let failed = |reason: String| UnmountError::Failed {
            mountpoint: self.mountpoint.clone(),
            reason,
        };
        let stack =
            mountinfo::stack_at(&self.mountpoint).map_err(|error| failed(error.to_string()))?;
        match stack.iter().rposition(|entry| self.is_ours(entry)) {
            None => Ok(()),
            Some(at) => match stack.get(at + 1) {
                None => {
                    let way = if lazily { Way::Lazily } else { Way::WhenFree };
                    unmount(&self.mountpoint, way)
                }
                Some(above) => Err(failed(format!(
                    "{above} is mounted above it; unmount that first"
                ))),
            },
        }
    }

    fn is_ours(&self, entry: &MountEntry) -> bool {
        let device = self.device.as_ref();
        entry.fs_type == FS_TYPE && device.is_none_or(|device| *device == entry.device)
    }

    /// The kernel starts every FUSE mount at 128 KiB of read-ahead and lets the filesystem only
    /// lower it. Root may raise it in sysfs, once the handshake that sets it is over; where that
    /// fails, reads are smaller.
    pub(super) fn raise_read_ahead(&self) {
        if let Some(device) = &self.device {
            let knob = format!("/sys/class/bdi/{device}/read_ahead_kb");
            let kib = (REQUEST_BYTES_MAX / 1024).to_string();
            if let Err(error) = std::fs::write(&knob, kib) {
                tracing::debug!("the kernel's read-ahead stays at its default: {knob}: {error}");
            }
        }
    }
}

/// `None` where this process is not permitted, and the helper is to be asked.
fn mount_directly(
    source: &str,
    path: &Path,
    options: &KernelOptions,
) -> Result<Option<OwnedFd>, MountError> {
    let failed = |reason: String| MountError::Failed {
        mountpoint: path.to_owned(),
        reason,
    };
    let device = match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(device) => device,
        Err(error) => {
            return match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => Err(MountError::NoDevice),
                Some(libc::EACCES | libc::EPERM) => Ok(None),
                _ => Err(failed(format!("{DEVICE} cannot be opened: {error}"))),
            };
        }
    };
    let root_mode = std::fs::metadata(path)
        .map_err(|error| failed(error.to_string()))?
        .mode();
    let data = kernel_data(&device, root_mode, options);
    let c_string = |bytes: &[u8]| {
        CString::new(bytes).map_err(|_| failed("a name contains a zero byte".to_owned()))
    };
    let (source, target, fs_type, data) = (
        c_string(source.as_bytes())?,
        c_string(path.as_os_str().as_bytes())?,
        c_string(FS_TYPE.as_bytes())?,
        c_string(data.as_bytes())?,
    );
    // SAFETY: all four are NUL-terminated strings that outlive the call.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            fs_type.as_ptr(),
            options.flags.bits(),
            data.as_ptr().cast(),
        )
    };
    if result == 0 {
        return Ok(Some(device.into()));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EPERM) => Ok(None),
        Some(libc::ENODEV) => Err(MountError::NoDevice),
        _ => Err(failed(error.to_string())),
    }
}

/// The kernel's own options, from fs/fuse/inode.c and fuse.rst.
fn kernel_data(device: &File, root_mode: u32, options: &KernelOptions) -> String {
    // SAFETY: getuid and getgid have no preconditions and cannot fail.
    let (user, group) = unsafe { (libc::getuid(), libc::getgid()) };
    let allow_other = if options.allow_other {
        ",allow_other"
    } else {
        ""
    };
    format!(
        "fd={},rootmode={:o},user_id={user},group_id={group},default_permissions,max_read={REQUEST_BYTES_MAX}{allow_other}",
        device.as_raw_fd(),
        root_mode & libc::S_IFMT,
    )
}

/// The same for fusermount3, which adds the descriptor and the ids itself.
fn helper_options(source: &str, options: &KernelOptions) -> String {
    let source = source.replace('\\', "\\\\").replace(',', "\\,");
    let mut list = vec![
        format!("fsname={source}"),
        "subtype=cloakfs".to_owned(),
        "default_permissions".to_owned(),
        format!("max_read={REQUEST_BYTES_MAX}"),
    ];
    list.extend(options.flags.set_names().map(str::to_owned));
    if options.allow_other {
        list.push("allow_other".to_owned());
    }
    list.join(",")
}

/// One umount2(2); an ordinary user's goes through fusermount3, which cannot force.
pub(super) fn unmount(path: &Path, way: Way) -> Result<(), UnmountError> {
    let mountpoint = path.to_owned();
    let Ok(target) = CString::new(path.as_os_str().as_bytes()) else {
        return Err(UnmountError::Failed {
            mountpoint,
            reason: "the path contains a zero byte".to_owned(),
        });
    };
    let flags = libc::UMOUNT_NOFOLLOW
        | match way {
            Way::WhenFree => 0,
            Way::Lazily => libc::MNT_DETACH,
            Way::ByForce => libc::MNT_FORCE,
            Way::ByForceLazily => libc::MNT_FORCE | libc::MNT_DETACH,
        };
    // SAFETY: `target` is a NUL-terminated string that outlives the call.
    if unsafe { libc::umount2(target.as_ptr(), flags) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match (error.raw_os_error(), way) {
        (Some(libc::EPERM), Way::ByForce | Way::ByForceLazily) => Err(UnmountError::Failed {
            mountpoint,
            reason: "only root may break off what is under way; leave it with: umount --lazy"
                .to_owned(),
        }),
        (Some(libc::EPERM), _) => fusermount::unmount(path, way == Way::Lazily),
        (Some(libc::EBUSY), _) => Err(UnmountError::Busy { mountpoint }),
        _ => Err(UnmountError::Failed {
            mountpoint,
            reason: error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_mount_that_was_examined_is_removed() {
        let dead = MountEntry {
            device: "0:51".to_owned(),
            mountpoint: "/mnt".into(),
            fs_type: FS_TYPE.to_owned(),
            source: "dir:/s".to_owned(),
            user_id: Some(0),
        };
        let newcomer = MountEntry {
            device: "0:52".to_owned(),
            ..dead.clone()
        };
        assert_eq!(is_still_there(Some(&dead), &dead), Ok(true));
        assert_eq!(is_still_there(None, &dead), Ok(false));
        assert_eq!(
            is_still_there(Some(&newcomer), &dead),
            Err("dir:/s (fuse.cloakfs) was mounted there while the dead dir:/s (fuse.cloakfs) was being looked at; see what is there with: findmnt /mnt, and try again".to_owned())
        );
    }

    #[test]
    fn a_comma_in_the_source_does_not_end_the_option() {
        let options = KernelOptions {
            flags: MountFlags::DEFAULT,
            allow_other: true,
        };
        assert_eq!(
            helper_options("dir:/a,b\\c", &options),
            "fsname=dir:/a\\,b\\\\c,subtype=cloakfs,default_permissions,max_read=1048576,nosuid,nodev,allow_other"
        );
    }
}
