//! What a simulation does: steps, drawn from a seed before anything happens.

use cloakfs::base::jitter::Jitter;
use cloakfs::store::ErrorKind;
use cloakfs::store::fault::Effect;

pub const DIRECTORIES: [&str; 3] = ["a", "b", "c"];
const NAMES: [&str; 4] = ["w", "x", "y", "z"];
/// More than one part.
pub const LARGE: usize = (9 << 20) + 7;

/// One mount does something, perhaps while something happens to it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its number in the whole plan: names the bytes that it writes.
    pub number: usize,
    pub mount: usize,
    pub act: Act,
    pub trouble: Option<Trouble>,
}

#[derive(Clone, Debug)]
pub enum Act {
    /// Opens with `O_CREAT | O_TRUNC`, writes, closes.
    Write {
        path: String,
        len: usize,
    },
    /// Opens what is there, writes at its end, closes.
    Append {
        path: String,
        len: usize,
    },
    /// Opens what is there, writes from a thousandth of its length on, closes.
    Change {
        path: String,
        at: usize,
        len: usize,
    },
    /// truncate(2), to a thousandth of the length.
    Truncate {
        path: String,
        at: usize,
    },
    /// Opens with `O_CREAT` and keeps it open; each mount has one such handle.
    Open {
        path: String,
    },
    /// Writes at the beginning of what it has open.
    WriteOpen {
        len: usize,
    },
    Fsync,
    Close,
    Unlink {
        path: String,
    },
    Rename {
        from: String,
        to: String,
    },
    /// The same of directories.
    RenameDirectory {
        from: String,
        to: String,
    },
    Chmod {
        path: String,
        mode: u32,
    },
    Mkdir {
        path: String,
    },
    Rmdir {
        path: String,
    },
    Read {
        path: String,
    },
    SyncAll,
    /// Time passes, and what is done in the background is done.
    Wait,
    /// An orderly unmount, and a new mount.
    Remount,
}

/// From its n-th request on, counted from 0.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// So many requests fail, or all that follow.
    Fails {
        after: u64,
        effect: Effect,
        times: Option<u64>,
    },
    /// The machine is gone: before that request was carried out, or after it.
    Dies { after: u64, carried_out: bool },
}

impl Step {
    pub const fn dies(&self) -> bool {
        matches!(self.trouble, Some(Trouble::Dies { .. }))
    }
}

struct Random {
    jitter: Jitter,
    /// Most of what happens, happens here, so that steps meet.
    hot: Vec<String>,
}

impl Random {
    fn seeded(seed: u64) -> Self {
        let mut random = Self {
            jitter: Jitter::seeded(seed),
            hot: Vec::new(),
        };
        random.hot = (0..=random.below(3)).map(|_| random.any_path()).collect();
        random
    }

    fn below(&self, limit: usize) -> usize {
        usize::try_from(self.jitter.next_u64() % limit as u64).unwrap()
    }

    fn one_in(&self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn of<T: Copy>(&self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn path(&self) -> String {
        if self.one_in(5) {
            return self.any_path();
        }
        self.hot[self.below(self.hot.len())].clone()
    }

    fn any_path(&self) -> String {
        format!("{}/{}", self.of(&DIRECTORIES), self.of(&NAMES))
    }

    fn len(&self) -> usize {
        if self.one_in(40) {
            return LARGE;
        }
        self.of(&[0, 3, 70, 5000])
    }

    fn small_directory(&self) -> String {
        format!("{}/directory", self.of(&DIRECTORIES))
    }

    fn act(&self) -> Act {
        let path = self.path();
        match self.below(33) {
            0..5 => Act::Write {
                path,
                len: self.len(),
            },
            5..7 => Act::Append {
                path,
                // A close through which nothing was written stores nothing.
                len: self.len().max(1),
            },
            7..9 => Act::Change {
                path,
                at: self.below(1000),
                len: self.of(&[3, 70]),
            },
            9 => Act::Truncate {
                path,
                at: self.below(1000),
            },
            10..13 => Act::Open { path },
            13..17 => Act::WriteOpen {
                // The kernel asks for no writes of nothing.
                len: self.len().max(1),
            },
            17 => Act::Fsync,
            18..20 => Act::Close,
            20..23 => Act::Unlink { path },
            23..26 if self.one_in(4) => {
                let (from, to) = (self.small_directory(), self.small_directory());
                if to == from {
                    Act::Mkdir { path: to }
                } else {
                    Act::RenameDirectory { from, to }
                }
            }
            23..26 => {
                let to = self.path();
                if to == path {
                    Act::Read { path }
                } else {
                    Act::Rename { from: path, to }
                }
            }
            26 => Act::Chmod {
                path,
                mode: self.of(&[0o600, 0o640, 0o755]),
            },
            27 => Act::Mkdir {
                path: self.small_directory(),
            },
            28 => Act::Rmdir {
                path: self.small_directory(),
            },
            29 => Act::Read { path },
            30 => Act::SyncAll,
            31 => Act::Wait,
            _ => Act::Remount,
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        let after = self.of(&[0, 0, 1, 1, 2, 3, 4, 6, 9]);
        match self.below(10) {
            0 => Some(Trouble::Dies {
                after,
                carried_out: self.one_in(2),
            }),
            1..4 => {
                let kind = self.of(&[ErrorKind::TimedOut, ErrorKind::Unavailable]);
                let effects = [Effect::FailBefore(kind), Effect::FailAfter(kind)];
                let times = self.of(&[Some(1), Some(1), Some(3), None]);
                Some(Trouble::Fails {
                    after,
                    effect: self.of(&effects),
                    times,
                })
            }
            _ => None,
        }
    }
}

/// So many steps by so many mounts.
pub fn plan(seed: u64, mounts: usize, steps: usize) -> Vec<Step> {
    let random = Random::seeded(seed);
    let step = |number| Step {
        number,
        mount: random.below(mounts),
        act: random.act(),
        trouble: random.trouble(),
    };
    (0..steps).map(step).collect()
}

/// The bytes that a step writes: they tell which step it was.
pub fn bytes(step: usize, len: usize) -> Vec<u8> {
    let mark = format!("<{step:04}>");
    let mut bytes = mark.repeat(len / mark.len() + 1).into_bytes();
    bytes.truncate(len);
    bytes
}
