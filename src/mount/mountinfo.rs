//! What is mounted where, from `/proc/self/mountinfo` (format: proc_pid_mountinfo(5)).
//!
//! Reading it touches no mount, so it answers also where a mount hangs.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The type of our mounts.
pub const FS_TYPE: &str = "fuse.cloakfs";

const TABLE: &str = "/proc/self/mountinfo";

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountEntry {
    /// `major:minor` of its superblock.
    pub device: String,
    pub mountpoint: PathBuf,
    pub fs_type: String,
    /// What was mounted, in the words of whoever mounted it.
    pub source: String,
    /// The user that a FUSE mount belongs to.
    pub user_id: Option<u32>,
}

/// The uppermost mount at exactly `mountpoint`.
pub fn mounted_at(mountpoint: &Path) -> io::Result<Option<MountEntry>> {
    Ok(stack_at(mountpoint)?.pop())
}

/// All mounts at exactly `mountpoint`, the uppermost last.
pub fn stack_at(mountpoint: &Path) -> io::Result<Vec<MountEntry>> {
    Ok(stack(&fs::read(TABLE)?, mountpoint))
}

/// Later lines are mounts above earlier ones.
#[must_use]
pub fn stack(table: &[u8], mountpoint: &Path) -> Vec<MountEntry> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .filter(|entry| entry.mountpoint == mountpoint)
        .collect()
}

/// `36 35 98:0 /root /mountpoint rw,noatime master:1 - type source rw,user_id=0`; the fields
/// before the hyphen that are optional vary in number.
fn parse_line(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = text(fields.nth(2)?);
    let mountpoint = unescape(fields.nth(1)?);
    fields.find(|field| *field == b"-")?;
    let fs_type = text(fields.next()?);
    let source = unescape(fields.next()?);
    let options = text(fields.next().unwrap_or_default());
    Some(MountEntry {
        device,
        mountpoint: PathBuf::from(OsString::from_vec(mountpoint)),
        fs_type,
        source: text(&source),
        user_id: options
            .split(',')
            .find_map(|option| option.strip_prefix("user_id=")?.parse().ok()),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Space, tab, newline and backslash are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        if let Some(byte) = octal {
            plain.push(byte);
            rest = &after[3..];
        } else {
            plain.push(*first);
            rest = after;
        }
    }
    plain
}

/// A name for messages: `s3://bucket (fuse.cloakfs)`.
impl std::fmt::Display for MountEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.source, self.fs_type)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &[u8] = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        90 22 0:51 / /mnt/a\\040b rw,nosuid - fuse.cloakfs s3://bucket/x rw,user_id=1000,group_id=7\n\
        91 22 0:52 / /mnt/twice rw - tmpfs tmpfs rw\n\
        92 91 0:53 / /mnt/twice rw shared:9 master:2 - fuse.cloakfs dir:/d rw,user_id=0\n";

    fn find(table: &[u8], mountpoint: &Path) -> Option<MountEntry> {
        stack(table, mountpoint).pop()
    }

    #[test]
    fn a_mount_is_found_with_its_source_and_owner() {
        let entry = find(EXAMPLE, Path::new("/mnt/a b")).unwrap();
        assert_eq!(entry.to_string(), "s3://bucket/x (fuse.cloakfs)");
        assert_eq!(entry.device, "0:51");
        assert_eq!(entry.user_id, Some(1000));
        assert_eq!(find(EXAMPLE, Path::new("/mnt")), None);
    }

    #[test]
    fn of_two_mounts_at_one_place_the_upper_is_found() {
        let entry = find(EXAMPLE, Path::new("/mnt/twice")).unwrap();
        assert_eq!(entry.source, "dir:/d");
    }

    #[test]
    fn the_real_table_has_a_root() {
        assert!(mounted_at(Path::new("/")).unwrap().is_some());
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _any_answer = find(&line, Path::new("/"));
        }

        #[test]
        fn every_path_is_found_again(name in "[ -~\\t\\n\u{e4}]{1,20}") {
            let escaped: String = name
                .chars()
                .map(|c| match c {
                    ' ' | '\t' | '\n' | '\\' => format!("\\{:03o}", u32::from(c)),
                    c => c.to_string(),
                })
                .collect();
            let table = format!("1 1 0:1 / /{escaped} rw - t s rw\n");
            let path = PathBuf::from(format!("/{name}"));
            prop_assert_eq!(
                find(table.as_bytes(), &path).map(|found| found.mountpoint.as_os_str().as_bytes().to_vec()),
                Some(path.as_os_str().as_bytes().to_vec())
            );
        }
    }
}
