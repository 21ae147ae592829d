//! Random changes, commits and failures against a vector.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::fixture::{Fixture, Layout, assert_same, index, meta, path};
use crate::store::fault::{Effect, Rule};
use crate::store::{ErrorKind, Operation};
use crate::volume::{Condition, Version};
use crate::write::DirtyFile;

#[derive(Clone, Debug)]
enum Step {
    Write {
        file: usize,
        at: u64,
        len: usize,
    },
    /// Where the last write ended.
    Append {
        file: usize,
        len: usize,
    },
    Truncate {
        file: usize,
        size: u64,
    },
    /// Appends so much that it streams, and cuts the file back to its base.
    ThereAndBack {
        file: usize,
        len: usize,
    },
    Read {
        file: usize,
        at: u64,
        len: u64,
    },
    Commit {
        file: usize,
    },
    /// A commit during which this share of calls fails.
    FailingCommit {
        file: usize,
        per_million: u32,
    },
    /// Uploads fail until the next commit.
    Outage,
}

const FILES: usize = 3;
const SIZE_MAX: u64 = 30 * super::fixture::CELL;

fn step() -> impl Strategy<Value = Step> {
    let file = 0..FILES;
    prop_oneof![
        6 => (file.clone(), 0..SIZE_MAX - 300, 1..300_usize)
            .prop_map(|(file, at, len)| Step::Write { file, at, len }),
        6 => (file.clone(), 1..200_usize).prop_map(|(file, len)| Step::Append { file, len }),
        1 => (file.clone(), 0..SIZE_MAX).prop_map(|(file, size)| Step::Truncate { file, size }),
        1 => (file.clone(), 300..1200_usize)
            .prop_map(|(file, len)| Step::ThereAndBack { file, len }),
        3 => (file.clone(), 0..SIZE_MAX, 1..400_u64)
            .prop_map(|(file, at, len)| Step::Read { file, at, len }),
        1 => file.clone().prop_map(|file| Step::Commit { file }),
        1 => (file, 100_000..900_000_u32)
            .prop_map(|(file, per_million)| Step::FailingCommit { file, per_million }),
        1 => Just(Step::Outage),
    ]
}

struct Opened {
    name: String,
    file: Arc<DirtyFile>,
    model: Vec<u8>,
    committed: Vec<u8>,
    version: Option<Version>,
}

struct Run {
    layout: Layout,
    fixture: Fixture,
    files: Vec<Opened>,
    stamp: u64,
}

impl Run {
    async fn new(layout: Layout, staging_bytes: u64, publishes: bool) -> Self {
        let fixture = if publishes {
            Fixture::publishing(layout, 0, staging_bytes, u64::MAX).await
        } else {
            Fixture::tiny_with(layout, 0, staging_bytes).await
        };
        let mut files = Vec::new();
        for index in 0..FILES {
            let name = format!("file{index}");
            let content = layout.pattern(99, 0, index * 500);
            let existing = index > 0;
            let file = if existing {
                fixture.existing(&name, &content).await
            } else {
                fixture.file()
            };
            let version = file.base().map(|base| base.version);
            let committed = content.clone();
            files.push(Opened {
                name,
                file,
                model: content,
                committed,
                version,
            });
        }
        heal(&fixture);
        Self {
            layout,
            fixture,
            files,
            stamp: 0,
        }
    }

    async fn step(&mut self, step: &Step) {
        let unit = self.layout.unit();
        match *step {
            Step::Write { file, at, len } => self.write(file, at * unit, len).await,
            Step::Append { file, len } => {
                let at = self.files[file].model.len() as u64;
                if at + len as u64 * unit < SIZE_MAX * unit {
                    self.write(file, at, len).await;
                }
            }
            Step::Truncate { file, size } => self.truncate(file, size * unit).await,
            Step::ThereAndBack { file, len } => {
                let base = self.files[file].file.base().map_or(0, |base| base.size);
                let start = self.files[file].model.len() as u64;
                let end = (SIZE_MAX * unit).min(start + len as u64 * unit);
                for at in (start..end).step_by(index(48 * unit)) {
                    let len = 48.min((end - at) / unit);
                    self.write(file, at, index(len)).await;
                }
                self.truncate(file, base).await;
            }
            Step::Read { file, at, len } => {
                heal(&self.fixture);
                let opened = &self.files[file];
                let end = ((at + len) * unit).min(opened.model.len() as u64);
                let at = (at * unit).min(end);
                let read = self.fixture.read(&opened.file, at, end).await;
                assert_same(read, &opened.model[index(at)..index(end)]);
            }
            Step::Commit { file } => {
                heal(&self.fixture);
                self.commit(file).await.unwrap();
                self.assert_stored(file).await;
            }
            Step::FailingCommit { file, per_million } => {
                let fails = Effect::FailBefore(ErrorKind::Denied);
                self.fixture
                    .fault
                    .inject(Rule::new(fails).per_million(per_million));
                let dirty = self.files[file].file.is_dirty();
                let done = self.commit(file).await;
                heal(&self.fixture);
                if done.is_err() {
                    assert_eq!(self.files[file].file.is_dirty(), dirty);
                }
                self.assert_stored(file).await;
            }
            Step::Outage => {
                let fails = Effect::FailBefore(ErrorKind::Unavailable);
                self.fixture.fault.inject(Rule::new(fails));
            }
        }
        let memory = self.fixture.engine.memory_used_bytes();
        assert!(memory <= self.fixture.engine.memory_limit_bytes());
    }

    async fn write(&mut self, file: usize, at: u64, len: usize) {
        self.stamp += 1;
        let unit = self.layout.unit();
        let data = Bytes::from(self.layout.pattern(self.stamp, at / unit, len));
        let opened = &mut self.files[file];
        let written = match opened.file.try_write(at, &data) {
            Some(written) => written,
            None => opened.file.write(at, data.clone()).await,
        };
        if written.is_err() {
            // There was no room and no bucket: when there is one again, the write succeeds.
            heal(&self.fixture);
            opened.file.write(at, data.clone()).await.unwrap();
        }
        let (at, end) = (index(at), index(at) + data.len());
        opened.model.resize(opened.model.len().max(end), 0);
        opened.model[at..end].copy_from_slice(&data);
    }

    async fn truncate(&mut self, file: usize, size: u64) {
        let opened = &mut self.files[file];
        if opened.file.truncate(size).await.is_err() {
            heal(&self.fixture);
            opened.file.truncate(size).await.unwrap();
        }
        opened.model.resize(index(size), 0);
    }

    async fn commit(&mut self, file: usize) -> crate::write::Result<()> {
        let opened = &mut self.files[file];
        let condition = match &opened.version {
            Some(version) => Condition::IfVersion(version.clone()),
            None => Condition::IfAbsent,
        };
        let committed = opened
            .file
            .commit(&path(&opened.name), &meta(), &condition)
            .await?;
        opened.version = Some(committed.version.clone());
        opened.committed.clone_from(&opened.model);
        assert!(!opened.file.is_dirty());
        assert_eq!(opened.file.dirty_bytes(), 0);
        assert_eq!(
            opened.file.base().map(|base| base.version),
            Some(committed.version)
        );
        Ok(())
    }

    /// The bucket shows what was committed last, whole.
    async fn assert_stored(&self, file: usize) {
        let opened = &self.files[file];
        if opened.version.is_some() {
            let stored = self.fixture.stored(&opened.name).await;
            assert_same(stored, &opened.committed);
        }
    }

    async fn finish(mut self) {
        heal(&self.fixture);
        for file in 0..FILES {
            let opened = &self.files[file];
            assert_same(self.fixture.read_all(&opened.file).await, &opened.model);
            self.commit(file).await.unwrap();
            self.assert_stored(file).await;
        }
        assert_eq!(self.fixture.engine.memory_used_bytes(), 0);
        self.files.clear();
        self.fixture.assert_clean().await;
    }
}

/// Ends all failures. Clearing away never fails, so that what is left behind is a mistake; what
/// becomes of it otherwise is the volume's journal's.
fn heal(fixture: &Fixture) {
    fixture.fault.clear();
    for operation in [Operation::AbortMultipartUpload, Operation::DeleteObject] {
        let spared = Rule::new(Effect::Delay(Duration::ZERO)).on(operation);
        fixture.fault.inject(spared);
    }
}

fn run(layout: Layout, staging: u64, publishes: bool, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut run = Run::new(layout, staging, publishes).await;
        for step in steps {
            run.step(step).await;
        }
        run.finish().await;
    });
}

fn staging() -> impl Strategy<Value = u64> {
    prop::sample::select(vec![0, 16 << 10, 1 << 20])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn files_hold_what_was_written(
        staging in staging(), publishes: bool, steps in prop::collection::vec(step(), 1..60),
    ) {
        run(Layout::Plain, staging, publishes, &steps);
    }
}

proptest! {
    // Real segments: each case moves some hundred MiB.
    #![proptest_config(ProptestConfig {
        cases: 4,
        max_shrink_iters: 20,
        ..ProptestConfig::default()
    })]

    #[test]
    fn client_side_files_hold_what_was_written(
        staging in staging(), publishes: bool, steps in prop::collection::vec(step(), 1..25),
    ) {
        run(Layout::Sealed, staging, publishes, &steps);
    }
}
