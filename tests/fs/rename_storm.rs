//! Directories move about, into each other too, while the files in them are written, read and
//! renamed: nothing is lost, nothing fails, and nobody waits for ever. `STORM_SEEDS=500` runs that
//! many, and `STORM_FROM` says where they begin.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use cloakfs::fs::{CommitMode, FileKind, Ino, ROOT, SetAttr};
use cloakfs::store::fault::{Effect, Rule};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::harness::{Bucket, Layout, Mount, me};
use crate::layouts::in_every_layout;

in_every_layout! {
    directories_move_about_while_their_files_are_used,
    directories_move_about_while_their_files_are_used_in_write_back,
}

const SEEDS: u64 = 4;
const MOVERS: usize = 3;
const WRITERS: usize = 8;
const STEPS: usize = 15;
const NEW: i32 = libc::O_WRONLY | libc::O_CREAT;

fn seeds() -> std::ops::Range<u64> {
    let of = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let from = of("STORM_FROM").unwrap_or(0);
    from..from + of("STORM_SEEDS").unwrap_or(SEEDS)
}

/// What comes next, by a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    async fn pause(&mut self) {
        sleep(Duration::from_millis(self.below(40) as u64)).await;
    }
}

/// A file of one task's.
struct Own {
    index: usize,
    parent: Ino,
    name: String,
    content: Vec<u8>,
}

async fn move_about(mount: Arc<Mount>, dirs: Arc<Vec<Ino>>, index: usize, mut chance: Chance) {
    let (mut parent, mut name) = (dirs[index], format!("m{index}"));
    for step in 0..STEPS {
        let to = dirs[chance.below(dirs.len())];
        let new = match chance.below(2) {
            0 => name.clone(),
            _ => format!("m{index}-{step}"),
        };
        let renamed = mount
            .fs
            .rename(parent, OsStr::new(&name), to, OsStr::new(&new), 0);
        match renamed.await {
            Ok(()) => (parent, name) = (to, new),
            Err(error) if error.errno() == libc::EINVAL => {}
            Err(error) => panic!("m{index} as {new}: {error}"),
        }
        chance.pause().await;
    }
}

async fn use_file(mount: Arc<Mount>, dirs: Arc<Vec<Ino>>, index: usize, mut chance: Chance) -> Own {
    let mut own = Own {
        index,
        parent: dirs[index % dirs.len()],
        name: format!("w{index}"),
        content: format!("{index} new").into_bytes(),
    };
    let name = own.name.clone();
    let created = mount
        .fs
        .create(me(), own.parent, OsStr::new(&name), 0o644, NEW);
    let (entry, opened) = created.await.unwrap();
    let ino = entry.attr.ino;
    mount
        .write_at(opened.handle, 0, &own.content)
        .await
        .unwrap();
    mount.close(opened.handle).await.unwrap();
    for step in 0..STEPS {
        let what = chance.below(7);
        let tell = |why: &dyn std::fmt::Display| format!("w{index} step {step} ({what}): {why}");
        match what {
            0 | 1 => {
                let flags = libc::O_RDWR | if what == 0 { libc::O_TRUNC } else { 0 };
                let opened = mount.fs.open(me(), ino, flags).await;
                let handle = opened.map_err(|error| tell(&error)).unwrap().handle;
                let text = format!("{index} at {step} {}", "x".repeat(chance.below(100)));
                if what == 0 {
                    own.content.clear();
                }
                let kept = own.content.len().min(text.len());
                own.content.splice(..kept, text.bytes());
                chance.pause().await;
                let written = mount.write_at(handle, 0, text.as_bytes()).await;
                written.map_err(|error| tell(&error)).unwrap();
                chance.pause().await;
                let closed = mount.close(handle).await;
                closed.map_err(|error| tell(&error)).unwrap();
            }
            2 => {
                let opened = mount.fs.open(me(), ino, libc::O_RDONLY).await;
                let handle = opened.map_err(|error| tell(&error)).unwrap().handle;
                chance.pause().await;
                let read = mount.read_all(handle).await;
                let read = read.map_err(|error| tell(&error)).unwrap();
                assert!(
                    read == own.content,
                    "{}",
                    tell(&String::from_utf8_lossy(&read))
                );
                mount.close(handle).await.unwrap();
            }
            3 => {
                let to = dirs[chance.below(dirs.len())];
                let new = format!("w{index}-{step}");
                let (from, name) = (own.parent, OsStr::new(&own.name));
                let renamed = mount.fs.rename(from, name, to, OsStr::new(&new), 0).await;
                renamed.map_err(|error| tell(&error)).unwrap();
                (own.parent, own.name) = (to, new);
            }
            4 => {
                let attr = mount.fs.getattr(ino, None).await;
                let (attr, _) = attr.map_err(|error| tell(&error)).unwrap();
                assert_eq!(attr.size, own.content.len() as u64, "{}", tell(&"size"));
            }
            5 => {
                let found = mount.fs.lookup(own.parent, OsStr::new(&own.name)).await;
                let found = found.map_err(|error| tell(&error)).unwrap();
                assert_eq!(found.attr.ino, ino, "{}", tell(&"another inode"));
            }
            _ => {
                let mode = SetAttr {
                    mode: Some(0o600),
                    ..SetAttr::default()
                };
                let set = mount.fs.setattr(me(), ino, mode, None).await;
                set.map_err(|error| tell(&error)).unwrap();
            }
        }
        chance.pause().await;
    }
    own
}

async fn look_around(mount: Arc<Mount>, dirs: Arc<Vec<Ino>>, mut chance: Chance) {
    for _ in 0..STEPS {
        let dir = dirs[chance.below(dirs.len())];
        mount.list_items(dir, chance.below(2) == 0).await.unwrap();
        mount.fs.getattr(dir, None).await.unwrap();
        let absent = mount.fs.lookup(dir, OsStr::new("absent")).await;
        assert_eq!(absent.unwrap_err().errno(), libc::ENOENT);
        chance.pause().await;
    }
}

async fn storm(layout: Layout, mode: CommitMode, seed: u64) {
    let (bucket, state) = (Bucket::of(layout), crate::crashes::state());
    let mount = Arc::new(bucket.mount_in(state.path(), mode).await);
    let mut dirs = Vec::new();
    for path in ["p0", "p1", "p2", "p0/m0", "p1/m1", "p2/m2"] {
        dirs.push(mount.mkdir(path).await.unwrap().attr.ino);
    }
    let dirs = Arc::new(dirs);
    tokio::time::pause();
    for (millis, after, chance) in [
        (3, false, 300_000),
        (17, false, 200_000),
        (11, true, 300_000),
        (40, true, 200_000),
    ] {
        let delay = Duration::from_millis(millis);
        let effect = if after {
            Effect::DelayAfter(delay)
        } else {
            Effect::Delay(delay)
        };
        bucket.fault.inject(Rule::new(effect).per_million(chance));
    }
    let chance = |of: usize| Chance(seed * 1000 + of as u64);
    let (mut others, mut writers) = (JoinSet::new(), JoinSet::new());
    for index in 0..MOVERS {
        others.spawn(move_about(
            Arc::clone(&mount),
            Arc::clone(&dirs),
            index,
            chance(index),
        ));
        others.spawn(look_around(
            Arc::clone(&mount),
            Arc::clone(&dirs),
            chance(100 + index),
        ));
    }
    for index in 0..WRITERS {
        writers.spawn(use_file(
            Arc::clone(&mount),
            Arc::clone(&dirs),
            index,
            chance(200 + index),
        ));
    }
    let ended = async {
        let owned = writers.join_all().await;
        others.join_all().await;
        owned
    };
    let owned = timeout(Duration::from_hours(1), ended)
        .await
        .expect("nobody waits for ever");
    bucket.fault.clear();
    mount.fs.sync_all(|_| ()).await.unwrap();
    let status = mount.fs.status();
    assert_eq!(
        (status.conflicts_total, status.uncommitted_files),
        (0, 0),
        "{status:?}"
    );
    assert_eq!(bucket.private_keys(), Vec::<String>::new());
    let mut found = BTreeMap::new();
    let fresh = bucket.mount().await;
    let mut below = vec![(ROOT, String::new())];
    let mut directories = 0;
    while let Some((ino, path)) = below.pop() {
        for item in fresh.list_items(ino, true).await.unwrap() {
            let name = item.name.into_string().unwrap();
            let path = format!("{path}/{name}");
            if item.kind == FileKind::Directory && name != "." && name != ".." {
                directories += 1;
                below.push((item.ino, path));
            } else if item.kind == FileKind::File {
                let data = fresh.read_file(&path[1..]).await.unwrap();
                assert!(found.insert(name, data).is_none(), "{path} is twice there");
            }
        }
    }
    assert_eq!(directories, dirs.len());
    let expected: BTreeMap<_, _> = owned
        .into_iter()
        .map(|own| {
            assert!(own.name.starts_with(&format!("w{}", own.index)));
            (own.name, own.content)
        })
        .collect();
    assert_eq!(found, expected);
}

async fn directories_move_about_while_their_files_are_used(layout: Layout) {
    for seed in seeds() {
        Box::pin(storm(layout, CommitMode::OnClose, seed)).await;
        tokio::time::resume();
    }
}

async fn directories_move_about_while_their_files_are_used_in_write_back(layout: Layout) {
    for seed in seeds() {
        Box::pin(storm(layout, CommitMode::WriteBack, seed)).await;
        tokio::time::resume();
    }
}
