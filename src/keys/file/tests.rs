//! Files as they are on a disk, and pipes.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::parse::tests::hex;
use super::*;

const KEY: [u8; 32] = *b"\x01\x02a key of bytes, not of text\xfe\xff\0";

fn file(content: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    (dir, path)
}

fn refused(path: &Path) -> String {
    match read_one(path) {
        Ok(_) => panic!("{} was read", path.display()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_key_is_read_in_each_form() {
    let hex = hex(&KEY);
    for content in [KEY.to_vec(), format!("# mine\n{hex}\n").into_bytes()] {
        let (_dir, path) = file(&content);
        assert_eq!(*read_one(&path).unwrap().expose(), KEY);
        assert_eq!(*read_several(&path).unwrap()[0].expose(), KEY);
    }
}

#[test]
fn several_keys_are_read_in_their_order_and_refused_where_there_is_one() {
    let (one, two) = ("01".repeat(32), "02".repeat(32));
    let (_dir, path) = file(format!("{one}\n{two}\n").as_bytes());
    let keys = read_several(&path).unwrap();
    assert_eq!(
        keys.iter().map(|key| *key.expose()).collect::<Vec<_>>(),
        [[1; 32], [2; 32]]
    );
    assert_eq!(
        refused(&path),
        format!(
            "the key file {} holds 2 keys, and there can be only one here: leave in it the key to write with, and give the older ones with --read-key-file",
            path.display()
        )
    );
}

#[test]
fn a_file_that_others_can_reach_is_refused() {
    let (_dir, path) = file(&KEY);
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            refused(&path),
            format!(
                "the key file {} is open to its group or to others (mode {mode:04o}): close it with `chmod 600`, and use another key if somebody may have read it",
                path.display()
            )
        );
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(read_one(&path).is_ok(), "{mode:o}");
    }
}

#[test]
fn only_the_user_and_root_may_own_it() {
    let check = |owner, user| refuse_shared(Path::new("/k"), 0o100_600, owner, user);
    assert!(check(1000, 1000).is_ok());
    assert!(check(0, 1000).is_ok());
    assert!(check(0, 0).is_ok());
    assert_eq!(
        check(1001, 1000).unwrap_err().to_string(),
        "the key file /k belongs to the user 1001, who could change it: it must belong to you (user 1000) or to root"
    );
    assert!(check(1000, 0).is_err());
}

#[test]
fn what_is_no_key_file_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    assert_eq!(
        refused(&missing),
        format!(
            "the key file {} does not exist: check its path",
            missing.display()
        )
    );
    assert_eq!(
        refused(dir.path()),
        format!(
            "the key file {} is a directory: give the path of a file that holds the key",
            dir.path().display()
        )
    );
    assert_eq!(
        refused(Path::new("/dev/null")),
        "the key file /dev/null is a device: give the path of a file that holds the key"
    );
    let (_dir, below) = file(&KEY);
    let below = below.join("key");
    assert_eq!(
        refused(&below),
        format!(
            "the key file {} cannot be read: Not a directory (os error 20)",
            below.display()
        )
    );
    let (_dir, short) = file(b"secret\n");
    assert_eq!(
        refused(&short),
        format!(
            "the key file {} has a line 1 that is no key: it is 6 characters long, and a key is 64 hex digits or 44 characters of base64",
            short.display()
        )
    );
    let (_dir, long) = file(&b"#\n".repeat(32 << 10));
    assert!(refused(&long).contains("holds no key"));
    fs::write(
        &long,
        b"#\n"
            .repeat(32 << 10)
            .into_iter()
            .chain([b'\n'])
            .collect::<Vec<_>>(),
    )
    .unwrap();
    assert_eq!(
        refused(&long),
        format!(
            "the key file {} is longer than 65536 bytes, so it is no key file: check its path",
            long.display()
        )
    );
}

#[test]
fn a_key_given_for_a_path_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    for key in [
        "0f".repeat(32),
        format!("{}/{}=", "A".repeat(9), "B".repeat(33)),
    ] {
        let given = dir.path().join(&key);
        assert_eq!(
            refused(&given),
            "--key-file and --read-key-file take the path of a file that holds the key, and what was given there is no file but looks like a key: use another key, since this one was on a command line, which other users can read, and give the path of a file that holds it"
        );
        assert!(!format!("{:?}", read_one(&given).err()).contains(&key));
        // A file may be called so.
        fs::create_dir_all(given.parent().unwrap()).unwrap();
        fs::write(&given, KEY).unwrap();
        fs::set_permissions(&given, Permissions::from_mode(0o600)).unwrap();
        assert!(read_one(&given).is_ok());
    }
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let (reader, mut writer) = io::pipe().unwrap();
    let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
    let hex = hex(&KEY);
    let (first, second) = hex.split_at(10);
    writer.write_all(first.as_bytes()).unwrap();
    std::thread::scope(|scope| {
        let read = scope.spawn(|| *read_one(&path).unwrap().expose());
        writer.write_all(second.as_bytes()).unwrap();
        drop(writer);
        assert_eq!(read.join().unwrap(), KEY);
    });
}

/// A named pipe, with everything that `umask` would take away.
fn named_pipe(dir: &TempDir, mode: u32) -> PathBuf {
    let path = dir.path().join("fifo");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: `name` is a string that ends in a zero byte.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn a_named_pipe_that_nobody_writes_into_holds_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = named_pipe(&dir, 0o600);
    assert!(refused(&path).contains("holds no key"));
}

#[test]
fn a_named_pipe_that_others_can_reach_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = named_pipe(&dir, 0o644);
    assert_eq!(
        refused(&path),
        format!(
            "the key file {} is open to its group or to others (mode 0644): close it with `chmod 600`, and use another key if somebody may have read it",
            path.display()
        )
    );
}

/// Only root can give a file away, and only root is handed pipes of others.
#[test]
fn of_another_user_root_takes_a_pipe_that_has_no_name() {
    // SAFETY: geteuid has no preconditions and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let named = named_pipe(&dir, 0o600);
    std::os::unix::fs::chown(&named, Some(65_534), None).unwrap();
    assert_eq!(
        refused(&named),
        format!(
            "the key file {} belongs to the user 65534, who could change it: it must belong to you (user 0) or to root",
            named.display()
        )
    );
    let (reader, mut writer) = io::pipe().unwrap();
    std::os::unix::fs::fchown(&reader, Some(65_534), None).unwrap();
    writer.write_all(hex(&KEY).as_bytes()).unwrap();
    drop(writer);
    let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
    assert_eq!(*read_one(&path).unwrap().expose(), KEY);
    // One that nobody handed to this process.
    let (reader, mut writer) = io::pipe().unwrap();
    std::os::unix::fs::fchown(&reader, Some(65_534), None).unwrap();
    writer.write_all(hex(&KEY).as_bytes()).unwrap();
    drop(writer);
    let mut other = std::process::Command::new("sleep")
        .arg("60")
        .stdin(reader)
        .spawn()
        .unwrap();
    let path = dir.path().join("link");
    std::os::unix::fs::symlink(format!("/proc/{}/fd/0", other.id()), &path).unwrap();
    let said = refused(&path);
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(
        said,
        format!(
            "the key file {} belongs to the user 65534, who could change it: it must belong to you (user 0) or to root",
            path.display()
        )
    );
}

#[test]
fn a_key_in_place_of_a_path_is_told_before_the_path_is_shown() {
    let (_dir, path) = file(&KEY);
    let hex = hex(&KEY);
    assert!(refuse_key_for_path(&path).is_ok());
    assert!(refuse_key_for_path(&path.with_file_name("missing")).is_ok());
    let named_so = path.with_file_name(&hex);
    let refused = refuse_key_for_path(&named_so);
    assert!(matches!(refused, Err(KeyFileError::KeyForPath)));
    fs::rename(&path, &named_so).unwrap();
    assert!(refuse_key_for_path(&named_so).is_ok());
}

#[test]
fn the_descriptor_is_not_left_open() {
    let (_dir, path) = file(&KEY);
    let open = || {
        fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
            .filter(|target| *target == path)
            .count()
    };
    let _key = read_one(&path).unwrap();
    assert_eq!(open(), 0);
}
