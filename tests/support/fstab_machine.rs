//! A machine of one's own, as far as mount(8) sees it: a private mount namespace in which
//! cloakfs is installed as packaging/install does it, with a home, a state directory and a
//! `/run` that go away. Nothing of the real machine's `/sbin`, `/etc/fstab`, `/run/mount` or
//! `/var/lib` is touched.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::mount::CLOAKFS;
use super::process::{DEADLINE, Finished, finish, run};
use super::s3_server::{Bucket, S3Server};

/// `$1` is the place, `$2` the home of root. Stays until its standard input is closed.
///
/// The namespace begins with a copy of every mount outside. Those of other tests go first: a copy
/// would keep their filesystems alive after their unmount. Lazily and never by force, which would
/// break off the filesystem itself wherever it is mounted.
const SET_UP: &str = r#"
    findmnt -rno TARGET -t fuse.cloakfs,fuse.s3fs | while read -r at; do
        umount -i -l "$(printf %b "$at")"
    done
    mount -t overlay overlay -o "lowerdir=$1/installed/usr/sbin:/usr/sbin" /usr/sbin
    mount -t overlay overlay -o "lowerdir=$1/installed/usr/local/bin:/usr/local/bin" /usr/local/bin
    mount --bind "$1/home" "$2"
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /var/lib
    mount --bind "$1/fstab" /etc/fstab
    mknod -m 666 /run/fuse c 10 229
    mount --bind /run/fuse /dev/fuse
    echo ready
    read -r _ || true
"#;

pub struct Machine {
    place: TempDir,
    /// Its mount namespace is where it all happens.
    holder: Child,
}

impl Machine {
    pub fn new() -> Self {
        let place = tempfile::Builder::new()
            .prefix("machine-")
            .tempdir()
            .expect("a directory");
        let at = |name: &str| place.path().join(name);
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755))
            .expect("opening the directory to other users");
        fs::create_dir(at("home")).expect("a home");
        fs::create_dir(at("installed")).expect("a place to install to");
        fs::write(at("fstab"), "").expect("an empty table");
        let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/install");
        run(Command::new(install)
            .env("DESTDIR", at("installed"))
            .env("PREFIX", "/usr/local")
            .env("SBINDIR", "/usr/sbin")
            .env("BINARY", CLOAKFS));
        let home = run(Command::new("sh").args(["-c", "getent passwd 0 | cut -d: -f6"]));
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "bash", "-euc"])
            .args([SET_UP, "bash"])
            .arg(place.path())
            .arg(home.trim())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starting unshare");
        let mut ready = String::new();
        let stdout = holder.stdout.take().expect("a pipe");
        BufReader::new(stdout)
            .read_line(&mut ready)
            .expect("reading from the new namespace");
        assert_eq!(ready, "ready\n", "the namespace could not be set up");
        Self { place, holder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// A new directory.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).expect("a directory");
        path
    }

    /// Replaces the table's lines by those made of these: what, where, and its options.
    pub fn fstab(&self, lines: &[(&str, &Path, &str)]) {
        let escaped = |path: &Path| path.display().to_string().replace(' ', "\\040");
        let mut table = String::new();
        for (source, mountpoint, options) in lines {
            let mountpoint = escaped(mountpoint);
            let line = [
                *source,
                mountpoint.as_str(),
                "fuse.cloakfs",
                *options,
                "0 0\n",
            ];
            table.push_str(&line.join(" "));
        }
        // In place: it is mounted by inode.
        fs::write(self.path("fstab"), table).expect("writing the table");
    }

    /// Puts credentials where the AWS chain looks for them below a home.
    pub fn configure(&self, server: &S3Server) {
        let aws = self.directory("home/.aws");
        let credentials = format!(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            server.access_key, server.secret_key
        );
        fs::write(aws.join("credentials"), credentials).expect("writing credentials");
    }

    /// Options of a line that mounts `bucket`.
    pub fn reach(bucket: &Bucket) -> String {
        let ca = bucket.server.ca.as_ref().expect("a server over https");
        format!(
            "endpoint_url={},path_style,region=us-east-1,ca_bundle={}",
            bucket.server.endpoint,
            ca.display()
        )
    }

    /// A program in this machine, with hardly any environment, as systemd starts mount(8).
    pub fn command(&self, program: &str, arguments: &[&OsStr]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()))
            .args(["env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin"])
            .arg(program)
            .args(arguments);
        command
    }

    pub fn finish(&self, program: &str, arguments: &[&OsStr]) -> Finished {
        finish(&mut self.command(program, arguments), DEADLINE)
    }

    /// The program must succeed; its stdout.
    pub fn run(&self, program: &str, arguments: &[&OsStr]) -> String {
        run(&mut self.command(program, arguments))
    }

    /// A script whose every command must succeed; `$1`, `$2`, … are `arguments`.
    pub fn sh(&self, script: &str, arguments: &[&Path]) -> String {
        let shell = ["-euo", "pipefail", "-c", script, "bash"].map(OsStr::new);
        let arguments = arguments.iter().map(|path| path.as_os_str());
        let all: Vec<&OsStr> = shell.into_iter().chain(arguments).collect();
        self.run("bash", &all)
    }

    /// What findmnt shows of `mountpoint` in these columns; nothing where it is not mounted.
    pub fn findmnt(&self, columns: &str, mountpoint: &Path) -> String {
        let options = ["--noheadings", "--raw", "--output", columns, "--mountpoint"];
        let mut arguments: Vec<&OsStr> = options.iter().map(OsStr::new).collect();
        arguments.push(mountpoint.as_os_str());
        self.finish("findmnt", &arguments).stdout.trim().to_owned()
    }

    pub fn status(&self, mountpoint: &Path) -> serde_json::Value {
        let arguments = ["status".as_ref(), "--json".as_ref(), mountpoint.as_os_str()];
        serde_json::from_str(&self.run("cloakfs", &arguments)).expect("status in JSON")
    }
}

impl Drop for Machine {
    /// Daemons of a test that failed hold the namespace: without their mounts they end. Only
    /// mounts of this machine are broken off.
    fn drop(&mut self) {
        let script = "findmnt -rno TARGET -t fuse.cloakfs | while read -r at; do
            at=$(printf %b \"$at\")
            case $at in \"$1\"/*) umount -i -f -l \"$at\" ;; esac; done";
        let arguments = ["-c", script, "bash"].map(OsStr::new);
        let place = [self.place.path().as_os_str()];
        let _ = self
            .command("bash", &[&arguments[..], &place[..]].concat())
            .output();
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
