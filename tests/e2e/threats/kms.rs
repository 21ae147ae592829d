//! Keys of a KMS: the mount asks for its own key in its own context, whatever the bucket says.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{CONTENT, write};
use crate::localstack::LocalStack;
use crate::mount::refusal;
use crate::sealed::{CONTEXT, Place, Root, Row, Sealed, cse_kms};
use crate::wait::until;

fn volume(place: Place) -> Sealed {
    let volume = Sealed::new(Row::new(place, Root::Kms, "plain"), "kms");
    write(&volume, &[("file", CONTENT), ("other", CONTENT)]);
    volume
}

fn refused(volume: &Sealed, options: &[String]) -> String {
    let point = tempfile::tempdir().expect("a mountpoint");
    refusal(&volume.source_with(options), point.path(), &[])
}

/// Of the mount, not of the object: an attacker who may use the KMS key in another context, or
/// another key, makes no object that is taken.
#[test]
fn the_context_and_the_key_are_the_mounts_own() {
    for place in [Place::Directory, Place::LocalStack] {
        let volume = volume(place);
        let arn = volume.kms_key().arn.clone();
        for context in [
            &[][..],
            &CONTEXT[..1],
            &[("tenant", "the west"), CONTEXT[1]],
        ] {
            let sentence = refused(&volume, &cse_kms(&arn, context));
            assert!(sentence.contains("context"), "{sentence}");
        }
        let other = LocalStack::kms().create();
        let sentence = refused(&volume, &cse_kms(&other.arn, &CONTEXT));
        assert!(sentence.contains(&other.arn), "{sentence}");
    }
}

#[test]
fn a_key_that_an_attacker_wrapped_is_not_unwrapped() {
    let volume = volume(Place::LocalStack);
    let kms = LocalStack::kms();
    let names = ["file", "other"];
    let volume_id = volume.volume_id();
    let mut own_context = CONTEXT.to_vec();
    own_context.push(("cloakfs:volume", &volume_id));
    let strange = kms.create();
    let blobs = [
        // The mount's key in another context, and another key in the mount's.
        kms.generate(volume.kms_key(), &[("tenant", "the west")]),
        kms.generate(&strange, &own_context),
    ];
    for (name, blob) in names.iter().zip(blobs) {
        volume.change(name, |object| {
            let wrapped = URL_SAFE_NO_PAD.encode([&[1], &*blob].concat());
            object.metadata.insert("cloakfs-key".into(), wrapped);
        });
    }
    let mount = volume.mount();
    for name in names {
        let refused = fs::read(mount.path().join(name)).expect_err("a key of an attacker");
        let errno = refused.raw_os_error();
        assert!(
            matches!(errno, Some(libc::EIO | libc::EACCES)),
            "{name}: {refused}"
        );
        let log = mount.log();
        assert!(
            log.lines().any(|line| line.contains(&format!("{name:?}"))),
            "{log}"
        );
    }
    // A key of the right context that is not the object's: no commitment fits.
    drop(mount);
    let blob = kms.generate(volume.kms_key(), &own_context);
    volume.change("file", |object| {
        let wrapped = URL_SAFE_NO_PAD.encode([&[1], &*blob].concat());
        object.metadata.insert("cloakfs-key".into(), wrapped);
    });
    super::assert_refused(&volume, &[("file", super::NOT_AUTHENTIC)]);
}

#[test]
fn a_key_that_cannot_be_used_is_told_at_mount() {
    let volume = volume(Place::LocalStack);
    let kms = LocalStack::kms();
    let options = cse_kms(&volume.kms_key().arn, &CONTEXT);
    kms.disable(volume.kms_key());
    let sentence = refused(&volume, &options);
    assert!(sentence.contains("disabled"), "{sentence}");
    kms.enable(volume.kms_key());
    drop(volume.mount());
    kms.schedule_deletion(volume.kms_key());
    let sentence = refused(&volume, &options);
    assert!(sentence.contains("delet"), "{sentence}");
}

/// What needs KMS is EACCES with the reason; what is known already goes on; nothing hangs.
#[test]
fn a_key_that_is_disabled_while_mounted_is_told_and_nothing_is_lost() {
    let volume = volume(Place::LocalStack);
    let kms = LocalStack::kms();
    // By other mounts, which have other data keys.
    write(&volume, &[("by-another", CONTENT)]);
    let mount = volume.mount();
    assert_eq!(
        fs::read(mount.path().join("file")).expect("reading"),
        CONTENT
    );
    kms.disable(volume.kms_key());
    let refused = fs::read(mount.path().join("by-another")).expect_err("KMS refuses");
    assert_eq!(refused.raw_os_error(), Some(libc::EACCES), "{refused}");
    let log = mount.log();
    let is_told = |line: &str| line.contains("\"by-another\"") && line.contains("disabled");
    assert!(log.lines().any(is_told), "{log}");
    assert_eq!(
        fs::read(mount.path().join("other")).expect("a known key"),
        CONTENT
    );

    kms.enable(volume.kms_key());
    let back = until(Duration::from_secs(30), || {
        fs::read(mount.path().join("by-another")).ok()
    });
    assert_eq!(back.expect("reading goes on"), CONTENT);
    fs::write(mount.path().join("new"), CONTENT).expect("writing goes on");
}

/// The attempt to write while the key is disabled fails at the latest at fsync, what was there
/// stays, and what was written is stored when there is a key again.
#[test]
fn what_cannot_be_sealed_is_an_error_and_is_stored_when_there_is_a_key_again() {
    let volume = volume(Place::LocalStack);
    let kms = LocalStack::kms();
    // It has made no data key yet: it only reads.
    let mount = volume.mount();
    assert_eq!(
        fs::read(mount.path().join("file")).expect("reading"),
        CONTENT
    );
    let stored = |volume: &Sealed| -> Vec<_> {
        let keys = volume.keys().into_iter();
        keys.map(|key| volume.read(&key).body).collect()
    };
    let before = stored(&volume);
    kms.disable(volume.kms_key());
    let file = File::create(mount.path().join("file")).and_then(|mut file| {
        file.write_all(b"new content")?;
        file.sync_all()
    });
    let refused = file.expect_err("there is no key to write with");
    assert_eq!(refused.raw_os_error(), Some(libc::EACCES), "{refused}");
    assert!(mount.log().contains("disabled"), "{}", mount.log());
    assert!(stored(&volume) == before, "the old object is touched");
    kms.enable(volume.kms_key());
    // What was refused is kept, and tried once more when the mount ends.
    drop(mount);
    let mount = volume.mount();
    let seen = fs::read(mount.path().join("file")).expect("reading");
    assert_eq!(seen, b"new content");
}
