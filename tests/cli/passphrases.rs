//! `cloakfs keys passphrase`, on a volume in a local directory.

use std::fs;
use std::process::Command;

use super::client_side::PASSPHRASE;
use super::terminal::Terminal;
use super::{Answer, Place, exists};

const NEW: &str = "another one altogether";
const REVOKES_NOT: &str = "who kept an older copy of its record (an export, a backup, an older version in the bucket) opens that with the old passphrase, and has the same key: delete such copies";

impl Place {
    /// A volume with a passphrase and no key file.
    fn with_a_passphrase() -> Self {
        let place = Self::new();
        let store = place.store();
        let made = place.with_passphrase(
            PASSPHRASE,
            &[
                "init",
                &store,
                "--encryption",
                "cse-c",
                "--passphrase-fd",
                "3",
            ],
        );
        assert_eq!(made.code, Some(0), "{made:?}");
        place
    }

    /// With the old passphrase on descriptor 3 and the new one on 4.
    fn change(&self, old: &str, new: &str, options: &[&str]) -> Answer {
        fs::write(self.path("old"), old).unwrap();
        fs::write(self.path("new"), new).unwrap();
        let mut command = self.environment(Command::new("sh"));
        command
            .args(["-c", "exec \"$@\" 3<old 4<new", "sh"])
            .arg(env!("CARGO_BIN_EXE_cloakfs"))
            .args(["keys", "passphrase", &self.store()])
            .args(["--new-passphrase-fd", "4"])
            .args(options);
        Answer::of(&mut command)
    }

    /// A file is written and read back through a mount.
    #[track_caller]
    fn opens_with(&self, passphrase: &str) {
        let store = self.store();
        let mounted = self.with_passphrase(
            passphrase,
            &["mount", &store, "mnt", "--passphrase-fd", "3"],
        );
        assert_eq!(mounted.code, Some(0), "{mounted:?}");
        let file = self.path("mnt/file");
        if exists(&file) {
            assert_eq!(fs::read_to_string(&file).unwrap(), "content");
        }
        fs::write(&file, "content").unwrap();
        self.unmount();
    }

    #[track_caller]
    fn does_not_open_with(&self, passphrase: &str) {
        let store = self.store();
        let sentence = format!("the passphrase does not open {store}: it is another one");
        self.with_passphrase(
            passphrase,
            &["mount", &store, "mnt", "--passphrase-fd", "3"],
        )
        .refused(1, &sentence);
    }

    fn records(&self) -> [Vec<u8>; 2] {
        ["volume-a%", "volume-b%"]
            .map(|name| fs::read(self.path(&format!("store/.cloakfs/{name}"))).unwrap())
    }
}

#[test]
fn a_changed_passphrase_opens_the_volume_and_its_files_and_the_old_one_does_not() {
    let place = Place::with_a_passphrase();
    place.opens_with(PASSPHRASE);
    let store = place.store();
    let answer = place.change(
        PASSPHRASE,
        &format!("{NEW}\n"),
        &["--passphrase-fd", "3", "--export", "record"],
    );
    assert_eq!(
        (answer.code, &*answer.stderr, &*answer.stdout),
        (
            Some(0),
            "",
            &*format!(
                "{store} has its new passphrase, and the old one opens it no more\n{REVOKES_NOT}\n"
            )
        )
    );
    place.does_not_open_with(PASSPHRASE);
    place.opens_with(NEW);
    // Both copies, and what was exported, are the same record.
    let record = fs::read(place.path("record")).unwrap();
    for stored in place.records() {
        assert!(stored.ends_with(&record));
    }
}

#[test]
fn a_wrong_passphrase_or_a_wrong_new_one_changes_nothing() {
    let place = Place::with_a_passphrase();
    let (store, before) = (place.store(), place.records());
    let fd = ["--passphrase-fd", "3"];
    place.change("guess", NEW, &fd).refused(
        1,
        &format!("the passphrase does not open {store}: it is another one"),
    );
    place.change(PASSPHRASE, "", &fd).refused(
        1,
        "the new passphrase cannot be taken: the passphrase is empty",
    );
    place.change(PASSPHRASE, "two\nlines", &fd).refused(
        1,
        "the new passphrase cannot be taken: the passphrase has more than one line: give one",
    );
    fs::write(place.path("record"), "there").unwrap();
    place
        .change(
            PASSPHRASE,
            NEW,
            &[&fd[..], &["--export", "record"]].concat(),
        )
        .refused(
            1,
            &format!(
                "{} is there already, and is not overwritten: name another file",
                place.path("record")
            ),
        );
    place.change(PASSPHRASE, NEW, &["--passphrase-fd", "4"]).refused(
        2,
        "--passphrase-fd and --new-passphrase-fd are the same descriptor: give each passphrase on one of its own",
    );
    let closed = ["keys", "passphrase", &store, "--new-passphrase-fd", "77"];
    place.run(&closed).refused(
        2,
        "--new-passphrase-fd 77 is no open descriptor: open it in the shell, as in 77<FILE",
    );
    // A session of its own has no terminal.
    let mut alone = place.environment(Command::new("setsid"));
    alone
        .args(["--wait", env!("CARGO_BIN_EXE_cloakfs")])
        .args(["keys", "passphrase", &store]);
    Answer::of(&mut alone).refused(
        2,
        "the new passphrase cannot be asked for, since there is no terminal: give it with --new-passphrase-fd",
    );
    assert_eq!(place.records(), before);
    place.opens_with(PASSPHRASE);
}

#[test]
fn who_has_the_key_sets_a_passphrase_and_forgets_another() {
    let place = Place::with_volume();
    let store = place.store();
    let fd = ["--passphrase-fd", "3"];
    place.change(PASSPHRASE, NEW, &fd).refused(
        1,
        &format!(
            "{store} has no passphrase, only a key: give the file that holds it with --key-file"
        ),
    );
    let first = place.change("", PASSPHRASE, &["--key-file", "key"]);
    assert_eq!(
        (first.code, &*first.stdout),
        (
            Some(0),
            &*format!("{store} has a passphrase now, beside its key\n")
        ),
        "{first:?}"
    );
    place.opens_with(PASSPHRASE);
    let other = place.change("", NEW, &["--key-file", "key"]);
    assert_eq!(other.code, Some(0), "{other:?}");
    place.opens_with(NEW);
    place.does_not_open_with(PASSPHRASE);
    let by_key = place.mount(&["--encryption", "cse-c", "--key-file", "key"]);
    assert_eq!(by_key.code, Some(0), "{by_key:?}");
    place.unmount();
    place
        .change("", NEW, &["--key-file", "key", "--passphrase-fd", "3"])
        .refused(
            2,
            "--key-file and --passphrase-fd exclude each other: either of them opens the volume; leave one of them out",
        );
}

/// As a crash between the two copies leaves it: either passphrase opens the volume, and doing it
/// again ends it.
#[test]
fn what_was_interrupted_is_done_again() {
    let place = Place::with_a_passphrase();
    place.opens_with(PASSPHRASE);
    let [_, second] = place.records();
    let fd = ["--passphrase-fd", "3"];
    assert_eq!(place.change(PASSPHRASE, NEW, &fd).code, Some(0));
    let path = place.path("store/.cloakfs/volume-b%");
    fs::write(&path, &second).unwrap();
    let again = place.change(PASSPHRASE, NEW, &fd);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(
        again.stderr.contains("\".cloakfs/volume-b\" of the volume record is not authentic or older than the other; it was restored from the other"),
        "{again:?}"
    );
    place.opens_with(NEW);
    place.does_not_open_with(PASSPHRASE);
}

#[test]
fn a_place_without_a_volume_has_no_passphrase() {
    let place = Place::new();
    let store = place.store();
    place
        .change(PASSPHRASE, NEW, &["--passphrase-fd", "3"])
        .refused(
            1,
            &format!("{store} is no client-side volume, so it has no passphrase"),
        );
}

/// Nothing that is typed is shown, and the new one is asked for twice.
#[test]
fn on_a_terminal_the_new_passphrase_is_asked_for_twice() {
    let place = Place::with_a_passphrase();
    let store = place.store();
    let before = place.records();
    let start = || Terminal::start(place.command().args(["keys", "passphrase", &store]));
    let (old, new) = (
        format!("Passphrase of {store}: "),
        format!("New passphrase of {store}: "),
    );
    let mut mistyped = start();
    mistyped.answer(&old, PASSPHRASE);
    mistyped.answer(&new, NEW);
    mistyped.answer("The same again: ", "another one altogetner");
    let (status, shown) = mistyped.finish();
    assert_eq!(status.code(), Some(1), "{shown}");
    assert!(
        shown.ends_with("cloakfs: the new passphrase cannot be taken: the two passphrases differ: nothing was done\n"),
        "{shown}"
    );
    assert_eq!(place.records(), before);

    let mut wrong = start();
    wrong.answer(&old, "guess");
    let (status, shown) = wrong.finish();
    assert_eq!(status.code(), Some(1), "{shown}");
    assert!(!shown.contains("New passphrase"), "{shown}");

    let mut right = start();
    right.answer(&old, PASSPHRASE);
    right.answer(&new, NEW);
    right.answer("The same again: ", NEW);
    let (status, shown) = right.finish();
    assert!(status.success(), "{shown}");
    for secret in [PASSPHRASE, NEW] {
        assert!(!shown.contains(secret), "{shown}");
    }
    place.opens_with(NEW);
}
