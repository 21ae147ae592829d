//! What the lease object and the registrations hold. In clear, whatever the mode: a mount that
//! does not have the volume's key is to be told who has the lease, too.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Term;

/// Of another format nothing is read but that it is there.
const FORMAT: u32 = 1;

/// A mount, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    format: u32,
    /// Names the mount among all.
    pub mount: String,
    /// The machine's name.
    pub host: String,
    /// This start of its system.
    pub boot: String,
    pub pid: u32,
    /// When it was mounted, in seconds since the epoch by its own clock. For people.
    pub since: u64,
    pub term_secs: u64,
    /// Grows with each renewal.
    pub counter: u64,
    /// The inode of its lock file.
    pub lock: u64,
    /// As [`Origin::moves`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moves: bool,
}

/// Where a mount is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub host: String,
    pub boot: String,
    pub pid: u32,
    pub since: u64,
    /// It is no mount, but brings everything under another key, as one alone may at a time.
    pub moves: bool,
}

impl Origin {
    /// This process, on a machine of this name.
    #[must_use]
    pub fn here(host: String) -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let since = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        Self {
            host,
            boot: boot.trim().to_owned(),
            pid: std::process::id(),
            since,
            moves: false,
        }
    }
}

impl Record {
    pub(super) fn new(origin: Origin, mount: String, term: Term, lock: u64) -> Self {
        Self {
            format: FORMAT,
            mount,
            host: origin.host,
            boot: origin.boot,
            pid: origin.pid,
            since: origin.since,
            term_secs: term.term.as_secs(),
            counter: 0,
            lock,
            moves: origin.moves,
        }
    }

    /// Whether it is of this process.
    pub(super) fn is_of(&self, origin: &Origin) -> bool {
        (self.pid, self.since) == (origin.pid, origin.since)
            && (&self.boot, &self.host) == (&origin.boot, &origin.host)
    }

    /// `None` for what is not such a record.
    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(body).ok()?;
        (record.format == FORMAT).then_some(record)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text and numbers have a JSON form")
    }

    pub(super) fn patience(&self) -> Duration {
        Term::patience(Duration::from_secs(self.term_secs.max(1)))
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (process {}", self.host, self.pid)?;
        // A year that a date cannot have is nobody's clock.
        let since = UNIX_EPOCH.checked_add(Duration::from_secs(self.since));
        if let Some(since) = since.filter(|_| self.since < 1 << 37) {
            write!(f, ", since {}", httpdate::fmt_http_date(since))?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn record(host: &str) -> Record {
        let origin = Origin {
            host: host.to_owned(),
            boot: "b".to_owned(),
            pid: 7,
            since: 1_764_000_000,
            moves: false,
        };
        let term = Term::new(None, Duration::from_secs(1)).unwrap();
        Record::new(origin, "m".to_owned(), term, 1)
    }

    #[test]
    fn it_comes_back_and_says_who_it_is() {
        let record = record("a\nb");
        assert_eq!(Record::decode(&record.encode()), Some(record.clone()));
        assert_eq!(
            record.to_string(),
            "\"a\\nb\" (process 7, since Mon, 24 Nov 2025 16:00:00 GMT)"
        );
        let odd = Record {
            since: u64::MAX,
            ..record.clone()
        };
        assert_eq!(odd.to_string(), "\"a\\nb\" (process 7)");
        let other = Record {
            format: 2,
            ..record.clone()
        };
        assert_eq!(Record::decode(&other.encode()), None);
        // Mounts of other releases do not say that they are none.
        assert!(!String::from_utf8_lossy(&record.encode()).contains("moves"));
        let moving = Record {
            moves: true,
            ..record.clone()
        };
        assert_eq!(Record::decode(&moving.encode()), Some(moving));
        assert_eq!(Record::decode(b"x"), None);
    }
}
