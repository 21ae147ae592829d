//! Client-side volumes from the command line: what is a wrong one, `init`, and what a mount
//! refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::encryption::WAYS;
use super::{Answer, Place, exists, is_mounted};

pub const PASSPHRASE: &str = "correct horse battery staple";

impl Place {
    /// A volume in the store, whose key is in `key`.
    pub fn with_volume() -> Self {
        let place = Self::new();
        let answer = place.init(&["--generate-key", "key"]);
        assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{answer:?}");
        place
    }

    pub fn init(&self, options: &[&str]) -> Answer {
        let store = self.store();
        self.run(&[&["init", &store, "--encryption", "cse-c"], options].concat())
    }

    pub fn mount(&self, options: &[&str]) -> Answer {
        let store = self.store();
        self.run(&[&["mount", &store, "mnt"], options].concat())
    }

    /// In both ways the mount must be refused.
    #[track_caller]
    pub fn mount_refused(&self, options: &[&str], code: i32, sentence: &str) {
        for way in WAYS {
            self.mount(&[options, way].concat()).refused(code, sentence);
        }
        assert!(!is_mounted(&self.path("mnt")));
    }

    #[track_caller]
    pub fn unmount(&self) {
        let answer = self.run(&["umount", "mnt"]);
        assert_eq!(answer.code, Some(0), "{answer:?}");
    }

    /// With the passphrase on descriptor 3.
    pub fn with_passphrase(&self, passphrase: &str, arguments: &[&str]) -> Answer {
        fs::write(self.path("passphrase"), passphrase).unwrap();
        let mut command = self.environment(Command::new("sh"));
        command
            .args(["-c", "exec \"$@\" 3<passphrase", "sh"])
            .arg(env!("CARGO_BIN_EXE_cloakfs"))
            .args(arguments);
        Answer::of(&mut command)
    }
}

/// Every file of a store but its own state.
pub fn objects(place: &Place) -> Vec<String> {
    fn walk(dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path.display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(&place.path("store")), &mut found);
    found.retain(|path| !path.contains("/.%"));
    found
}

#[test]
fn options_that_do_not_go_together_are_a_wrong_command_line() {
    let place = Place::new();
    let cse_c = ["--encryption", "cse-c"];
    for (options, sentence) in [
        (
            &["--encryption", "cse-kms"][..],
            "--encryption cse-kms needs a key of KMS: give --kms-key with its id, its ARN, alias/NAME or an alias's ARN",
        ),
        (
            &["--encryption", "cse-kms", "--kms-key", ""],
            "--kms-key \"\" is not the name of a key: write its id, its ARN, alias/NAME or an alias's ARN",
        ),
        (
            &[
                "--encryption",
                "cse-kms",
                "--kms-key",
                "k",
                "--kms-context",
                "cloakfs:volume=1",
            ],
            "--kms-context: the encryption context \"cloakfs:volume=1\" has a name that begins with cloakfs:, which cloakfs adds itself: choose another",
        ),
        (
            &[
                "--encryption",
                "cse-kms",
                "--kms-key",
                "k",
                "--kms-endpoint-url",
                "http://kms.invalid",
            ],
            "--kms-endpoint-url http://kms.invalid is plain http, where others could answer with a key of theirs; give an endpoint with https://, or one on this machine",
        ),
        (
            &["-o", "encryption=cse-c,attributes=s3"],
            "--attributes s3 takes attributes from listings, and with --encryption cse-c they are sealed in the objects; leave it out",
        ),
        (
            &["-o", "encryption=cse-c,kms_key=k"],
            "--kms-key is for --encryption cse-kms, and the mode is cse-c; give --encryption cse-kms, or leave --kms-key out",
        ),
        (
            &["--encryption", "none", "--create"],
            "--create is for --encryption cse-kms and cse-c, and the mode is none; give one of them, or leave --create out",
        ),
        (
            &["--encryption", "cse-c", "--passphrase-fd", "77"],
            "--passphrase-fd 77 is no open descriptor: open it in the shell, as in 77<FILE",
        ),
        (
            &["--encryption", "cse-c", "--endpoint-url", "https://h"],
            "--endpoint-url is for s3:// sources, and DIR is a local directory; leave it out",
        ),
    ] {
        place.mount_refused(options, 2, &sentence.replace("DIR", &place.store()));
    }
    place.mount_refused(
        &[&cse_c[..], &["--key-file", "k", "--passphrase-fd", "0"]].concat(),
        2,
        "--key-file and --passphrase-fd exclude each other: either of them opens the volume; leave one of them out",
    );
    for (reuse, said) in [("0", "0 is not in"), ("4294967297", "4294967297 is not in")] {
        let answer = place.mount(&[&cse_c[..], &["--data-key-reuse", reuse]].concat());
        assert_eq!(answer.code, Some(2), "{answer:?}");
        assert!(answer.stderr.contains(said), "{answer:?}");
    }
    let store = place.store();
    for (options, sentence) in [
        (
            &["--encryption", "sse-c", "--key-file", "k"][..],
            "--encryption sse-c needs no volume: mount the source with it; a volume is made for cse-kms and cse-c",
        ),
        (
            &["--encryption", "cse-c", "--kms-key", "k"],
            "--kms-key is for cse-kms, and the mode is cse-c; leave --kms-key out",
        ),
        (
            &[
                "--encryption",
                "cse-kms",
                "--kms-key",
                "k",
                "--generate-key",
                "f",
            ],
            "--generate-key is for cse-c, and the mode is cse-kms; leave --generate-key out",
        ),
        (
            &[
                "--encryption",
                "cse-c",
                "--key-file",
                "k",
                "--generate-key",
                "f",
            ],
            "--key-file and --generate-key exclude each other: the one is a key that you have, the other a file for a new one",
        ),
    ] {
        let answer = place.run(&[&["init", &store], options].concat());
        answer.refused(2, sentence);
    }
    assert_eq!(objects(&place), [""; 0]);
}

#[test]
fn init_makes_a_volume_and_its_key_once() {
    let place = Place::new();
    let store = place.store();
    let answer = place.init(&["--generate-key", "key", "--export", "record"]);
    assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{answer:?}");
    let key = place.path("key");
    assert!(
        answer.stdout.starts_with(&format!("{store} is now the volume "))
            && answer.stdout.ends_with(&format!(
                "\nits key is in {key}: keep a copy elsewhere, since without it nothing can be read\n"
            )),
        "{answer:?}"
    );
    for name in ["key", "record"] {
        let mode = fs::metadata(place.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
    let text = fs::read_to_string(&key).unwrap();
    assert_eq!(text.trim_end().len(), 44, "base64");
    let record = fs::read(place.path("record")).unwrap();
    let stored = fs::read(place.path("store/.cloakfs/volume-a%")).unwrap();
    assert!(stored.ends_with(&record));
    // Nothing of it is written over.
    for (options, at) in [
        (["--generate-key", "key"], &key),
        (["--export", "record"], &place.path("record")),
    ] {
        let options = [
            &options[..],
            &["--key-file", "key"][..2 * usize::from(options[0] == "--export")],
        ];
        place.init(&options.concat()).refused(
            1,
            &format!("{at} is there already, and is not overwritten: name another file"),
        );
    }
    place.init(&["--generate-key", "key2"]).refused(
        1,
        &format!("{store} is a client-side volume already, and a volume is made once: mount it"),
    );
    assert!(!exists(&place.path("key2")), "no key of no volume");
    assert_eq!(fs::read_to_string(&key).unwrap(), text);
}

#[test]
fn a_store_with_something_in_it_becomes_no_volume() {
    let place = Place::new();
    let store = place.store();
    assert_eq!(place.mount(&[]).code, Some(0));
    fs::write(place.path("mnt/file"), "content").unwrap();
    place.unmount();
    let sentence = format!(
        "{store} cannot become a client-side volume, because it is not empty: there is \"file\"; choose an empty prefix, and copy files in through the mount"
    );
    place.init(&["--generate-key", "key"]).refused(1, &sentence);
    assert!(!exists(&place.path("key")));
    fs::write(place.path("key"), [7; 32]).unwrap();
    fs::set_permissions(place.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let create = ["--encryption", "cse-c", "--key-file", "key", "--create"];
    place.mount_refused(&create, 1, &sentence);
}

#[test]
fn a_wrong_key_or_mode_is_told_in_one_sentence() {
    let place = Place::with_volume();
    let store = place.store();
    fs::write(place.path("other"), [7; 32]).unwrap();
    fs::set_permissions(place.path("other"), fs::Permissions::from_mode(0o600)).unwrap();
    let own = ["--encryption", "cse-c", "--key-file", "key"];
    for (options, sentence) in [
        (
            &["--encryption", "cse-c", "--key-file", "other"][..],
            format!(
                "the volume record of {store} does not open with this master key: it is not the key of this volume"
            ),
        ),
        (
            &[],
            format!(
                "{store} is a client-side volume: give --encryption cse-c and its key with --key-file"
            ),
        ),
        (
            &["--encryption", "none"],
            format!(
                "{store} is a client-side volume, and with --encryption none its objects would be taken for plain ones: mount it with --encryption cse-c"
            ),
        ),
        (
            &["--encryption", "cse-kms", "--kms-key", "k"],
            format!(
                "{store} was made with --encryption cse-c, and cse-kms was asked for: mount it with cse-c"
            ),
        ),
        (
            &[&own[..], &["--names", "plain"]].concat(),
            format!(
                "{store} was made with --names encrypted, and how names are stored does not change: leave --names out"
            ),
        ),
    ] {
        place.mount_refused(options, 1, &sentence);
    }
    let answer = place.with_passphrase(
        PASSPHRASE,
        &[
            "mount",
            &store,
            "mnt",
            "--encryption",
            "cse-c",
            "--passphrase-fd",
            "3",
        ],
    );
    answer.refused(
        1,
        &format!(
            "{store} has no passphrase, only a key: give the file that holds it with --key-file"
        ),
    );
    // A volume that is there is mounted with --create too, and with its own --names.
    let answer = place.mount(&[&own[..], &["--create", "--names", "encrypted"]].concat());
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let status = place.run(&["status", "mnt", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(
        (&status["mode"], &status["names"]),
        (&"cse-c".into(), &"encrypted".into())
    );
    assert_eq!(status["volume"].as_str().unwrap().len(), 32);
    assert_eq!(status["key_check"].as_str().unwrap().len(), 16);
    place.unmount();
}

#[test]
fn a_mount_makes_no_volume_that_it_was_not_asked_for() {
    let place = Place::new();
    let store = place.store();
    fs::write(place.path("key"), [7; 32]).unwrap();
    fs::set_permissions(place.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let own = ["--encryption", "cse-c", "--key-file", "key"];
    place.mount_refused(
        &own,
        1,
        &format!(
            "{store} is no client-side volume yet: make it with `cloakfs init {store} --encryption cse-c` and its key, or mount it with --create"
        ),
    );
    place.mount_refused(
        &[&own[..], &["--create", "--read-only"]].concat(),
        1,
        &format!(
            "{store} is no client-side volume yet, and a read-only mount makes none: leave --read-only out, or --create"
        ),
    );
    let answer = place.with_passphrase(
        PASSPHRASE,
        &["mount", &store, "mnt", "--passphrase-fd", "3"],
    );
    answer.refused(
        1,
        "--passphrase-fd is for a client-side volume, and there is none here: make one with `cloakfs init`, or with --encryption cse-c --create; or leave --passphrase-fd out",
    );
    assert_eq!(objects(&place), [""; 0]);
}
