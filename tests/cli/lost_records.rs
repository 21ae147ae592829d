//! What belongs to a volume is not mounted as a plain directory, which would be written to in
//! clear: a volume whose records are gone, a directory in a volume.

use std::fs;

use super::client_side::objects;
use super::{Place, exists};

#[test]
fn a_volume_without_its_records_is_not_mounted_plainly() {
    for names in ["plain", "encrypted"] {
        let place = Place::new();
        let store = place.store();
        let made = place.init(&["--generate-key", "key", "--names", names]);
        assert_eq!(made.code, Some(0), "{made:?}");
        let own = ["--encryption", "cse-c", "--key-file", "key"];
        assert_eq!(place.mount(&own).code, Some(0));
        fs::create_dir(place.path("mnt/directory")).unwrap();
        fs::write(place.path("mnt/directory/file"), "content").unwrap();
        place.unmount();
        let kept = fs::read(place.path("store/.cloakfs/volume-a%")).unwrap();
        for copy in ["a", "b"] {
            fs::remove_file(place.path(&format!("store/.cloakfs/volume-{copy}%"))).unwrap();
        }
        let before = objects(&place);
        for options in [
            &[][..],
            &["--encryption", "none"],
            &own,
            &[&own[..], &["--create"]].concat(),
        ] {
            let answer = place.mount(options);
            assert!(
                answer
                    .stderr
                    .starts_with(&format!("cloakfs: {store} has no volume record, but \""))
                    && answer.stderr.ends_with(
                        "\" in it is sealed by cloakfs: the record was removed or is hidden, and a plain mount would write in clear; restore .cloakfs/volume-a from the volume's export (that of `cloakfs init --export`), a backup or an older version, and mount it with its own --encryption\n"
                    ),
                "{options:?}: {answer:?}"
            );
            assert_eq!(answer.code, Some(1));
        }
        assert_eq!(objects(&place), before);
        // As it says.
        fs::write(place.path("store/.cloakfs/volume-a%"), kept).unwrap();
        assert_eq!(place.mount(&own).code, Some(0));
        let content = fs::read(place.path("mnt/directory/file")).unwrap();
        assert_eq!(content, b"content");
        place.unmount();
    }
}

#[test]
fn a_directory_in_a_volume_is_neither_mounted_nor_made_one() {
    let place = Place::with_volume();
    let store = place.store();
    let inner = place.path("store/a/b");
    fs::create_dir_all(&inner).unwrap();
    std::os::unix::fs::symlink(&inner, place.path("link")).unwrap();
    // One copy of the record is enough to see.
    fs::remove_file(place.path("store/.cloakfs/volume-a%")).unwrap();
    let sentence = format!(
        "dir:{inner} lies in the client-side volume {store}, whose names and objects mean something only from its root: mount {store}"
    );
    for source in [
        format!("dir:{inner}"),
        format!("dir:{}", place.path("link")),
    ] {
        let cse_c = ["--encryption", "cse-c", "--key-file", "key"];
        for options in [
            &["mount", &source, "mnt"][..],
            &["mount", &source, "mnt", "--encryption", "none"],
            &[&["mount", &source, "mnt", "--create"], &cse_c[..]].concat(),
            &[&["init", &source], &cse_c[..]].concat(),
        ] {
            place.run(options).refused(1, &sentence);
        }
    }
    assert_eq!(fs::read_dir(&inner).unwrap().count(), 0, "nothing was made");
    assert!(!exists(&place.path("store/.cloakfs/volume-a%")));
}
