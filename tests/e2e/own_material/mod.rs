//! Keys of one's own in LocalStack's KMS, by `cloakfs keys`: imported, wrapped by openssl and by
//! cloakfs, deleted while a bucket is mounted under them, and brought back.
//!
//! LocalStack keeps the material that was imported and encrypts with it; it takes other material
//! in its place, and lets none expire (`tests/keys` has a KMS that does what AWS's does).

mod asked;
mod wrapped;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::localstack::{KmsKey, LocalStack};
use crate::modes;
use crate::mount::{CLOAKFS, Mount, Source};
use crate::process::{DEADLINE, Finished, finish, sh};
use crate::proofs::{self, kms_headers, refused};
use crate::traces::hex;
use crate::tree::bytes;
use crate::wait::until;

const CONTEXT: [(&str, &str); 1] = [("tenant", "a")];

/// A place with keys, and the way to KMS.
pub struct Keys {
    place: TempDir,
    source: Source,
}

impl Keys {
    pub fn new() -> Self {
        let bucket = LocalStack::shared().bucket("own-material");
        let mut source = bucket.source_with_kms();
        // Those of `keys` have no S3.
        source.options.retain(|option| option != "--path-style");
        Self {
            place: tempfile::tempdir().expect("a directory"),
            source,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// `cloakfs keys ARGUMENTS`, where paths are relative to the place.
    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.source.command(CLOAKFS, &self.path("state"));
        command
            .current_dir(self.place.path())
            .arg("keys")
            .args(arguments)
            .args(&self.source.options);
        command
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.command(arguments), DEADLINE)
    }

    #[track_caller]
    pub fn done(&self, arguments: &[&str]) -> String {
        let finished = self.run(arguments);
        assert!(finished.status.success(), "{arguments:?}: {finished:?}");
        finished.stdout
    }

    /// A new key in a file.
    pub fn generate(&self, name: &str) -> Vec<u8> {
        let mut command = self.source.command(CLOAKFS, &self.path("state"));
        command.args(["keys", "generate"]).arg(self.path(name));
        let made = finish(&mut command, DEADLINE);
        assert!(made.status.success(), "{made:?}");
        fs::read(self.path(name)).expect("a key")
    }

    /// An alias that nobody has.
    pub fn alias(&self, name: &str) -> String {
        let place = self.place.path().file_name().expect("a name");
        let place = place.to_str().expect("in ASCII");
        format!("alias/{name}-{}", place.trim_start_matches('.'))
    }
}

fn sse_kms(bucket: &crate::s3_server::Bucket, alias: &str, key: &KmsKey) -> modes::Mode {
    let mode = modes::sse_kms(Some(alias), &key.arn, &[]);
    proofs::localstack_checks_kms_keys(&bucket.client);
    mode
}

#[track_caller]
fn assert_denied<T>(what: &str, outcome: io::Result<T>) {
    let Err(error) = outcome else {
        panic!("{what} went well")
    };
    assert_eq!(error.raw_os_error(), Some(libc::EACCES), "{what}: {error}");
}

/// Whether what `key` encrypts opens with `other`'s material: the key's id is the head of a
/// ciphertext of LocalStack's, and is not bound to the rest.
fn have_the_same_material(key: &KmsKey, other: &KmsKey) -> bool {
    let kms = LocalStack::kms();
    let mut blob = kms.generate(key, &CONTEXT);
    assert!(blob.starts_with(key.id.as_bytes()), "LocalStack's own form");
    blob[..key.id.len()].copy_from_slice(other.id.as_bytes());
    kms.opens(other, &CONTEXT, &blob)
}

#[test]
fn files_under_deleted_material_are_denied_and_come_back_with_it() {
    let keys = Keys::new();
    let bucket = LocalStack::shared().bucket("material-outage");
    let alias = keys.alias("outage");
    keys.generate("key");
    let import = ["import", "--key-file", "key", "--alias", &*alias];
    let told = keys.done(&import);
    assert!(
        told.contains(&format!("\n{alias} now leads to the key ")),
        "{told}"
    );
    let key = LocalStack::kms().behind(&alias);
    let mode = sse_kms(&bucket, &alias, &key);
    let (small, large) = (bytes(1, 200_000), bytes(2, 12 << 20));
    // Objects that need no key are somebody else's.
    bucket.client.put("plain", small.clone());
    let mut mount = Mount::new(&mode.source(&bucket), &[]);
    let root = mount.path();
    for (name, content) in [("old", &small), ("changed", &small), ("large", &large)] {
        fs::write(root.join(name), content).expect("writing");
        mode.expected.assert_on(&bucket.client, name);
    }
    // What is read afterwards comes from the bucket.
    mount.remount();
    let mut open = OpenOptions::new()
        .read(true)
        .write(true)
        .open(root.join("changed"))
        .expect("opening");
    open.write_all(b"acknowledged").expect("writing");

    let told = keys.done(&["delete-material", &alias, "--yes"]);
    assert!(
        told.contains("nobody can read or change objects that S3 encrypts under it (sse-kms)"),
        "{told}"
    );
    // The server's own behaviour first: it is the key that is missing.
    let asked = bucket.client.with(kms_headers(&key.arn));
    let answer = asked.put("probe", "x").expect_err("without material");
    assert_eq!(answer, refused(400, "KMS.DisabledException"));
    for name in ["old", "large"] {
        assert_denied("reading", fs::read(root.join(name)));
    }
    assert_denied("fsync", open.sync_all());
    assert_denied("a new file", {
        let mut file = fs::File::create(root.join("new")).expect("creating");
        file.write_all(&small).expect("writing into memory");
        file.sync_all()
    });
    assert!(fs::read(root.join("plain")).expect("it needs no key") == small);
    for name in ["old", "changed", "new"] {
        let log = mount.log();
        let line = log.lines().find(|line| line.contains(&format!("{name:?}")));
        let line = line.unwrap_or_else(|| panic!("nothing about {name}:\n{log}"));
        assert!(line.contains("is disabled"), "{line}");
    }

    let shown = keys.done(&["show", &alias]);
    let told = format!(
        "state        PendingImport: it has no material; `cloakfs keys import --kms-key {} --key-file FILE` imports it\n",
        key.id
    );
    assert!(shown.contains(&told), "{shown}");
    let told = keys.done(&import);
    assert!(
        told.starts_with(&format!(
            "{alias} leads to the key {}, which waits for its material\n",
            key.arn
        )),
        "{told}"
    );
    open.sync_all().expect("the same file is saved now");
    drop(open);
    let synced = mount.cloakfs("sync", &[]);
    assert!(synced.status.success(), "{synced:?}");
    let back = until(Duration::from_secs(30), || fs::read(root.join("old")).ok());
    assert!(back.expect("reading goes on") == small);
    assert!(fs::read(root.join("large")).expect("reading") == large);
    drop(mount);
    let changed = [b"acknowledged", &small[12..]].concat();
    for (object, content) in [
        ("old", &small),
        ("changed", &changed),
        ("new", &small),
        ("large", &large),
    ] {
        mode.expected.assert_on(&bucket.client, object);
        assert!(bucket.client.read(object) == *content, "{object} differs");
    }
}

#[test]
fn an_import_says_what_was_done_and_what_to_keep_and_never_the_key() {
    let keys = Keys::new();
    let material = keys.generate("key");
    let alias = keys.alias("told");
    let import = ["import", "--key-file", "key", "--alias", &*alias];
    let first = keys.run(&import);
    assert!(first.status.success(), "{first:?}");
    let key = LocalStack::kms().behind(&alias);
    let arn = &key.arn;
    let file = keys.path("key");
    // As S3 has it beside a customer's key.
    let check = sh(
        keys.place.path(),
        "openssl dgst -md5 -binary key | base64",
        &[],
    );
    let check = check.trim();
    assert_eq!(
        first.stdout,
        format!(
            "the key {arn} was made, for material of your own (origin EXTERNAL)\n\
             {alias} now leads to the key {arn}\n\
             the material was imported\n\
             the key encrypts, and decrypts what it encrypted\n\
             keep {} (check value {check}) where it is safe: KMS gives it to nobody, and should the material be deleted, only the same 32 bytes, imported again into {arn}, bring back what is encrypted under it\n\
             use it with --encryption sse-kms or cse-kms and --kms-key {alias}\n",
            file.display()
        )
    );
    let again = keys.run(&import);
    assert!(again.status.success(), "{again:?}");
    assert!(again.stdout.starts_with(&format!(
        "{alias} leads to the key {arn}\nit has material (it does not expire): the same is imported again\n"
    )));
    let shown = keys.run(&["show", &alias, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!(
        [
            &json["arn"],
            &json["state"],
            &json["origin"],
            &json["expires"]
        ],
        [&**arn, "Enabled", "EXTERNAL", "never"]
    );
    assert_eq!(json["aliases"], serde_json::json!([alias]));
    assert_eq!(json["rotation"]["automatic"], false);
    // LocalStack does not know that one.
    let reason = json["rotations"]["not_known"].as_str();
    assert!(reason.is_some_and(|reason| reason.contains("does not tell its rotations")));
    // Other material: LocalStack takes it, and is found out.
    keys.generate("other");
    let other = keys.run(&["import", "--key-file", "other", "--alias", &alias]);
    assert!(!other.status.success(), "{other:?}");
    assert!(
        other.stderr.contains(
            "this KMS took other material in place of what was there, which AWS's refuses"
        ),
        "{other:?}"
    );
    for finished in [&first, &again, &shown, &other] {
        for said in [&finished.stdout, &finished.stderr] {
            for form in [hex(&material), STANDARD.encode(&material)] {
                assert!(!said.contains(&form[..16]), "{said}");
            }
        }
    }
}
