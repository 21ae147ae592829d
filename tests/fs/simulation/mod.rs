//! Random steps of one or two mounts, with requests that fail before or after they took effect
//! and machines that die at any of them; after each step a model says whether the bucket is what
//! the calls that were answered allow.
//!
//! A seed gives the whole plan, and a plan that fails is cut down to the steps that matter. CI
//! runs as many seeds as fit [`TIME`]; `CLOAKFS_SIMULATION_SEEDS=5000` runs that many, and
//! `CLOAKFS_SIMULATION_FROM` says where they begin.

mod found;
mod machine;
mod model;
mod perform;
mod plan;
mod verdict;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloakfs::base::range::ByteRange;
use cloakfs::fs::CommitMode;
use cloakfs::store::{HeadOptions, Store};
use cloakfs::volume::{ObjectRef, Volume};
use tokio::runtime::Runtime;

use machine::{Machine, runtime};
use model::{Model, Taken, Tree, Verdict};
use perform::{Done, Reached, Slot, perform};
use plan::{Act, Step, plan};

use crate::harness::{Bucket, Layout};

const SEEDS: u64 = 200;
const STEPS: usize = 40;
const TIME: Duration = Duration::from_secs(12);
/// Runs for cutting a failed plan down.
const CUTS: usize = 300;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
struct Row {
    layout: Layout,
    mounts: usize,
    mode: CommitMode,
    /// Requests that fail are made again.
    retries: bool,
}

/// The bucket as somebody reads it who has the keys and is in nobody's way.
struct Observer {
    volume: Arc<Volume>,
    runtime: Runtime,
    /// By path: the version that was read.
    known: BTreeMap<String, (String, Bytes)>,
}

impl Observer {
    fn new(bucket: &Bucket) -> Self {
        let runtime = runtime();
        let store = Arc::clone(&bucket.mem) as Arc<dyn Store>;
        let volume = runtime.block_on(bucket.open(store));
        Self {
            volume,
            runtime,
            known: BTreeMap::new(),
        }
    }

    fn look(&mut self, bucket: &Bucket) -> Result<Tree, String> {
        let mut tree = Tree::new();
        for path in bucket.keys() {
            if path.ends_with('/') {
                tree.insert(path, Bytes::new());
                continue;
            }
            let (volume, key) = (&self.volume, bucket.key(&path));
            let read = self.runtime.block_on(async {
                let info = bucket.mem.head(&key, HeadOptions::default()).await;
                let etag = info.unwrap().etag.as_str().to_owned();
                if let Some((known, content)) = self.known.get(&path)
                    && *known == etag
                {
                    return Ok((etag, content.clone()));
                }
                let at = path.parse().unwrap();
                let stat = volume.stat_file(&at).await?.expect("it is listed");
                let whole = ByteRange::new(0, stat.size);
                let version = stat.version.expect("a file is an object");
                let content = volume.read(&ObjectRef::Path(at), &version, whole).await?;
                Ok::<_, cloakfs::volume::VolumeError>((etag, content))
            });
            let (etag, content) = read.map_err(|error| format!("{path} is torn: {error}"))?;
            self.known.insert(path.clone(), (etag, content.clone()));
            tree.insert(path, content);
        }
        Ok(tree)
    }
}

/// Machines at one bucket.
struct World {
    bucket: Bucket,
    observer: Observer,
    /// `None` only while one is replaced by its next life.
    machines: Vec<Option<Machine>>,
    slots: Vec<Option<Slot>>,
    model: Model,
    tree: Tree,
}

impl World {
    fn new(row: Row) -> Self {
        let bucket = Bucket::of(row.layout);
        let machines: Vec<_> = (0..row.mounts)
            .map(|_| Machine::new(&bucket, row.retries, row.mode))
            .collect();
        let made = machines[0].run(None, async |mount| {
            for directory in plan::DIRECTORIES {
                mount.mkdir(directory).await.unwrap();
            }
        });
        made.expect("nothing hangs");
        let mut observer = Observer::new(&bucket);
        let tree = observer.look(&bucket).unwrap();
        Self {
            bucket,
            observer,
            machines: machines.into_iter().map(Some).collect(),
            slots: vec![None; row.mounts],
            model: Model::new(row.mounts, row.mode),
            tree,
        }
    }

    fn step(&mut self, step: &Step) -> Verdict {
        let machine = self.machines[step.mount].take().expect("it is back");
        let slot = self.slots[step.mount].clone();
        let (machine, done) = if matches!(step.act, Act::Remount) {
            let (machine, saved) = machine.remount(&self.bucket);
            let done = Done {
                result: saved.map(|()| Vec::new()),
                reached: Reached::Nothing,
                opened: None,
            };
            (machine, Some(done))
        } else {
            let kept = slot.clone();
            let done = machine.run(step.trouble, async |mount| perform(mount, step, kept).await);
            match done {
                Some(done) => (machine, Some(done)),
                None if step.dies() => (machine.dies(&self.bucket), None),
                None => return Err("hangs".to_owned()),
            }
        };
        self.slots[step.mount] = next_slot(step, done.as_ref(), slot.clone(), &machine);
        let after = self.observer.look(&self.bucket)?;
        let uncommitted = machine.mount.fs.uncommitted_paths();
        self.machines[step.mount] = Some(machine);
        let taken = Taken {
            step,
            done: done.as_ref(),
            slot: slot.as_ref(),
            before: &self.tree,
            after: &after,
            uncommitted: &uncommitted,
        };
        self.model.take(&taken)?;
        if let Some(slot) = &mut self.slots[step.mount] {
            slot.follow(&taken);
        }
        self.tree = after;
        Ok(())
    }

    /// Every mount ends, and the next one clears away what is left.
    fn end(mut self) -> Verdict {
        for mount in 0..self.machines.len() {
            self.step(&Step {
                number: STEPS,
                mount,
                act: Act::Remount,
                trouble: None,
            })?;
        }
        for machine in &mut self.machines {
            let live = machine.take().expect("it is back");
            let (live, saved) = live.remount(&self.bucket);
            saved.map_err(|error| error.to_string())?;
            *machine = Some(live);
        }
        self.observer.look(&self.bucket)?;
        for machine in self.machines.iter().flatten() {
            machine.keeps_no_journal(self.model.may_keep_a_journal())?;
        }
        let left = self.bucket.private_keys();
        if left
            .iter()
            .any(|key| key.contains("/open/") || key.contains("/staging/"))
        {
            return Err(format!("private objects are left: {left:?}"));
        }
        let objects = self.bucket.object_bytes();
        let all = self.bucket.mem.size_bytes();
        if all != objects {
            return Err(format!(
                "{} bytes of unfinished uploads are left",
                all - objects
            ));
        }
        Ok(())
    }
}

/// What the mount has open after a step.
fn next_slot(
    step: &Step,
    done: Option<&Done>,
    slot: Option<Slot>,
    machine: &Machine,
) -> Option<Slot> {
    let done = done?;
    let is_ok = done.result.is_ok();
    let Some(mut slot) = slot else {
        let Act::Open { path } = &step.act else {
            return None;
        };
        return done.opened.map(|handle| Slot {
            path: Some(path.clone()),
            handle,
            base: Bytes::new(),
            wrote: false,
        });
    };
    let open_at = slot.path.clone();
    let concerns = |path: &String| open_at.as_ref() == Some(path);
    match &step.act {
        Act::Remount | Act::Close => return None,
        Act::Unlink { path } if concerns(path) && is_ok => slot.path = None,
        Act::Rename { to, .. } if concerns(to) && is_ok => slot.path = None,
        Act::Rename { from, to } if concerns(from) && is_ok => slot.path = Some(to.clone()),
        Act::Unlink { path: at } | Act::Rename { to: at, .. } | Act::Rename { from: at, .. }
            if concerns(at) =>
        {
            // Which name it has now is not told.
            let closed = machine.run(None, async |mount| mount.fs.release(slot.handle).await);
            closed.expect("nothing hangs");
            return None;
        }
        _ => {}
    }
    Some(slot)
}

fn run(row: Row, steps: &[Step]) -> Verdict {
    let work = || {
        let mut world = World::new(row);
        for step in steps {
            world
                .step(step)
                .map_err(|words| format!("at step {}: {words}", step.number))?;
        }
        world.end().map_err(|words| format!("at the end: {words}"))
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("panicked".to_owned()))
}

/// Drops ever smaller runs of steps as long as it fails without them.
fn cut_down(row: Row, mut steps: Vec<Step>, mut words: String) -> (Vec<Step>, String) {
    let mut cuts = 0;
    let mut len = steps.len() / 2;
    while len > 0 {
        let mut at = 0;
        while at < steps.len() && cuts < CUTS {
            cuts += 1;
            let mut fewer = steps.clone();
            fewer.drain(at..(at + len).min(fewer.len()));
            match run(row, &fewer) {
                Err(still) => (steps, words) = (fewer, still),
                Ok(()) => at += len,
            }
        }
        len /= 2;
    }
    (steps, words)
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

fn simulate(layout: Layout, mounts: usize, mode: CommitMode) {
    let wanted = variable("CLOAKFS_SIMULATION_SEEDS");
    let from = variable("CLOAKFS_SIMULATION_FROM").unwrap_or(0);
    let started = Instant::now();
    for seed in from..from + wanted.unwrap_or(SEEDS) {
        if wanted.is_none() && started.elapsed() > TIME {
            break;
        }
        let row = Row {
            layout,
            mounts,
            mode,
            retries: seed % 2 == 1,
        };
        let steps = plan(seed, row.mounts, STEPS);
        if let Err(words) = run(row, &steps) {
            let (steps, words) = cut_down(row, steps, words);
            let steps: Vec<_> = steps.iter().map(|step| format!("\n  {step:?}")).collect();
            panic!("seed {seed} of {row:?}: {words}{}", steps.concat());
        }
    }
}

macro_rules! rows {
    ($($name:ident: $layout:ident, $mounts:literal, $mode:ident;)+) => {
        $(#[test]
        fn $name() {
            simulate(Layout::$layout, $mounts, CommitMode::$mode);
        })+
    };
}

rows! {
    one_mount_plain: Plain, 1, OnClose;
    one_mount_sealed: Sealed, 1, OnClose;
    two_mounts_plain: Plain, 2, OnClose;
    two_mounts_sealed: Sealed, 2, OnClose;
    one_mount_writing_back_plain: Plain, 1, WriteBack;
    one_mount_writing_back_sealed: Sealed, 1, WriteBack;
    two_mounts_writing_back_plain: Plain, 2, WriteBack;
    two_mounts_writing_back_sealed: Sealed, 2, WriteBack;
}
