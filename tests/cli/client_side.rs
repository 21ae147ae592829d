//! Client-side volumes from the command line: `init`, what a mount refuses, and `decrypt`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::encryption::WAYS;
use super::{Answer, Place, exists, is_mounted};

const PASSPHRASE: &str = "correct horse battery staple";

impl Place {
    /// A volume in the store, whose key is in `key`.
    fn with_volume() -> Self {
        let place = Self::new();
        let answer = place.init(&["--generate-key", "key"]);
        assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{answer:?}");
        place
    }

    fn init(&self, options: &[&str]) -> Answer {
        let store = self.store();
        self.run(&[&["init", &store, "--encryption", "cse-c"], options].concat())
    }

    fn mount(&self, options: &[&str]) -> Answer {
        let store = self.store();
        self.run(&[&["mount", &store, "mnt"], options].concat())
    }

    /// In both ways the mount must be refused.
    #[track_caller]
    fn mount_refused(&self, options: &[&str], code: i32, sentence: &str) {
        for way in WAYS {
            self.mount(&[options, way].concat()).refused(code, sentence);
        }
        assert!(!is_mounted(&self.path("mnt")));
    }

    #[track_caller]
    fn unmount(&self) {
        let answer = self.run(&["umount", "mnt"]);
        assert_eq!(answer.code, Some(0), "{answer:?}");
    }

    /// With the passphrase on descriptor 3.
    fn with_passphrase(&self, passphrase: &str, arguments: &[&str]) -> Answer {
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
fn objects(place: &Place) -> Vec<String> {
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
            &["-o", "encryption=cse-c,names=plain"],
            "--names is for a new volume, whose names stay as they are made; give --create with it, or leave --names out",
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
            &[&own[..], &["--create", "--names", "plain"]].concat(),
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
    // A volume that is there is mounted with --create too.
    let answer = place.mount(&[&own[..], &["--create"]].concat());
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

#[test]
fn a_passphrase_opens_the_volume_that_was_made_with_it() {
    let place = Place::new();
    let store = place.store();
    let init = [
        "init",
        &store,
        "--encryption",
        "cse-c",
        "--passphrase-fd",
        "3",
    ];
    for (passphrase, sentence) in [
        ("", "the passphrase is empty"),
        ("\n", "the passphrase is empty"),
        ("a\nb\n", "the passphrase has more than one line: give one"),
        (
            &"x".repeat(4097),
            "the passphrase is longer than 4096 bytes: give a shorter one, or a key with --key-file",
        ),
    ] {
        place
            .with_passphrase(passphrase, &init)
            .refused(1, sentence);
    }
    // Without a terminal nobody can be asked.
    let mut without = place.environment(Command::new("setsid"));
    without
        .args(["--wait", env!("CARGO_BIN_EXE_cloakfs"), "init", &store])
        .args(["--encryption", "cse-c"]);
    Answer::of(&mut without).refused(
        1,
        "the passphrase cannot be asked for, since there is no terminal: give it with --passphrase-fd, or a key with --key-file",
    );
    assert_eq!(objects(&place), [""; 0]);
    let answer = place.with_passphrase(&format!("{PASSPHRASE}\n"), &init);
    assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{answer:?}");
    let mount = ["mount", &store, "mnt", "--passphrase-fd", "3"];
    place.with_passphrase("wrong", &mount).refused(
        1,
        &format!("the passphrase does not open {store}: it is another one"),
    );
    // The line's end is none of it, and the mode is the volume's.
    let answer = place.with_passphrase(PASSPHRASE, &mount);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    fs::write(place.path("mnt/secret letter"), "the content of the letter").unwrap();
    place.unmount();
    let all: Vec<_> = objects(&place)
        .iter()
        .map(|path| {
            (
                path.clone(),
                String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned(),
            )
        })
        .collect();
    assert_eq!(all.len(), 3, "{all:?}");
    for word in ["secret", "letter", PASSPHRASE] {
        assert!(
            all.iter()
                .all(|(path, bytes)| !path.contains(word) && !bytes.contains(word))
        );
    }
    let object = format!("{store}/secret letter");
    let answer = place.with_passphrase(PASSPHRASE, &["decrypt", &object, "--passphrase-fd", "3"]);
    assert_eq!(
        (answer.code, &*answer.stdout, &*answer.stderr),
        (Some(0), "the content of the letter", "")
    );
}

#[test]
fn one_object_is_decrypted_whole_or_refused() {
    let place = Place::with_volume();
    let store = place.store();
    let own = ["--encryption", "cse-c", "--key-file", "key"];
    assert_eq!(place.mount(&own).code, Some(0));
    // Two segments and the beginning of a third, a hole, and zeros at the end.
    let mut content = vec![0; 3 * (8 << 20) + 70_000];
    for (at, byte) in content[..20_000_000].iter_mut().enumerate() {
        *byte = u8::try_from(at % 251).unwrap();
    }
    content[(8 << 20)..(16 << 20)].fill(0);
    fs::create_dir(place.path("mnt/dir")).unwrap();
    let big = fs::File::create(place.path("mnt/dir/big")).unwrap();
    {
        use std::os::unix::fs::FileExt;
        big.write_all_at(&content[..8 << 20], 0).unwrap();
        big.write_all_at(&content[16 << 20..20_000_000], 16 << 20)
            .unwrap();
        big.set_len(content.len() as u64).unwrap();
    }
    drop(big);
    fs::write(place.path("mnt/dir/empty"), "").unwrap();
    std::os::unix::fs::symlink("dir/big", place.path("mnt/link")).unwrap();
    place.unmount();

    let decrypt = |object: &str, more: &[&str]| {
        let object = format!("{store}/{object}");
        place.run(&[&["decrypt", &object, "--key-file", "key"], more].concat())
    };
    let answer = decrypt("dir/big", &["-o", "out"]);
    assert_eq!((answer.code, &*answer.stderr), (Some(0), ""), "{answer:?}");
    assert!(fs::read(place.path("out")).unwrap() == content);
    let mode = fs::metadata(place.path("out"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
    decrypt("dir/big", &["-o", "out"]).refused(
        1,
        &format!(
            "{} is there already, and is not overwritten: name another file",
            place.path("out")
        ),
    );
    for (object, content) in [("dir/empty", ""), ("link", "dir/big")] {
        let answer = decrypt(object, &[]);
        assert_eq!(
            (answer.code, &*answer.stdout),
            (Some(0), content),
            "{answer:?}"
        );
    }
    // By its stored key too, as a listing of the bucket shows it.
    let stored = objects(&place)
        .into_iter()
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let key = stored
        .strip_prefix(&format!("{}/", place.path("store")))
        .unwrap();
    let answer = decrypt(key.trim_end_matches('%'), &["-o", "out2"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(fs::read(place.path("out2")).unwrap() == content);

    decrypt("dir/none", &[]).refused(
        1,
        "\"dir/none\": there is no such file in the volume, neither by its path nor by its stored key",
    );
    let nowhere = format!("dir:{}", place.path("state/x"));
    place.run(&["decrypt", &nowhere, "--key-file", "key"]).refused(
        2,
        &format!(
            "{nowhere:?} is no object of a client-side volume: write s3://BUCKET/KEY or dir:PATH, with the path of a file as it is below the mountpoint behind the volume's own, or the object's key"
        ),
    );
    // A flipped bit at the end of a segment: nothing is left of what came before it.
    let mut bytes = fs::read(&stored).unwrap();
    let at = bytes.len() - 3_000_000;
    bytes[at] ^= 1;
    fs::write(&stored, bytes).unwrap();
    decrypt("dir/big", &["-o", "out3"]).refused(
        1,
        "\"dir/big\" is not authentic: it was changed, moved here without its key, or mixed from two versions; restore an older version of the object",
    );
    let left: Vec<_> = fs::read_dir(place.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("out3"))
        .collect();
    assert_eq!(left, [""; 0]);
}
