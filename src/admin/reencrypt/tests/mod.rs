//! Moves along each code path in a store in memory: what they need in common.

mod kills;
mod limits;
mod paths;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::sides::{Sides, SidesError, Wanted};
use super::*;
use crate::admin::fixture::{Ground, PREFIX, root};
use crate::admin::own::Own;
use crate::base::range::ByteRange;
use crate::base::time::Timestamp;
use crate::layout::attributes::{Attributes, FileKind, Xattrs};
use crate::layout::path::VolumePath;
use crate::layout::sealed::WrappedKey;
use crate::store::ObjectKey;
use crate::store::ServerEncryption;
use crate::store::fault::Calls;
use crate::store::s3::encryption::ExpectedEncryption;
use crate::volume::{Condition, ObjectMeta, ObjectRef};

const LARGE: usize = (17 << 20) + 3;

/// What everything is of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Is {
    Server(ServerEncryption),
    /// A volume of the key.
    Sealed {
        key: u8,
        names: bool,
    },
}

fn sealed(key: u8, names: bool) -> Is {
    Is::Sealed { key, names }
}

fn kms(key: &str) -> Is {
    Is::Server(ServerEncryption::SseKms {
        key_id: Some(key.to_owned()),
        bucket_key: false,
        dsse: false,
    })
}

const NONE: Is = Is::Server(ServerEncryption::None);

struct Rig {
    ground: Ground,
    /// As `--content`.
    content: bool,
}

type Tree = BTreeMap<String, (Bytes, Attributes)>;

fn attributes(kind: FileKind) -> Attributes {
    let now = Timestamp::now();
    let mut xattrs = Xattrs::new();
    if kind == FileKind::File {
        xattrs.insert("user.colour".to_owned(), b"blue".to_vec());
    }
    Attributes {
        kind,
        perm: 0o640,
        uid: 7,
        gid: 8,
        rdev: 0,
        atime: now,
        mtime: now,
        ctime: now,
        xattrs,
    }
}

fn content(bytes: usize) -> Bytes {
    let all = (0..bytes).map(|at| u8::try_from(at % 251).unwrap());
    all.collect::<Vec<_>>().into()
}

impl Rig {
    fn new() -> Self {
        Self {
            ground: Ground::new(),
            content: false,
        }
    }

    /// Plain objects get this encryption now.
    fn serve(&self, is: &Is) {
        self.ground.mem.encrypt_as(match is {
            Is::Server(encryption) => encryption.clone(),
            Is::Sealed { .. } => ServerEncryption::None,
        });
    }

    async fn volume(&self, is: &Is) -> Arc<Volume> {
        self.serve(is);
        match is {
            Is::Server(_) => {
                let options = self.ground.options(false);
                let volume = Volume::open(self.ground.store(), PREFIX, options).await;
                volume.unwrap_or_else(|error| panic!("{error}"))
            }
            Is::Sealed { key, .. } => self.ground.mount(*key).await,
        }
    }

    /// Files of each kind in a fresh volume.
    async fn fill(&self, is: &Is, large: bool) -> Tree {
        if let Is::Sealed { key, names } = is {
            self.ground.make_volume(*key, *names).await;
        }
        let volume = self.volume(is).await;
        let mut files = vec![
            ("small".to_owned(), FileKind::File, content(5_000)),
            ("empty".to_owned(), FileKind::File, Bytes::new()),
            ("dir".to_owned(), FileKind::Directory, Bytes::new()),
            (
                "dir/link".to_owned(),
                FileKind::Symlink,
                Bytes::from("to/there"),
            ),
            ("dir/pipe".to_owned(), FileKind::Fifo, Bytes::new()),
            (
                "dir/deeper/file".to_owned(),
                FileKind::File,
                content(40_000),
            ),
        ];
        if large {
            files.push(("large".to_owned(), FileKind::File, content(LARGE)));
        }
        for (path, kind, body) in files {
            let meta = ObjectMeta::new(attributes(kind));
            let path = path.parse().unwrap();
            let put = volume.put(&path, &meta, body, &Condition::IfAbsent);
            put.await.unwrap_or_else(|error| panic!("{error}"));
        }
        self.tree(is).await
    }

    /// Everything, as a mount sees it.
    async fn tree(&self, is: &Is) -> Tree {
        let volume = self.volume(is).await;
        let mut tree = Tree::new();
        for key in self.ground.mem.keys() {
            if Own::of(PREFIX, &key).is_some() {
                continue;
            }
            let path = volume
                .path_of(&key)
                .unwrap_or_else(|why| panic!("{key}: {why:?}"));
            let name: VolumePath = path.trim_end_matches('/').parse().unwrap();
            let stat = if path.ends_with('/') {
                volume.stat_marked_directory(&name).await
            } else {
                volume.stat_file(&name).await
            };
            let stat = stat.unwrap_or_else(|error| panic!("{path}: {error}"));
            let stat = stat.unwrap_or_else(|| panic!("{path} is not there"));
            let mut attributes = stat.meta.attributes;
            // A plain object has the time of its last write for one that it does not store.
            attributes.ctime = attributes.mtime;
            attributes.atime = attributes.mtime;
            let version = stat.version.unwrap();
            let range = ByteRange::new(0, stat.size);
            let object = ObjectRef::Path(name);
            let body = volume.read(&object, &version, range).await;
            tree.insert(path, (body.unwrap(), attributes));
        }
        tree
    }

    async fn sides(&self, from: &Is, to: &Is, rehearses: bool) -> Result<Sides, SidesError> {
        let of = |is: &Is| match is {
            Is::Server(_) => None,
            Is::Sealed { key, names } => Some((root(*key), *names)),
        };
        let wanted = of(to).map(|(root, names)| Wanted {
            root,
            encrypt_names: Some(names),
            new_content_keys: self.content,
        });
        let old = of(from).map(|(root, _)| root);
        let store = self.ground.store();
        Sides::prepare(&store, PREFIX, "mem", old, wanted, rehearses).await
    }

    /// As the command does it: to its end, or as far as it comes.
    async fn reencrypt(&self, from: &Is, to: &Is, rehearses: bool) -> Result<Summary, String> {
        self.serve(to);
        let sides = self.sides(from, to, rehearses).await;
        let Sides {
            old, new, ending, ..
        } = sides.map_err(|error| error.to_string())?;
        let open = async |side| {
            let (store, options) = (self.ground.store(), self.ground.options(rehearses));
            let opened = Volume::open_as_it_is(store, PREFIX, options, side).await;
            opened.map_err(|error| error.to_string())
        };
        let work = Move {
            old: open(old).await?,
            new: open(new).await?,
            store: self.ground.store(),
            prefix: PREFIX.to_owned(),
            target: match to {
                Is::Server(_) => Target::Plain,
                Is::Sealed { .. } => Target::Sealed {
                    new_content_keys: self.content,
                },
            },
            required: match to {
                Is::Server(ServerEncryption::SseKms { key_id, .. }) => {
                    Required::Server(ExpectedEncryption::SseKms {
                        key: key_id.clone(),
                        dsse: false,
                    })
                }
                Is::Server(encryption) => Required::Default(Some(encryption.clone())),
                Is::Sealed { .. } => Required::Default(Some(ServerEncryption::None)),
            },
            copies_all: self.content && matches!(to, Is::Server(_)),
        };
        let mut tell = |_: Event<'_>| ();
        let summary = if rehearses {
            work.rehearse(&mut tell).await
        } else {
            work.run(&mut tell).await
        };
        let summary = summary.map_err(|error| error.to_string())?;
        if summary.is_done() && !rehearses {
            let ended = ending.carry_out(&self.ground.store(), PREFIX).await;
            ended.map_err(|error| error.to_string())?;
        }
        Ok(summary)
    }

    async fn whole(&self, from: &Is, to: &Is) -> Calls {
        let before = self.ground.fault.calls();
        let summary = self.reencrypt(from, to, false).await.unwrap();
        assert!(summary.is_done(), "{from:?} to {to:?}: {summary:?}");
        self.ground.fault.calls().since(&before)
    }
}

/// The same files, in their content and what belongs to it.
async fn assert_same(rig: &Rig, is: &Is, was: &Tree, what: &str) {
    let tree = rig.tree(is).await;
    let paths = |tree: &Tree| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&tree), paths(was), "{what}");
    for (path, (body, attributes)) in &tree {
        let (was_body, was_attributes) = &was[path];
        assert!(body == was_body, "{what}: {path} has other content");
        assert_eq!(attributes, was_attributes, "{what}: {path}");
    }
}

fn paths() -> Vec<(Is, Is)> {
    vec![
        (NONE, kms("one")),
        (kms("one"), kms("two")),
        (kms("one"), sealed(1, true)),
        (NONE, sealed(1, false)),
        (sealed(1, false), NONE),
        (sealed(1, true), kms("one")),
        (sealed(1, true), sealed(2, true)),
        (sealed(1, false), sealed(2, false)),
    ]
}
