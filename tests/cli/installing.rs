//! packaging/install, and the names by which mount(8) and umount(8) call the program.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Answer, Place};

fn install(place: &Place) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/install");
    let mut command = place.environment(Command::new(script));
    command
        .env("DESTDIR", place.path("root"))
        .env("BINARY", env!("CARGO_BIN_EXE_cloakfs"));
    command
}

#[test]
fn program_helpers_and_unit_are_installed_below_a_root() {
    let place = Place::new();
    // Twice, since an installation is also replaced.
    for _ in 0..2 {
        let answer = Answer::of(
            install(&place)
                .env("PREFIX", "/opt/c")
                .env("SBINDIR", "/sbin"),
        );
        assert_eq!(answer.code, Some(0), "{answer:?}");
    }
    let at = |path: &str| PathBuf::from(place.path("root")).join(path);
    let mode = fs::metadata(at("opt/c/bin/cloakfs"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o755, "it is not set-user-id");
    for helper in ["mount.fuse.cloakfs", "umount.fuse.cloakfs", "mount.cloakfs"] {
        let target = fs::read_link(at("sbin").join(helper)).unwrap();
        assert_eq!(target, Path::new("/opt/c/bin/cloakfs"), "{helper}");
    }
    let units = at("opt/c/lib/systemd/system");
    let unit = fs::read_to_string(units.join("cloakfs@.service")).unwrap();
    assert!(
        unit.contains("\nExecStart=/opt/c/bin/cloakfs mount --foreground "),
        "{unit}"
    );
    assert_eq!(
        fs::read_dir(units).unwrap().count(),
        1,
        "nothing is left over"
    );
}

#[test]
fn what_cannot_be_installed_is_said() {
    let place = Place::new();
    let answer = Answer::of(install(&place).env("BINARY", "/no/such"));
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert_eq!(
        answer.stderr,
        "packaging/install: there is no program at /no/such; build it with: cargo build --release\n"
    );
    let answer = Answer::of(install(&place).env("PREFIX", "usr"));
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert_eq!(
        answer.stderr,
        "packaging/install: PREFIX=usr is not an absolute path\n"
    );
    assert!(!super::exists(&place.path("root")));
}

/// mount(8)'s exit codes: 1 for a wrong call, 32 for a failure.
#[test]
fn a_helper_has_the_exit_codes_of_its_caller() {
    let place = Place::new();
    let (store, mnt) = (place.store(), place.path("mnt"));
    let call = |name: &str, arguments: &[&str]| {
        let link = place.path(name);
        if !super::exists(&link) {
            symlink(env!("CARGO_BIN_EXE_cloakfs"), &link).unwrap();
        }
        Answer::of(place.environment(Command::new(link)).args(arguments))
    };
    let unknown = call("mount.fuse.cloakfs", &[&store, &mnt, "-o", "rw,turbo"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(
        unknown
            .stderr
            .starts_with("cloakfs: -o does not know \"turbo\"; it knows: "),
        "{unknown:?}"
    );
    call("mount.fuse.cloakfs", &[&store, &mnt, "-x"]).refused(1, "unexpected argument '-x' found");
    call("mount.cloakfs", &[&store, &mnt, "-t", "fuse.sshfs"]).refused(
        1,
        "invalid value 'fuse.sshfs' for '-t <TYPE>' [possible values: fuse.cloakfs, cloakfs]",
    );
    call("mount.fuse.cloakfs", &["bucket", &mnt, "-o", "encryption_mode=none"]).refused(
        1,
        "\"bucket\" is not a source: write s3://BUCKET or s3://BUCKET/PREFIX for a bucket, or dir:PATH for a local directory",
    );
    for source in ["s3://bucket", &store] {
        call("mount.fuse.cloakfs", &[source, &mnt, "-o", "rw"]).refused(
            1,
            "no encryption_mode was given, and mount(8) keeps an option encryption= for itself; write encryption_mode=sse-s3 (or sse-kms, sse-c, cse-kms, cse-c), or encryption_mode=none to leave it to the bucket's default, or a local directory in clear",
        );
    }
    let none = place.path("none");
    call(
        "mount.fuse.cloakfs",
        &[&store, &none, "-o", "encryption_mode=none"],
    )
    .refused(
        32,
        &format!("the mountpoint {none} does not exist; make it with: mkdir -p {none}"),
    );
    let not_mounted =
        format!("{mnt} is not a cloakfs mount; `findmnt -t fuse.cloakfs` lists those there are");
    for switches in [&[][..], &["-l"], &["-f"], &["-fl"]] {
        let arguments = [&[mnt.as_str()], switches].concat();
        call("umount.fuse.cloakfs", &arguments).refused(32, &not_mounted);
    }
    call("umount.fuse.cloakfs", &[&mnt, "-r"]).refused(
        32,
        &format!(
            "{not_mounted}; it stays as it is, since -r (read-only instead) is not possible here"
        ),
    );
    call("umount.fuse.cloakfs", &[&mnt, "-N", "/no/such"]).refused(
        32,
        "the mount namespace /no/such cannot be entered: No such file or directory (os error 2); name a process, or a file as in /proc/PID/ns/mnt, and be root",
    );
}
