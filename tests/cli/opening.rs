//! Passphrases of client-side volumes, and `decrypt`.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::Command;

use super::client_side::{PASSPHRASE, objects};
use super::{Answer, Place};

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
