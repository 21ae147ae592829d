//! Mounts of one bucket: what they find of each other, and what becomes of changes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::time::Instant;

use super::super::record::Record;
use super::super::{Claimant, Fence, Gate, LeaseError, Origin, Place, Presence, Term, sweep};
use crate::base::jitter::Jitter;
use crate::store::fault::{Effect, Fault, Rule};
use crate::store::mem::MemStore;
use crate::store::retry::{Retry, RetryPolicy};
use crate::store::{
    DeleteOptions, ErrorKind, GetOptions, ObjectKey, Operation, PutOptions, Store, StoreError,
};

const TIMEOUT: Duration = Duration::from_secs(60);
const TERM: Duration = Duration::from_secs(180);
const LEASE: &str = "p/.cloakfs/lease";

struct Bucket {
    mem: Arc<MemStore>,
    state: TempDir,
}

/// A mount's side of it.
struct Host {
    fault: Arc<Fault>,
    gate: Arc<Gate>,
    place: Place,
    claimant: Claimant,
}

impl Bucket {
    fn new() -> Self {
        Self {
            mem: Arc::new(MemStore::seeded(1)),
            state: tempfile::tempdir().unwrap(),
        }
    }

    /// With a state directory of its own, and another start of the system.
    fn host(&self, name: &str) -> Host {
        self.host_in(name, &self.state.path().join(name))
    }

    fn host_in(&self, name: &str, locks: &Path) -> Host {
        let fault = Arc::new(Fault::new(Arc::clone(&self.mem) as _));
        let retry = Retry::new(
            Arc::clone(&fault) as _,
            RetryPolicy::with_timeout(TIMEOUT),
            Jitter::seeded(1),
        );
        Host {
            fault,
            gate: Arc::new(Gate::default()),
            place: Place {
                store: Arc::new(retry),
                prefix: "p/".to_owned(),
                server: String::new(),
                source: "s3://bucket/p".to_owned(),
                locks: locks.to_owned(),
            },
            claimant: Claimant {
                origin: Origin {
                    host: name.to_owned(),
                    boot: format!("boot of {name}"),
                    pid: 7,
                    since: 1_764_000_000,
                },
                term: Term::new(None, TIMEOUT).unwrap(),
                waits: false,
            },
        }
    }

    fn put_lease(&self, record: &Record) -> impl Future<Output = ()> {
        let (mem, body) = (Arc::clone(&self.mem), Bytes::from(record.encode()));
        async move {
            let options = PutOptions::default();
            mem.put(&key(LEASE), body, options).await.unwrap();
        }
    }
}

impl Host {
    async fn exclusive(&self) -> Result<Presence, LeaseError> {
        let (place, claimant) = (self.place.clone(), self.claimant.clone());
        Presence::exclusive(place, claimant, Arc::clone(&self.gate), |_| {}).await
    }

    async fn shared(&self) -> Result<Presence, LeaseError> {
        let (place, claimant) = (self.place.clone(), self.claimant.clone());
        Presence::shared(place, claimant, Arc::clone(&self.gate), |_| {}).await
    }

    fn waits(mut self) -> Self {
        self.claimant.waits = true;
        self
    }

    /// One attempt at a change, as it is below the retries.
    async fn change(&self, name: &str) -> Result<(), StoreError> {
        let fence = Fence::new(Arc::clone(&self.fault) as _, Arc::clone(&self.gate));
        let options = PutOptions::default();
        let key = key(name);
        let put = fence.put(&key, Bytes::from_static(b"x"), options);
        put.await.map(drop)
    }

    fn fails(&self, operation: Operation, kind: ErrorKind) {
        self.fault
            .inject(Rule::new(Effect::FailBefore(kind)).on(operation));
    }
}

fn key(key: &str) -> ObjectKey {
    ObjectKey::new(key).unwrap()
}

fn refused(presence: Result<Presence, LeaseError>) -> String {
    presence.err().expect("it is refused").to_string()
}

const HELD: &str = "s3://bucket/p is mounted with --consistency exclusive by host \"one\" (process 7, since Mon, 24 Nov 2025 16:00:00 GMT); unmount it there, or, if that machine is gone, give --wait-for-lease: what is not renewed for 360 s is taken over";

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
async fn changes_wait_while_the_lease_is_late_and_go_on_when_it_is_renewed() {
    let bucket = Bucket::new();
    let one = bucket.host("one");
    let presence = one.exclusive().await.unwrap();
    one.fails(Operation::PutObject, ErrorKind::Unavailable);
    tokio::time::sleep(TERM - TIMEOUT + Duration::from_secs(1)).await;
    one.fault.clear();
    let late = one.change("a").await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Throttled, "it is repeated");
    assert_eq!(
        late.to_string(),
        "PutObject of \"a\" failed: LeaseLate: the lease of this mount was last renewed 121 s ago, and nothing is changed until it is renewed again; check the network and the credentials"
    );
    let fence = Fence::new(Arc::clone(&one.fault) as _, Arc::clone(&one.gate));
    fence
        .list(crate::store::ListOptions::default())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    one.change("a").await.unwrap();
    presence.leave().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_when_the_term_is_over_is_cut_off() {
    let bucket = Bucket::new();
    let one = bucket.host("one");
    let presence = one.exclusive().await.unwrap();
    let began = Instant::now();
    one.fault
        .inject(Rule::new(Effect::FailBefore(ErrorKind::Unavailable)).exactly(LEASE));
    one.fault
        .inject(Rule::new(Effect::HangBefore).exactly("slow"));
    let cut = one.change("slow").await.unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::TimedOut, "its fate is open");
    assert!(
        cut.to_string()
            .contains("the lease of this mount ended while"),
        "{cut}"
    );
    assert!(began.elapsed() <= TERM && began.elapsed() > TERM - TIMEOUT);
    one.fault.clear();
    presence.leave().await;
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_is_lost_is_found_to_be_ours() {
    let bucket = Bucket::new();
    let one = bucket.host("one");
    let presence = one.exclusive().await.unwrap();
    let lost = Effect::FailAfter(ErrorKind::TimedOut);
    one.fault
        .inject(Rule::new(lost).on(Operation::PutObject).exactly(LEASE));
    tokio::time::sleep(TERM * 5).await;
    assert!(presence.standing().renewed.unwrap() <= TERM / 3 + Duration::from_secs(1));
    one.change("a").await.unwrap();
    presence.leave().await;
    // The same when it is taken.
    let two = bucket.host("two");
    two.fault
        .inject(Rule::new(lost).on(Operation::PutObject).exactly(LEASE));
    two.exclusive().await.unwrap().leave().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_took_over_or_deleted_ends_all_changes() {
    for deleted in [false, true] {
        let bucket = Bucket::new();
        let one = bucket.host("one");
        let presence = one.exclusive().await.unwrap();
        if deleted {
            bucket
                .mem
                .delete(&key(LEASE), DeleteOptions::default())
                .await
                .unwrap();
        } else {
            let theirs = Record::new(
                bucket.host("two").claimant.origin,
                "ab".to_owned(),
                one.claimant.term,
                1,
            );
            bucket.put_lease(&theirs).await;
        }
        let why = presence.lost().await;
        let how = if deleted {
            "somebody deleted its object \"p/.cloakfs/lease\""
        } else {
            "host \"two\" (process 7, since Mon, 24 Nov 2025 16:00:00 GMT) took it over, since it was not renewed in time"
        };
        assert_eq!(
            why,
            format!(
                "the lease of this mount is lost: {how}. Nothing that is changed here can be stored any more; unmount s3://bucket/p and mount it again"
            )
        );
        let error = one.change("a").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "it is not repeated");
        assert!(error.to_string().ends_with(&why));
        let before = bucket.mem.keys();
        presence.leave().await;
        assert_eq!(bucket.mem.keys(), before, "theirs stays");
        assert!(!before.contains(&"a".to_owned()));
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
    assert_eq!(bucket.mem.keys(), [registration.clone()]);
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
