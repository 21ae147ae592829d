//! `cloakfs export`, and a mount that reads what it wrote: objects of the Amazon S3 Encryption
//! Client.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::{Answer, Place};

/// A volume with names in clear, its key in `key`, and files in it.
fn volume() -> Place {
    let place = Place::new();
    let made = place.init(&["--generate-key", "key", "--names", "plain"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    mounted(&place, &[], |mnt| {
        fs::write(mnt.join("small"), "small").unwrap();
        fs::write(mnt.join("empty"), "").unwrap();
        fs::create_dir(mnt.join("d")).unwrap();
        fs::write(mnt.join("d/large"), vec![7; (9 << 20) + 1]).unwrap();
        symlink("small", mnt.join("link")).unwrap();
    });
    place
}

/// While the volume is mounted with its key.
fn mounted(place: &Place, options: &[&str], work: impl FnOnce(&Path)) {
    let own = ["--encryption", "cse-c", "--key-file", "key"];
    let answer = place.mount(&[&own, options].concat());
    assert_eq!(answer.code, Some(0), "{answer:?}");
    work(Path::new(&place.path("mnt")));
    place.unmount();
}

impl Place {
    fn export(&self, to: &str, options: &[&str]) -> Answer {
        let (store, to) = (self.store(), format!("dir:{}", self.path(to)));
        let own = [
            "export",
            &store,
            &to,
            "--format",
            "s3ec",
            "--encryption",
            "cse-c",
            "--key-file",
            "key",
        ];
        self.run(&[&own, options].concat())
    }

    /// Keys for RSA, as openssl makes them: `rsa.pem` and `public.pem`.
    fn rsa_keys(&self) {
        let make = "umask 077
            openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem
            openssl pkey -in rsa.pem -pubout -out public.pem";
        let made = self
            .environment(Command::new("sh"))
            .args(["-ec", make])
            .status();
        assert!(made.unwrap().success());
    }

    /// Puts the exported objects among those of the volume, below `theirs`.
    fn bring_back(&self, from: &str) {
        let (from, to) = (self.path(from), self.path("store/theirs"));
        fs::rename(from, to).unwrap();
    }
}

fn assert_files(mnt: &Path, below: &str) {
    let below = mnt.join(below);
    assert_eq!(fs::read(below.join("small")).unwrap(), b"small");
    assert_eq!(fs::read(below.join("empty")).unwrap(), b"");
    let large = fs::read(below.join("d/large")).unwrap();
    assert!(large == vec![7; (9 << 20) + 1]);
}

#[test]
fn what_is_exported_is_read_where_the_key_is() {
    for wrapping in ["--to-key-file", "--to-rsa-key"] {
        let place = volume();
        place.rsa_keys();
        fs::create_dir(place.path("out")).unwrap();
        let is_rsa = wrapping == "--to-rsa-key";
        let with = if is_rsa { "public.pem" } else { "key" };
        let answer = place.export("out", &[wrapping, with]);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        assert_eq!(
            answer.stderr,
            "cloakfs: note: \"link\" is not exported: it is a symbolic link\n"
        );
        let to = place.path("out");
        assert_eq!(
            answer.stdout,
            format!("exported 3 files, 9 MiB to dir:{to}\n")
        );
        place.bring_back("out");
        let options: &[&str] = if is_rsa {
            &["--s3ec-rsa-key", "rsa.pem"]
        } else {
            &[]
        };
        mounted(&place, options, |mnt| {
            assert_files(mnt, "theirs");
            assert_files(mnt, "");
        });
        if is_rsa {
            mounted(&place, &[], |mnt| {
                let error = fs::read(mnt.join("theirs/small")).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EIO));
            });
        }
    }
}

#[test]
fn nothing_is_replaced_unless_that_is_asked_for() {
    let place = volume();
    fs::create_dir(place.path("out")).unwrap();
    let wrap = ["--to-key-file", "key"];
    assert_eq!(place.export("out", &wrap).code, Some(0));
    let read = || fs::read(place.path("out/small%")).unwrap();
    let before = read();
    let again = place.export("out", &wrap);
    assert_eq!((again.code, &*again.stdout), (Some(1), ""), "{again:?}");
    let words = "is there already, and is not replaced: delete it, or give --force";
    for name in ["small", "empty", "d/large"] {
        let line = format!("cloakfs: {name:?} {words}\n");
        assert!(again.stderr.contains(&line), "{again:?}");
    }
    assert_eq!(again.stderr.matches(words).count(), 3, "{again:?}");
    let to = place.path("out");
    let sum =
        format!("cloakfs: exported 0 files, 0 B to dir:{to}; 3 were not, for the reasons above\n");
    assert!(again.stderr.ends_with(&sum), "{again:?}");
    assert_eq!(read(), before);
    // What is missing is done by the second run.
    fs::remove_file(place.path("out/small%")).unwrap();
    assert_eq!(place.export("out", &wrap).code, Some(1));
    assert_ne!(read(), before, "under a key of its own");
    let forced = place.export("out", &["--to-key-file", "key", "--force"]);
    assert_eq!(forced.code, Some(0), "{forced:?}");
}

#[test]
fn an_export_into_its_own_source_is_refused_whatever_way_leads_there() {
    let place = Place::new();
    fs::create_dir(place.path("store/sub")).unwrap();
    fs::create_dir(place.path("out")).unwrap();
    symlink("store", place.path("link")).unwrap();
    fs::write(place.path("key"), [7; 32]).unwrap();
    fs::set_permissions(place.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let export = |to: &str| {
        let (store, to) = (place.store(), format!("dir:{}", place.path(to)));
        let format = ["--format", "s3ec", "--to-key-file", "key"];
        place.run(&[&["export", &*store, &*to], &format[..]].concat())
    };
    for to in ["store/sub", "link/sub", "out/../store", "link"] {
        let words = format!(
            "{} and dir:{} are inside of one another: export to another prefix or bucket",
            place.store(),
            place.path(to)
        );
        export(to).refused(1, &words);
    }
    let beside = export("store/../out");
    assert_eq!(beside.code, Some(0), "{beside:?}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_written() {
    let place = volume();
    fs::create_dir(place.path("out")).unwrap();
    place.export("out", &[]).refused(
        2,
        "an object of the Amazon S3 Encryption Client needs a key that wraps its own: give --to-kms-key, --to-key-file or --to-rsa-key",
    );
    let (store, inside) = (place.path("store"), place.path("store/inside"));
    fs::create_dir(&inside).unwrap();
    place.export("store/inside", &["--to-key-file", "key"]).refused(
        1,
        &format!("dir:{inside} lies in the client-side volume dir:{store}, whose names and objects mean something only from its root: mount dir:{store}"),
    );
    let other = Place::with_volume();
    let into = other.path("store");
    let answer = place.run(&[
        "export",
        &place.store(),
        &format!("dir:{into}"),
        "--format",
        "s3ec",
        "--encryption",
        "cse-c",
        "--key-file",
        "key",
        "--to-key-file",
        "key",
    ]);
    answer.refused(
        1,
        &format!("dir:{into} is a client-side volume, and what is exported would be none of its files: export to another prefix or bucket"),
    );
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 0);
}

#[test]
fn a_private_key_is_kept_as_a_key_file_is() {
    let place = volume();
    place.rsa_keys();
    let set = |mode| {
        let path = place.path("rsa.pem");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let own = ["--encryption", "cse-c", "--key-file", "key"];
    let with = |path: &'static str| [&own[..], &["--s3ec-rsa-key", path]].concat();
    set(0o644);
    let file = place.path("rsa.pem");
    place.mount_refused(&with("rsa.pem"), 1, &format!("the key file {file} is open to its group or to others (mode 0644): close it with `chmod 600`, and use another key if somebody may have read it"));
    set(0o600);
    let file = place.path("key");
    place.mount_refused(&with("key"), 1, &format!("the key file {file} holds no RSA key of 2,048 to 8,192 bits as PKCS#8 in PEM, without a passphrase: make it one with `openssl pkcs8 -topk8 -nodes`, or check its path"));
    let file = place.path("public.pem");
    place.mount_refused(&with("public.pem"), 1, &format!("the key file {file} holds no RSA key of 2,048 to 8,192 bits as PKCS#8 in PEM, without a passphrase: make it one with `openssl pkcs8 -topk8 -nodes`, or check its path"));
    mounted(&place, &["--s3ec-rsa-key", "rsa.pem"], |_| {});
    place.mount_refused(
        &["--s3ec-rsa-key", "rsa.pem"],
        2,
        "--s3ec-rsa-key is for --encryption cse-kms and cse-c, and no mode was given; give one of them, or leave --s3ec-rsa-key out",
    );
    place.mount_refused(
        &["--allow-legacy"],
        2,
        "--allow-legacy is for --encryption cse-kms and cse-c, and no mode was given; give one of them, or leave --allow-legacy out",
    );
}
