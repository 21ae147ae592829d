//! Which objects of a client-side volume are under a key, where wrapped keys say nothing of it.

use std::sync::Arc;

use cloakfs::admin::usage::{InVolume, KeyNames, Tally, Usage};
use cloakfs::volume::record::find;
use cloakfs::volume::single::Reader;

use crate::world::{ARN, TIMEOUT, World, calls, error, write};

async fn tally(world: &World) -> Tally {
    let record = find(&world.store, "").await.unwrap().unwrap();
    let root = world.root(ARN, TIMEOUT).await;
    let volume = record.open(root, true).await.expect("its key");
    let reader = Reader::new(Arc::clone(&world.store), String::new(), volume);
    let usage = Usage {
        store: Arc::clone(&world.store),
        prefix: String::new(),
        key: KeyNames {
            arn: ARN.to_owned(),
            id: "an id".to_owned(),
        },
        volume: InVolume::Opened(Box::new(reader)),
    };
    usage.run(&mut |_| {}).await.unwrap()
}

#[tokio::test]
async fn kms_tells_what_is_under_the_key_once_for_each_mount_that_wrote() {
    let world = World::new().await;
    for mount in 0..2 {
        let volume = world.mount(100, TIMEOUT).await;
        for index in 0..40 {
            write(&volume, mount * 40 + index).await.unwrap();
        }
    }
    let (found, asked) = Box::pin(world.calls(tally(&world))).await;
    // The record in two copies, too.
    assert_eq!((found.objects, found.used.objects), (82, 82));
    assert_eq!(found.not_known.objects, 0);
    // One for the record, and one for each mount.
    assert_eq!(asked, calls([("DescribeKey", 1), ("Decrypt", 3)]));
    let mut named = found.used.first.iter();
    let is_file = |path: &String| path.starts_with("file");
    assert!(named.any(|named| named.path.as_ref().is_some_and(is_file)));
}

/// The volume's own record opens, and what is asked after it is refused.
#[tokio::test]
async fn what_kms_does_not_tell_is_not_counted_as_free_of_the_key() {
    let world = World::new().await;
    let volume = world.mount(100, TIMEOUT).await;
    write(&volume, 0).await.unwrap();
    for (code, reason) in [
        ("AccessDeniedException", "its data key cannot be had: "),
        (
            "InvalidCiphertextException",
            "its data key does not open as one of the volume: it is of another volume or key",
        ),
    ] {
        let seen = std::sync::atomic::AtomicUsize::new(0);
        world.meddle(move |operation, _| {
            let is_later = operation == "Decrypt"
                && seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0;
            is_later.then(|| error(code, "words"))
        });
        let found = tally(&world).await;
        assert_eq!((found.used.objects, found.not_known.objects), (2, 1));
        let why = found.not_known.first[0].why.as_ref().unwrap();
        assert!(why.starts_with(reason), "{why}");
    }
}
