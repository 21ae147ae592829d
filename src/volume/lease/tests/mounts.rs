//! What mounts of one bucket find of each other.

use std::time::Duration;

use tokio::time::Instant;

use super::super::record::Record;
use super::super::sweep;
use super::rig::{Bucket, HELD, LEASE, TERM, key, refused};
use crate::store::{DeleteOptions, ErrorKind, GetOptions, Operation, Store};

#[tokio::test(start_paused = true)]
async fn who_comes_second_is_refused_by_name_until_the_first_has_left() {
    let bucket = Bucket::new();
    let (one, two, three) = (bucket.host("one"), bucket.host("two"), bucket.host("three"));
    let first = one.exclusive().await.unwrap();
    assert_eq!(refused(two.exclusive().await), HELD);
    assert_eq!(refused(two.shared().await), HELD);
    // However long it lives.
    tokio::time::sleep(TERM * 10).await;
    assert_eq!(refused(three.exclusive().await), HELD);
    one.change("a").await.unwrap();
    assert!(first.standing().renewed.unwrap() <= TERM / 3);
    first.leave().await;
    assert_eq!(bucket.mem.keys(), ["a"]);
    let words = one.change("b").await.unwrap_err().to_string();
    assert!(words.ends_with("LeaseLost: the mount has ended"), "{words}");
    bucket.host("two").exclusive().await.unwrap().leave().await;
}

#[tokio::test(start_paused = true)]
async fn mounts_that_share_are_named_and_may_be_waited_for() {
    let bucket = Bucket::new();
    let (one, two) = (bucket.host("one"), bucket.host("two"));
    let (first, second) = (one.shared().await.unwrap(), two.shared().await.unwrap());
    tokio::time::sleep(TERM * 10).await;
    let words = refused(bucket.host("three").exclusive().await);
    let named = ["\"one\" (process 7", "\"two\" (process 7"];
    assert!(named.iter().all(|name| words.contains(name)), "{words}");
    assert!(words.starts_with("s3://bucket/p cannot be mounted with --consistency exclusive while it is mounted by host "), "{words}");
    assert!(words.ends_with("does not renew its registration for 360 s counts as gone"));
    assert!(!bucket.mem.keys().contains(&LEASE.to_owned()), "given back");
    first.leave().await;
    let waits = bucket.host("three").waits();
    let (third, ()) = tokio::join!(waits.exclusive(), async {
        tokio::time::sleep(TERM * 3).await;
        // Nobody else comes in meanwhile.
        assert!(refused(bucket.host("four").shared().await).contains("\"three\""));
        second.leave().await;
    });
    third.unwrap().leave().await;
    assert_eq!(bucket.mem.keys(), Vec::<String>::new());
}

/// A mount that died on another machine.
async fn dead_elsewhere(bucket: &Bucket) {
    let other = tempfile::tempdir().unwrap();
    let host = bucket.host_in("one", other.path());
    let presence = host.exclusive().await.unwrap();
    let key = key(LEASE);
    let lease = bucket.mem.get(&key, GetOptions::default()).await.unwrap();
    let record = Record::decode(&lease.body).unwrap();
    presence.leave().await;
    bucket.put_lease(&record).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_mount_of_another_machine_is_outlasted_for_two_terms() {
    for alone in [true, false] {
        let bucket = Bucket::new();
        dead_elsewhere(&bucket).await;
        assert_eq!(refused(bucket.host("two").exclusive().await), HELD);
        assert_eq!(refused(bucket.host("two").shared().await), HELD);
        let began = Instant::now();
        let waits = bucket.host("two").waits();
        let presence = if alone {
            waits.exclusive().await
        } else {
            waits.shared().await
        };
        assert!(began.elapsed() >= TERM * 2, "{:?}", began.elapsed());
        assert!(began.elapsed() < TERM * 3, "{:?}", began.elapsed());
        waits.change("a").await.unwrap();
        presence.unwrap().leave().await;
        assert_eq!(bucket.mem.keys(), ["a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_mount_of_the_same_machine_is_known_at_once() {
    for alone in [true, false] {
        let bucket = Bucket::new();
        let locks = bucket.state.path().join("locks");
        for was_alone in [true, false] {
            let dead = bucket.host_in("one", &locks);
            // Its runtime ends as with its process: nobody gives anything back.
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = { runtime }.enable_all().build().unwrap();
                    let presence = runtime.block_on(async {
                        if was_alone {
                            dead.exclusive().await
                        } else {
                            dead.shared().await
                        }
                    });
                    drop((runtime, presence));
                });
            });
            assert_eq!(bucket.mem.keys().len(), 1);
            let began = Instant::now();
            let next = bucket.host_in("one", &locks);
            if was_alone || alone {
                let presence = if alone {
                    next.exclusive().await
                } else {
                    next.shared().await
                };
                presence.unwrap().leave().await;
            } else {
                sweep(&next.place).await;
            }
            assert!(began.elapsed() < Duration::from_secs(1));
            assert_eq!(bucket.mem.keys(), Vec::<String>::new());
            assert_eq!(std::fs::read_dir(&locks).unwrap().count(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_not_register_shares_all_the_same_and_says_so() {
    let bucket = Bucket::new();
    let one = bucket.host("one");
    one.fails(Operation::PutObject, ErrorKind::Denied);
    one.fails(Operation::GetObject, ErrorKind::Denied);
    let presence = one.shared().await.unwrap();
    let note = presence.note().unwrap();
    assert!(note.starts_with("this mount is not registered in the bucket, so a mount with --consistency exclusive does not see it: PutObject of"), "{note}");
    assert_eq!(presence.standing().renewed, None);
    one.fault.clear();
    one.change("a").await.unwrap();
    presence.leave().await;
    assert_eq!(bucket.mem.keys(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_shared_mount_that_was_taken_for_dead_goes_on_unless_the_volume_is_anothers() {
    let bucket = Bucket::new();
    let one = bucket.host("one");
    let presence = one.shared().await.unwrap();
    let registration = bucket.mem.keys().pop().unwrap();
    assert!(registration.starts_with("p/.cloakfs/mounts/"));
    bucket
        .mem
        .delete(&key(&registration), DeleteOptions::default())
        .await
        .unwrap();
    tokio::time::sleep(TERM).await;
    assert_eq!(bucket.mem.keys(), std::slice::from_ref(&registration));
    bucket
        .mem
        .delete(&key(&registration), DeleteOptions::default())
        .await
        .unwrap();
    let two = bucket.host("two").exclusive().await.unwrap();
    let why = presence.lost().await;
    assert!(
        why.starts_with("this mount stood still for so long that host \"two\" (process 7"),
        "{why}"
    );
    assert!(one.change("a").await.is_err());
    presence.leave().await;
    two.leave().await;
    assert_eq!(bucket.mem.keys(), Vec::<String>::new());
}
