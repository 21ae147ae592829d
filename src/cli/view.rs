//! `cloakfs status` for people. Pure.
//!
//! The daemon may be older or newer: figures that it does not tell are not shown.

mod consistency;
mod encryption;
mod renames;
mod write_back;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::base::size::ByteSize;
use crate::base::terminal::printable;
use crate::mount::control::protocol::Status;

/// Names of each kind that are listed; more are only counted.
const LISTED: usize = 10;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Filesystem {
    open_files: u64,
    open_directories: u64,
    cache_hits: u64,
    cache_misses: u64,
    cache_bytes: u64,
    cache_capacity_bytes: u64,
    fetched_bytes: u64,
    uncommitted_files: u64,
    uncommitted_bytes: u64,
    failed: BTreeMap<String, String>,
    renames: Vec<renames::Rename>,
    conflicts: Vec<Conflict>,
    conflicts_total: u64,
    hidden: BTreeMap<String, String>,
    hidden_total: u64,
    modes: ModesSeen,
    kms: Option<encryption::KmsCalls>,
    write_back: Option<write_back::WriteBack>,
    unreplayed: Vec<write_back::Unreplayed>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModesSeen {
    other_modes: Vec<OtherMode>,
    without_key: u64,
    without_key_examples: Vec<String>,
    at_least: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OtherMode {
    mode: String,
    key_id: Option<String>,
    key_md5: Option<String>,
    objects: u64,
}

#[derive(Debug, Deserialize)]
struct Conflict {
    path: String,
    kept_as: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Store {
    retries: u64,
    throttled: u64,
    unavailable: u64,
    timed_out: u64,
    gave_up: u64,
}

pub(super) fn status(status: &Status) -> String {
    let filesystem: Filesystem = figures(&status.filesystem);
    let store: Store = figures(&status.store);
    let mut text = Text::default();
    let access = if status.read_only { ", read-only" } else { "" };
    text.line("source", &status.source);
    text.line(
        "mounted at",
        &format!("{}{access}", status.mountpoint.display()),
    );
    text.line("encryption", &encryption::words(&status.encryption));
    if let Some(words) = consistency::words(&status.consistency) {
        text.line("consistency", &words);
    }
    text.line(
        "running",
        &format!(
            "{} (process {}, cloakfs {})",
            duration(status.uptime_secs),
            status.pid,
            status.release
        ),
    );
    text.line(
        "open",
        &format!(
            "{}, {}",
            count(filesystem.open_files, "file", "files"),
            count(filesystem.open_directories, "directory", "directories")
        ),
    );
    text.line("not uploaded", &not_uploaded(&filesystem));
    if let Some(write_back) = &filesystem.write_back {
        text.line("write-back", &write_back.words());
    }
    let modes = &filesystem.modes;
    if !modes.other_modes.is_empty() {
        text.line("other modes met", &other_modes(modes));
    }
    if modes.without_key > 0 {
        text.line("did not open", &without_key(modes));
    }
    if let Some(calls) = &filesystem.kms {
        text.line("asked of KMS", &calls.words());
    }
    text.line("block cache", &block_cache(&filesystem));
    text.line("operations", &operations(status));
    text.line("retries", &retries(&store));
    text.list(
        "directory renames",
        filesystem.renames.len() as u64,
        filesystem.renames.iter().map(renames::Rename::words),
    );
    text.list(
        "failed uploads (the data is still here; `cloakfs sync` tries again)",
        filesystem.failed.len() as u64,
        filesystem
            .failed
            .iter()
            .map(|(path, reason)| format!("{path}: {reason}")),
    );
    text.list(
        "conflicts (both versions are kept)",
        filesystem.conflicts_total,
        filesystem
            .conflicts
            .iter()
            .map(|conflict| format!("{}: ours is {}", conflict.path, conflict.kept_as)),
    );
    text.list(
        "journals that were not replayed (`cloakfs recover` brings out what they have)",
        filesystem.unreplayed.len() as u64,
        filesystem
            .unreplayed
            .iter()
            .map(write_back::Unreplayed::words),
    );
    text.list(
        "hidden objects",
        filesystem.hidden_total,
        filesystem
            .hidden
            .iter()
            .map(|(key, reason)| format!("{key}: {reason}")),
    );
    text.list(
        "this store has limits",
        status.notes.len() as u64,
        status.notes.iter().cloned(),
    );
    text.list(
        "take care",
        status.warnings.len() as u64,
        status.warnings.iter().cloned(),
    );
    text.list(
        "last errors",
        status.errors,
        status
            .last_errors
            .iter()
            .rev()
            .map(|error| format!("{}  {}", instant(error.at_secs), error.message)),
    );
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, label: &str, value: &str) {
        self.separate();
        // Writing to a String cannot fail.
        let _infallible = write!(self.0, "{label:<15} {}", printable(value));
    }

    /// The first few of `total`, below a heading; nothing where there are none.
    fn list(&mut self, heading: &str, total: u64, items: impl Iterator<Item = String>) {
        if total == 0 {
            return;
        }
        self.separate();
        let _infallible = write!(self.0, "{heading}:");
        let mut shown = 0;
        for item in items.take(LISTED) {
            let _infallible = write!(self.0, "\n  {}", printable(&item));
            shown += 1;
        }
        if total > shown {
            let _infallible = write!(self.0, "\n  ... and {} more (see --json)", total - shown);
        }
    }

    fn separate(&mut self) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
    }
}

fn figures<T: DeserializeOwned + Default>(value: &serde_json::Value) -> T {
    T::deserialize(value).unwrap_or_default()
}

fn not_uploaded(filesystem: &Filesystem) -> String {
    if filesystem.uncommitted_files == 0 {
        return "nothing".to_owned();
    }
    format!(
        "{}, {}",
        count(filesystem.uncommitted_files, "file", "files"),
        ByteSize(filesystem.uncommitted_bytes)
    )
}

/// Objects that were met and are not of the mount's mode and key.
fn other_modes(modes: &ModesSeen) -> String {
    let all: Vec<String> = modes
        .other_modes
        .iter()
        .map(|other| {
            let OtherMode { mode, objects, .. } = other;
            match (&other.key_id, &other.key_md5) {
                (Some(key_id), _) => format!("{objects} {mode} (key {key_id})"),
                (None, Some(md5)) => format!("{objects} {mode} (key MD5 {md5})"),
                (None, None) => format!("{objects} {mode}"),
            }
        })
        .collect();
    format!("{}{}", at_least(modes), all.join(", "))
}

/// Objects that did not open for lack of their key.
fn without_key(modes: &ModesSeen) -> String {
    let number = count(modes.without_key, "object", "objects");
    let examples: Vec<String> = modes
        .without_key_examples
        .iter()
        .take(3)
        .map(|name| format!("{name:?}"))
        .collect();
    format!("{}{number}, e.g. {}", at_least(modes), examples.join(", "))
}

const fn at_least(modes: &ModesSeen) -> &'static str {
    if modes.at_least { "at least " } else { "" }
}

fn block_cache(filesystem: &Filesystem) -> String {
    format!(
        "{} hits, {} misses; {} of {} used, {} fetched",
        filesystem.cache_hits,
        filesystem.cache_misses,
        ByteSize(filesystem.cache_bytes),
        ByteSize(filesystem.cache_capacity_bytes),
        ByteSize(filesystem.fetched_bytes)
    )
}

fn operations(status: &Status) -> String {
    let (all, waited) = status
        .operations
        .values()
        .fold((0, 0), |(all, waited), count| {
            (all + count.all, waited + count.waited)
        });
    format!("{all}, {} of them answered from memory", all - waited)
}

fn retries(store: &Store) -> String {
    if store.retries == 0 {
        return "none".to_owned();
    }
    format!(
        "{} ({} throttled, {} unreachable, {} timed out); {} given up",
        store.retries, store.throttled, store.unavailable, store.timed_out, store.gave_up
    )
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn duration(secs: u64) -> String {
    let (days, hours, minutes) = (secs / 86400, secs / 3600 % 24, secs / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// UTC, as RFC 9110 writes it.
fn instant(secs: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(secs))
}

#[cfg(test)]
mod tests;
