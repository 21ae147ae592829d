//! One combination: A's act, with B's in the middle of it.

use std::cell::Cell;
use std::time::Duration;

use cloakfs::store::fault::{Effect, Rule};
use cloakfs::store::{Operation, Store};

use super::act::{Act, Start};
use super::tree::{Tree, shown, tree};
use crate::harness::{Bucket, Layout, Mount, Result};

/// Far above whatever B waits for; the clock is the test's.
const LONG: Duration = Duration::from_hours(1);

/// Where in A's act B comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A has the file open.
    Opened,
    /// A has changed it and not stored it.
    Changed,
    /// A's first request of this kind is sent and not carried out.
    PutObject,
    CompleteMultipartUpload,
    CopyObject,
    DeleteObject,
}

impl Moment {
    fn request(self) -> Option<Operation> {
        match self {
            Self::Opened | Self::Changed => None,
            Self::PutObject => Some(Operation::PutObject),
            Self::CompleteMultipartUpload => Some(Operation::CompleteMultipartUpload),
            Self::CopyObject => Some(Operation::CopyObject),
            Self::DeleteObject => Some(Operation::DeleteObject),
        }
    }
}

#[derive(Debug)]
pub struct Outcome {
    pub ours: std::result::Result<(), i32>,
    pub theirs: std::result::Result<(), i32>,
    /// Before B came, when it was done, and at the end.
    pub before: Tree,
    pub between: Tree,
    pub after: Tree,
    pub conflicts: u64,
    pub uncommitted: u64,
    /// A failed before it had written anything.
    pub refused_early: bool,
    pub words: String,
}

impl Outcome {
    pub fn shown(&self) -> String {
        let errno = match self.ours {
            Ok(()) => "ok",
            Err(libc::ESTALE) => "ESTALE",
            Err(libc::EEXIST) => "EEXIST",
            Err(libc::ENOENT) => "ENOENT",
            Err(_) => &self.words,
        };
        format!("{errno:<6} | {}", shown(&self.after))
    }
}

async fn prepared(layout: Layout, start: Start) -> Bucket {
    let bucket = Bucket::of(layout);
    bucket.put("g", &[b'g'; 32]).await;
    match start.content() {
        Some(content) => bucket.put("f", &content).await,
        None if start == Start::Directory => bucket.put("f/", b"").await,
        None => {}
    }
    bucket
}

/// Whether A's act has that moment at all.
pub async fn comes_to(layout: Layout, ours: Act, moment: Moment) -> bool {
    let Some(request) = moment.request() else {
        return ours.has_handle() && ours != Act::CreateExclusive;
    };
    let bucket = prepared(layout, ours.start()).await;
    let mount = bucket.mount().await;
    let (done, calls) = bucket.calls(alone(ours, &mount, 'A')).await;
    done.unwrap();
    mount.fs.shut_down().await;
    calls.of(request) > 0
}

async fn alone(act: Act, mount: &Mount, by: char) -> Result<()> {
    let open = act.open(mount).await?;
    act.change(mount, open, by).await?;
    act.store(mount, open).await
}

/// B's act, from its beginning to its end.
async fn strike(theirs: Act, bucket: &Bucket, mount: &Mount) -> std::result::Result<(), i32> {
    match theirs {
        // The kernel answers this itself, whatever it is.
        Act::CreateExclusive if mount.walk("f").await.is_ok() => return Err(libc::EEXIST),
        Act::ClientPut => bucket.put("f", b"BBBB").await,
        Act::ClientDelete => bucket.delete("f").await,
        Act::ClientMarker => bucket.put("f/", b"").await,
        _ => {
            let done = alone(theirs, mount, 'B').await;
            return done.map_err(|error| error.errno());
        }
    }
    Ok(())
}

pub async fn combination(layout: Layout, ours: Act, moment: Moment, theirs: Act) -> Outcome {
    let bucket = prepared(layout, ours.start()).await;
    let (one, two) = (bucket.mount().await, bucket.mount().await);
    let come = Cell::new(false);
    let ended = Cell::new(false);
    let wrote = Cell::new(false);
    let struck = Cell::new(None);
    let turn = async |when: Moment| {
        if when == moment {
            come.set(true);
            while struck.take().is_none() {
                tokio::task::yield_now().await;
            }
        }
    };
    let a = async {
        let open = ours.open(&one).await?;
        turn(Moment::Opened).await;
        if let Err(error) = ours.change(&one, open, 'A').await {
            // A program that could not write closes what it has open.
            let (_, handle) = open.expect("only what is open is changed");
            one.fs.release(handle).await;
            return Err(error);
        }
        wrote.set(true);
        turn(Moment::Changed).await;
        ours.store(&one, open).await
    };
    let calls = moment.request().map(|request| {
        let held = Rule::new(Effect::Delay(LONG)).on(request).times(1);
        bucket.fault.inject(held);
        (request, bucket.fault.calls().of(request))
    });
    let a = async {
        let done = a.await;
        ended.set(true);
        done
    };
    let b = async {
        while !come.get() && calls.is_none_or(|(of, was)| bucket.fault.calls().of(of) == was) {
            assert!(!ended.get(), "{ours:?} never came to {moment:?}");
            tokio::task::yield_now().await;
        }
        // What A waits for is held already; B's own requests are not.
        bucket.fault.clear();
        let before = tree(&bucket).await;
        let done = strike(theirs, &bucket, &two).await;
        let between = tree(&bucket).await;
        struck.set(Some(()));
        (done, before, between)
    };
    let (a, (b, before, between)) = tokio::join!(a, b);
    let status = one.fs.status();
    let outcome = Outcome {
        words: a
            .as_ref()
            .err()
            .map(ToString::to_string)
            .unwrap_or_default(),
        ours: a.map_err(|error| error.errno()),
        theirs: b,
        before,
        between,
        after: tree(&bucket).await,
        conflicts: status.conflicts_total,
        refused_early: !wrote.get(),
        uncommitted: status.uncommitted_files,
    };
    assert_eq!(two.fs.status().conflicts_total, 0, "B was alone");
    one.fs.shut_down().await;
    two.fs.shut_down().await;
    let left = bucket.private_keys();
    assert!(
        !left
            .iter()
            .any(|key| key.contains("/open/") || key.contains("/staging/")),
        "{ours:?} {moment:?} {theirs:?} leave {left:?}"
    );
    let uploads = bucket.mem.list_multipart("").await.unwrap();
    assert!(
        uploads.is_empty(),
        "{ours:?} {moment:?} {theirs:?} leave {uploads:?}"
    );
    outcome
}
