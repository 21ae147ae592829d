//! What becomes of the changes of a mount that has the volume alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::Fence;
use super::super::record::Record;
use super::rig::{Bucket, LEASE, TERM, TIMEOUT, key};
use crate::store::fault::{Effect, Rule};
use crate::store::{DeleteOptions, ErrorKind, Operation, Store};

#[tokio::test(start_paused = true)]
async fn changes_wait_while_the_lease_is_late_and_go_on_when_it_is_renewed() {
    let bucket = Bucket::new();
    let one = bucket.host("one");
    let presence = one.exclusive().await.unwrap();
    one.fails(Operation::PutObject, ErrorKind::Unavailable);
    tokio::time::sleep(Duration::from_secs(121)).await;
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
    assert!(began.elapsed() <= TERM && began.elapsed() + TIMEOUT > TERM);
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
