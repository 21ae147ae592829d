use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{Answer, Place, exists, is_mounted};

#[test]
fn a_mountpoint_that_cannot_be_is_said_with_what_to_do() {
    let place = Place::new();
    let store = place.store();
    fs::write(place.path("file"), "").unwrap();
    fs::create_dir_all(place.path("full/of")).unwrap();
    let (none, file, full) = (place.path("none"), place.path("file"), place.path("full"));
    for extra in [&[][..], &["--foreground"]] {
        let mount = |at: &str| place.run(&[&["mount", &store, at], extra].concat());
        mount(&none).refused(
            1,
            &format!("the mountpoint {none} does not exist; make it with: mkdir -p {none}"),
        );
        mount(&file).refused(
            1,
            &format!("the mountpoint {file} is not a directory; name a directory"),
        );
        mount(&full).refused(
            1,
            &format!(
                "the mountpoint {full} is not empty, and mounting would hide what is in it; choose an empty directory, or give -o nonempty"
            ),
        );
    }
}

#[test]
fn a_path_of_its_own_on_either_side_of_the_mountpoint_is_refused() {
    let place = Place::new();
    let (store, mnt) = (place.store(), place.path("mnt"));
    let inside = place.path("mnt/log");
    place
        .run(&["mount", &store, "mnt", "--log-file", "mnt/log"])
        .refused(
            1,
            &format!(
                "the log file {inside} lies under the mountpoint {mnt}, so cloakfs would wait for itself; choose a place outside of the mountpoint"
            ),
        );
    assert!(!exists(&inside));

    let (whole, below) = (place.path("store"), place.path("store/mnt"));
    fs::create_dir(&below).unwrap();
    place.run(&["mount", &store, &below]).refused(
        1,
        &format!(
            "the mountpoint {below} lies under the store's directory {whole}, which would then contain its own mount; choose a mountpoint outside of it"
        ),
    );

    // Also where a symbolic link hides it.
    std::os::unix::fs::symlink(&mnt, place.path("link")).unwrap();
    let state = Answer::of(
        place
            .command()
            .args(["mount", &store, "mnt"])
            .env("CLOAKFS_STATE_DIR", place.path("link/state")),
    );
    state.refused(
        1,
        &format!(
            "the state directory {mnt}/state lies under the mountpoint {mnt}, so cloakfs would wait for itself; choose a place outside of the mountpoint"
        ),
    );
    assert!(!is_mounted(&mnt) && !is_mounted(&below));
}

#[test]
fn a_store_that_is_not_there_is_refused_and_nothing_stays_mounted() {
    let place = Place::new();
    let answer = place.run(&["mount", "dir:no-such-store", "mnt"]);
    answer.refused(
        1,
        &format!(
            "the directory {:?} does not exist: make it first, or check the path for a slip of the pen",
            place.path("no-such-store")
        ),
    );
    assert!(!is_mounted(&place.path("mnt")));
}

#[test]
fn a_log_that_cannot_be_is_refused() {
    let place = Place::new();
    let log = place.path("none/log");
    place
        .run(&["mount", &place.store(), "mnt", "--log-file", &log])
        .refused(
            1,
            &format!(
                "the log file {log} cannot be opened: No such file or directory (os error 2); choose another with --log-file"
            ),
        );
    let answer = Answer::of(
        place
            .command()
            .args(["mount", &place.store(), "mnt"])
            .env("CLOAKFS_LOG", "cloakfs=loud"),
    );
    assert!(
        answer
            .stderr
            .starts_with("cloakfs: CLOAKFS_LOG=\"cloakfs=loud\" is not a log filter: "),
        "{answer:?}"
    );
}

#[test]
fn what_is_not_mounted_is_told_so_by_each_command() {
    let place = Place::new();
    let mnt = place.path("mnt");
    for command in ["status", "sync", "umount"] {
        place.run(&[command, "mnt"]).refused(
            1,
            &format!(
                "{mnt} is not a cloakfs mount; `findmnt -t fuse.cloakfs` lists those there are"
            ),
        );
    }
    assert!(
        !exists(&place.path("state")),
        "asking leaves nothing behind"
    );
}

#[test]
fn a_system_without_fuse_is_told_so() {
    let place = Place::new();
    let script = format!(
        "mount -t tmpfs none /dev && exec {} mount {} mnt",
        env!("CARGO_BIN_EXE_cloakfs"),
        place.store()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    Answer::of(&mut place.environment(command)).refused(
        1,
        "this system has no /dev/fuse, which mounting needs; load the kernel's module with: modprobe fuse (in a container, start it with --device /dev/fuse)",
    );
}

/// Runs a command as an ordinary user, with a device that everybody may open or only root. `STORE`
/// in it stands for a directory of the user's.
pub fn as_ordinary_user(device_mode: u32, path: Option<&str>, line: &str) -> Answer {
    let place = Place::new();
    for dir in [
        place.0.path().to_owned(),
        place.path("mnt").into(),
        place.path("store").into(),
    ] {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    }
    // The target directory may be closed to others.
    let binary = place.path("cloakfs");
    fs::copy(env!("CARGO_BIN_EXE_cloakfs"), &binary).unwrap();
    let path = path.map_or_else(String::new, |path| format!("PATH={path}"));
    let line = line.replace("STORE", &place.store());
    let script = format!(
        "mknod -m {device_mode:o} device c 10 229 && mount --bind device /dev/fuse && \
         exec setpriv --reuid=65534 --regid=65534 --clear-groups env {path} {binary} {line}"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    Answer::of(&mut place.environment(command))
}

#[test]
fn an_ordinary_user_is_told_what_the_system_lacks() {
    as_ordinary_user(0o666, Some("/nowhere"), "mount STORE mnt").refused(
        1,
        "an ordinary user mounts with the helper fusermount3, which is not installed; install the package fuse3, or mount as root",
    );
    as_ordinary_user(0o600, None, "mount STORE mnt").refused(
        1,
        "only root may open /dev/fuse on this system, so ordinary users cannot mount; as root, give it its usual mode with: chmod 666 /dev/fuse",
    );
    as_ordinary_user(0o666, None, "mount STORE mnt --allow-other").refused(
        1,
        "--allow-other is not permitted to ordinary users here; add a line user_allow_other to /etc/fuse.conf, or mount as root",
    );
}
