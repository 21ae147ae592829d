//! Any sequence of changes leaves objects that are what a model says, each opened without the
//! volume after each step.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::rig::{copy_below, meta, path, preserve, put, rename};
use super::*;
use crate::layout::attributes::{FileKind, Xattrs};
use crate::layout::sealed::BodyId;
use crate::volume::{Condition, Version};

const NAMES: [&str; 4] = ["a", "b", "d/a", "d/b"];

#[derive(Clone, Debug)]
enum Step {
    /// Writes a new file, or other content.
    Put(usize, usize),
    Chmod(usize, u16),
    Xattrs(usize, usize),
    Rename(usize, usize),
    /// As a directory's rename copies it, and back.
    MoveAndBack(usize),
    Preserve(usize),
    Delete(usize),
    /// From now on with another mount, which knows nothing.
    Remount,
    /// As a stat tells the caller what the object has by now.
    Stat(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let xattr_bytes = prop_oneof![Just(0_usize), 1..600_usize, 600..650_usize, 650..4000_usize];
    prop_oneof![
        4 => (name(), prop_oneof![Just(0_usize), 1..400_usize, 400..3000_usize])
            .prop_map(|(name, bytes)| Step::Put(name, bytes)),
        4 => (name(), 0..0o10000_u16).prop_map(|(name, perm)| Step::Chmod(name, perm)),
        4 => (name(), xattr_bytes).prop_map(|(name, bytes)| Step::Xattrs(name, bytes)),
        4 => (name(), name()).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => name().prop_map(Step::MoveAndBack),
        2 => name().prop_map(Step::Preserve),
        1 => name().prop_map(Step::Delete),
        1 => Just(Step::Remount),
        2 => name().prop_map(Step::Stat),
    ]
}

/// What is at a name, and what its next version is compared with.
#[derive(Clone, Debug)]
struct Entry {
    file: File,
    generation: u64,
    sequence: u64,
    body: BodyId,
}

#[derive(Default)]
struct Model {
    entries: BTreeMap<usize, Entry>,
    /// Copies below the reserved prefix: what they were made from.
    kept: Vec<(String, File)>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn objects_are_what_the_model_says(
        steps in prop::collection::vec(step(), 1..24),
        keep_etags: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(run(&steps, keep_etags));
    }
}

async fn run(steps: &[Step], keep_etags: bool) {
    let mut rig = if keep_etags {
        Rig::over(crate::store::mem::MemStore::new().copies_keep_etags()).await
    } else {
        Rig::with_small_limits().await
    };
    let mut model = Model::default();
    for step in steps {
        if let Step::Remount = step {
            rig.volume = rig.mount_again().await;
            continue;
        }
        model.take(&rig, step).await;
        model.assert_holds(&rig).await;
    }
}

impl Model {
    async fn take(&mut self, rig: &Rig, step: &Step) {
        match *step {
            Step::Put(name, bytes) => self.put(rig, name, bytes).await,
            Step::Chmod(name, perm) => {
                self.change(rig, name, |file| file.meta.attributes.perm = perm)
                    .await;
            }
            Step::Xattrs(name, bytes) => {
                let wanted = if bytes == 0 {
                    Xattrs::new()
                } else {
                    xattrs(bytes)
                };
                self.change(rig, name, |file| file.meta.attributes.xattrs = wanted)
                    .await;
            }
            Step::Rename(from, to) => self.rename(rig, from, to).await,
            Step::MoveAndBack(name) => self.move_and_back(rig, name).await,
            Step::Preserve(name) => {
                let Some(entry) = self.entries.get(&name) else {
                    return;
                };
                let kept = preserve(&rig.volume, NAMES[name], &entry.file).await;
                let (private, version) = kept.unwrap();
                let key = format!(".cloakfs/{private}");
                let mut file = entry.file.clone();
                refresh(rig, &key, &mut file, version).await;
                self.kept.push((key, file));
            }
            Step::Delete(name) => {
                rig.volume.delete(&path(NAMES[name])).await.unwrap();
                self.entries.remove(&name);
            }
            Step::Stat(name) => {
                if let Some(entry) = self.entries.get_mut(&name) {
                    let lineage = &mut entry.file.meta.lineage;
                    lineage.generation = entry.generation;
                    lineage.sequence = entry.sequence;
                }
            }
            Step::Remount => unreachable!("taken above"),
        }
    }

    async fn put(&mut self, rig: &Rig, name: usize, bytes: usize) {
        let wanted = content(bytes);
        let (meta, condition) = match self.entries.get(&name) {
            Some(entry) => (
                entry.file.meta.clone(),
                Condition::IfVersion(entry.file.version()),
            ),
            None => (meta(FileKind::File, Xattrs::new()), Condition::IfAbsent),
        };
        let done = put(&rig.volume, NAMES[name], &meta, &wanted, &condition).await;
        let file = File {
            meta,
            content: wanted,
            done: done.unwrap(),
        };
        self.note(rig, name, file).await;
    }

    async fn change(&mut self, rig: &Rig, name: usize, change: impl FnOnce(&mut File)) {
        if let Some(entry) = self.entries.get(&name) {
            let mut file = entry.file.clone();
            change(&mut file);
            rig.set_attributes(NAMES[name], &mut file).await;
            self.note(rig, name, file).await;
        }
    }

    async fn rename(&mut self, rig: &Rig, from: usize, to: usize) {
        if let Some(entry) = self.entries.get(&from).filter(|_| from != to) {
            let mut file = entry.file.clone();
            // Whoever renames has looked at the new name.
            rig.volume.stat_file(&path(NAMES[to])).await.unwrap();
            let rename = rename(&rig.volume, (NAMES[from], &entry.file), (NAMES[to], &file));
            file.done = rename.await.unwrap();
            self.entries.remove(&from);
            self.note(rig, to, file).await;
        }
    }

    async fn move_and_back(&mut self, rig: &Rig, name: usize) {
        let Some(entry) = self.entries.get(&name) else {
            return;
        };
        let mut file = entry.file.clone();
        let (here, away) = (NAMES[name].to_owned(), format!("away/{}", NAMES[name]));
        for (from, to, key, at) in [("", "away", &here, &away), ("away", "", &away, &here)] {
            let listed = file.listed(key, &rig.find(key).await);
            let moved = copy_below(&rig.volume, from, to, &listed).await.unwrap();
            let (from, source) = (path(from), Some(&moved.source));
            let gone = rig.volume.delete_below(&from, NAMES[name], source);
            gone.await.unwrap();
            refresh(rig, at, &mut file, moved.copy).await;
        }
        self.entries.remove(&name);
        self.note(rig, name, file).await;
    }

    /// What was written is above what it replaced, and another body where the body is another.
    async fn note(&mut self, rig: &Rig, name: usize, file: File) {
        let found = rig.assert_is(NAMES[name], &file).await;
        let record = &found.object.record;
        let entry = Entry {
            file,
            generation: record.generation,
            sequence: found.object.attributes.sequence,
            body: record.body,
        };
        match self.entries.insert(name, entry) {
            Some(replaced) => assert!(replaced.generation < found.generation()),
            None => assert_eq!(found.generation(), 1),
        }
    }

    async fn assert_holds(&self, rig: &Rig) {
        let mut bodies = BTreeMap::new();
        for (&name, entry) in &self.entries {
            let found = rig.assert_is(NAMES[name], &entry.file).await;
            assert_eq!(found.object.record.body, entry.body);
            assert_eq!(found.object.attributes.sequence, entry.sequence);
            assert_eq!(bodies.insert(entry.body, name), None);
        }
        for (key, file) in &self.kept {
            rig.assert_is(key, file).await;
        }
        let all = self.entries.len() + self.kept.len();
        assert_eq!(rig.mem.keys().len(), all, "{:?}", rig.mem.keys());
    }
}

/// The answer of a copy tells no commit id.
async fn refresh(rig: &Rig, key: &str, file: &mut File, version: Version) {
    let found = rig.find(key).await;
    file.done.version = version;
    file.done.commit = found.metadata[crate::base::id::CommitId::METADATA_NAME].clone();
}
