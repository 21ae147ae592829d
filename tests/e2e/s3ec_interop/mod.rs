//! Objects of the Amazon S3 Encryption Client: what the public clients for Python and Java write is
//! read in a mount, and what cloakfs exports is read by them.

mod clients;

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::mount::Mount;
use crate::process::sh;
use crate::raw_objects::RawObjects;
use crate::s3_server::Bucket;
use crate::sealed::{CONTEXT, Place, Root, Row, Sealed};
use clients::{Client, Program};

/// Lengths of what the clients write: nothing, within a block, and more than a mount reads at once.
const LENGTHS: [usize; 4] = [0, 17, 1000, (9 << 20) + 5];

/// What wraps the data keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapping {
    Kms,
    Aes,
    Rsa,
}

#[test]
fn python_and_kms_on_minio() {
    both_ways(Program::Python, Place::Minio, Wrapping::Kms);
}

#[test]
fn python_and_kms_on_localstack() {
    both_ways(Program::Python, Place::LocalStack, Wrapping::Kms);
}

#[test]
fn java_and_kms_on_minio() {
    both_ways(Program::Java, Place::Minio, Wrapping::Kms);
}

#[test]
fn java_and_kms_on_localstack() {
    both_ways(Program::Java, Place::LocalStack, Wrapping::Kms);
}

#[test]
fn java_and_aes_on_minio() {
    both_ways(Program::Java, Place::Minio, Wrapping::Aes);
}

#[test]
fn java_and_aes_on_localstack() {
    both_ways(Program::Java, Place::LocalStack, Wrapping::Aes);
}

#[test]
fn java_and_rsa_on_minio() {
    both_ways(Program::Java, Place::Minio, Wrapping::Rsa);
}

#[test]
fn java_and_rsa_on_localstack() {
    both_ways(Program::Java, Place::LocalStack, Wrapping::Rsa);
}

/// A client-side volume in a bucket, where a client of AWS reads and writes too.
struct Shared {
    sealed: Sealed,
    program: Program,
    wrapping: Wrapping,
    scratch: TempDir,
}

impl Shared {
    fn new(program: Program, place: Place, wrapping: Wrapping) -> Self {
        let root = match wrapping {
            Wrapping::Kms => Root::Kms,
            Wrapping::Aes | Wrapping::Rsa => Root::MasterKey,
        };
        let sealed = Sealed::new(Row::new(place, root, "plain"), "s3ec");
        let scratch = tempfile::tempdir().expect("a directory");
        if wrapping == Wrapping::Rsa {
            let make = "umask 077
                openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem
                openssl pkcs8 -topk8 -nocrypt -in rsa.pem -outform DER -out rsa.der
                openssl pkey -in rsa.pem -pubout -outform DER -out public.der
                openssl pkey -in rsa.pem -pubout -out public.pem";
            sh(scratch.path(), make, &[]);
        }
        Self {
            sealed,
            program,
            wrapping,
            scratch,
        }
    }

    fn bucket(&self) -> &Bucket {
        match &self.sealed.objects {
            RawObjects::Bucket(bucket) => bucket,
            RawObjects::Directory { .. } => panic!("it is in a bucket"),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn client(&self, bucket: &Bucket, context: &[(&str, &str)]) -> Client {
        let key = match self.wrapping {
            Wrapping::Kms => format!("kms:{}", self.sealed.kms_key().arn),
            Wrapping::Aes => {
                let file = self.file("aes");
                fs::write(&file, self.sealed.master_key()).expect("a key file");
                format!("aes:{}", file.display())
            }
            Wrapping::Rsa => format!(
                "rsa:{}:{}",
                self.file("rsa.der").display(),
                self.file("public.der").display()
            ),
        };
        Client::start(self.program, bucket, &key, context, self.scratch.path())
    }

    fn context(&self) -> &'static [(&'static str, &'static str)] {
        match self.wrapping {
            Wrapping::Kms => &CONTEXT,
            Wrapping::Aes | Wrapping::Rsa => &[],
        }
    }

    fn mount(&self) -> Mount {
        let mut options = vec!["--create", "--names", "plain"];
        let key = self.file("rsa.pem").display().to_string();
        if self.wrapping == Wrapping::Rsa {
            options.extend(["--s3ec-rsa-key", &key]);
        }
        Mount::new(&self.sealed.source(), &options)
    }

    /// Runs `cloakfs export` into a bucket, with these options besides.
    fn export(&self, to: &Bucket, more: &[&str]) -> std::process::Output {
        let source = self.sealed.source();
        let (rsa, public) = (self.file("rsa.pem"), self.file("public.pem"));
        let (rsa, public) = (rsa.display().to_string(), public.display().to_string());
        let aes = self.file("aes-private");
        let mut options: Vec<String> = match self.wrapping {
            Wrapping::Kms => {
                let key = self.sealed.kms_key().arn.clone();
                let mut options = vec!["--to-kms-key".to_owned(), key];
                for (name, value) in CONTEXT {
                    options.extend(["--to-kms-context".into(), format!("{name}={value}")]);
                }
                options
            }
            Wrapping::Aes => {
                if !aes.exists() {
                    fs::write(&aes, self.sealed.master_key()).expect("a key file");
                    sh(self.scratch.path(), "chmod 600 \"$1\"", &[&aes]);
                }
                vec!["--to-key-file".into(), aes.display().to_string()]
            }
            Wrapping::Rsa => ["--s3ec-rsa-key", &rsa, "--to-rsa-key", &public]
                .map(str::to_owned)
                .into(),
        };
        options.extend(more.iter().map(ToString::to_string));
        let state = self.file("state");
        let mut command = source.command(env!("CARGO_BIN_EXE_cloakfs"), &state);
        command
            .args(["export", &source.name, &format!("s3://{}/out", to.name)])
            .args(&source.options)
            .args(["--format", "s3ec"])
            .args(options);
        output(&mut command)
    }
}

fn output(command: &mut Command) -> std::process::Output {
    command.output().expect("cloakfs")
}

/// Bytes that no mistake in places leaves as they are.
fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (seed..seed + len)
        .map(|at| u8::try_from((at ^ (at >> 8) ^ (at >> 16)) & 0xff).expect("a byte"))
        .collect()
}

fn xattr(path: &Path, name: &str) -> String {
    let show = "getfattr --absolute-names --only-values -n \"user.cloakfs.$2\" \"$1\"";
    sh(Path::new("/"), show, &[path, Path::new(name)])
}

/// What the client writes is read, and rewritten by a change; what is exported the client reads.
fn both_ways(program: Program, place: Place, wrapping: Wrapping) {
    let shared = Shared::new(program, place, wrapping);
    let mut mount = shared.mount();
    let mut client = shared.client(shared.bucket(), shared.context());
    let mut written = Vec::new();
    for (at, len) in LENGTHS.into_iter().enumerate() {
        for version in ["v2", "v3"] {
            let name = format!("{version}-{len}");
            let content = pattern(len, at);
            client.put(&name, &content, version, false);
            written.push((name, content, version));
        }
    }
    if program == Program::Java {
        for version in ["v2", "v3"] {
            let (name, content) = (format!("{version}-instruction"), pattern(5000, 3));
            client.put(&name, &content, version, true);
            let keys = shared.sealed.objects.keys();
            assert!(keys.contains(&format!("{name}.instruction")), "{keys:?}");
            written.push((name, content, version));
        }
    }
    let wrapping_told = match wrapping {
        Wrapping::Kms => "kms+context",
        Wrapping::Aes => "AES/GCM",
        Wrapping::Rsa => "RSA-OAEP-SHA1",
    };
    for (name, content, version) in &written {
        let path = mount.path().join(name);
        assert!(fs::read(&path).expect(name) == *content, "{name}");
        assert_eq!(xattr(&path, "mode"), "s3ec", "{name}");
        assert_eq!(xattr(&path, "format"), format!("s3ec-{version}"), "{name}");
        assert_eq!(xattr(&path, "wrapping"), wrapping_told, "{name}");
    }
    ranges(&mount.path().join("v3-9437189"), &written);
    refused(&shared, &mount);
    changed(&shared, &mount, &mut client);
    fs::write(mount.path().join("own"), pattern((17 << 20) + 1, 9)).expect("a large file");
    fs::create_dir(mount.path().join("dir")).expect("a directory");
    fs::write(mount.path().join("dir/empty"), b"").expect("an empty file");
    mount.unmount();
    exported(&shared, &written);
}

/// Ranges in no order.
fn ranges(path: &Path, written: &[(String, Vec<u8>, &str)]) {
    let name = path.file_name().and_then(|name| name.to_str());
    let whole = written.iter().find(|(own, ..)| Some(own.as_str()) == name);
    let (_, whole, _) = whole.expect("it was written");
    let mut file = fs::File::open(path).expect("a file");
    for at in [8 << 20, 3, 5 << 20, (1 << 18) - 1, whole.len() - 9] {
        let mut read = vec![0; 9];
        file.seek(SeekFrom::Start(at as u64)).expect("a place");
        file.read_exact(&mut read).expect("its bytes");
        assert_eq!(read, whole[at..at + 9], "at {at}");
    }
}

/// What is under another key or context, or was changed.
fn refused(shared: &Shared, mount: &Mount) {
    if shared.wrapping == Wrapping::Kms {
        let mut other = shared.client(shared.bucket(), &[("tenant", "another")]);
        for version in ["v2", "v3"] {
            let name = format!("other-{version}");
            other.put(&name, b"of another tenant", version, false);
            let path = mount.path().join(&name);
            let error = fs::read(&path).expect_err("it is not the mount's");
            assert_eq!(error.raw_os_error(), Some(libc::EIO), "{error}");
            fs::remove_file(path).expect("it can be deleted");
        }
        let words = "was encrypted with another encryption context than the mount's";
        assert!(mount.has_logged(words), "{}", mount.log());
    }
    for version in ["v2", "v3"] {
        let (from, to) = (format!("{version}-1000"), format!("changed-{version}"));
        let mut object = shared.sealed.read(&from);
        object.body[500] ^= 1;
        shared.sealed.write(&to, &object);
        let path = mount.path().join(&to);
        let error = fs::read(&path).expect_err("it was changed");
        assert_eq!(error.raw_os_error(), Some(libc::EIO), "{error}");
        fs::remove_file(path).expect("it can be deleted");
    }
}

/// A change makes it the volume's own, which the client does not read any more.
fn changed(shared: &Shared, mount: &Mount, client: &mut Client) {
    let (content, name) = (pattern(1000, 2), "to-change");
    client.put(name, &content, "v3", false);
    let path = mount.path().join(name);
    let mut file = fs::File::options()
        .append(true)
        .open(&path)
        .expect("a file");
    file.write_all(b" and more").expect("a write");
    drop(file);
    let now = [&content[..], b" and more"].concat();
    assert!(fs::read(&path).expect("the file") == now);
    assert_ne!(xattr(&path, "mode"), "s3ec");
    let metadata = shared.sealed.read(name).metadata;
    assert!(metadata.contains_key("cloakfs-record"), "{metadata:?}");
    assert!(!metadata.keys().any(|name| name.starts_with("x-amz-")));
    assert!(client.get(name).is_err());
    fs::rename(&path, mount.path().join("changed")).expect("a rename");
}

fn exported(shared: &Shared, written: &[(String, Vec<u8>, &str)]) {
    let to = shared.bucket().server.bucket("s3ec-out");
    let done = shared.export(&to, &[]);
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout).into_owned(),
        String::from_utf8_lossy(&done.stderr).into_owned(),
    );
    // An instruction file is no file with content.
    let instructions = written
        .iter()
        .filter(|(name, ..)| name.ends_with("instruction"));
    let left_out = instructions.count();
    assert_eq!(done.status.success(), left_out == 0, "{out}{err}");
    assert_eq!(
        err.matches("is an instruction file").count(),
        left_out,
        "{err}"
    );
    let mut expected: Vec<(String, Vec<u8>)> = written
        .iter()
        .map(|(name, content, _)| (name.clone(), content.clone()))
        .collect();
    expected.push(("own".into(), pattern((17 << 20) + 1, 9)));
    expected.push(("dir/empty".into(), Vec::new()));
    expected.push((
        "changed".into(),
        [&pattern(1000, 2)[..], b" and more"].concat(),
    ));
    let mut reader = shared.client(&to, shared.context());
    for (name, content) in &expected {
        let read = reader.get(&format!("out/{name}"));
        assert!(read.as_ref() == Ok(content), "{name}: {:?}", read.err());
    }
    assert_eq!(to.client.keys("").len(), expected.len());
    let etag = to.client.head("out/own").etag;
    let metadata = to.client.head("out/own").metadata;
    assert_eq!(metadata["x-amz-c"], "115");
    // Nothing is replaced unless that is asked for.
    let again = shared.export(&to, &[]);
    let words = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1));
    let refused = "is there already, and is not replaced: delete it, or give --force";
    assert_eq!(words.matches(refused).count(), expected.len(), "{words}");
    assert_eq!(to.client.head("out/own").etag, etag);
    let forced = shared.export(&to, &["--force"]);
    assert_eq!(forced.status.success(), left_out == 0);
    assert_ne!(to.client.head("out/own").etag, etag);
    assert_eq!(to.client.uploads("out/own"), [""; 0]);
}
