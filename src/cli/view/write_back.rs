//! What status tells of write-back.

use serde::Deserialize;

use super::{count, duration};
use crate::base::size::ByteSize;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WriteBack {
    pending_files: u64,
    pending_bytes: u64,
    oldest_secs: u64,
    journal_bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Unreplayed {
    journal: String,
    host: String,
    why: String,
    files: Vec<File>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    path: String,
}

impl WriteBack {
    pub(super) fn words(&self) -> String {
        if self.pending_files == 0 {
            return "nothing waits".to_owned();
        }
        format!(
            "{} ({}) closed and waiting, the oldest for {}; the journal takes {}",
            count(self.pending_files, "file", "files"),
            ByteSize(self.pending_bytes),
            duration(self.oldest_secs),
            ByteSize(self.journal_bytes)
        )
    }
}

impl Unreplayed {
    pub(super) fn words(&self) -> String {
        const SHOWN: usize = 5;
        let names = self.files.iter().take(SHOWN);
        let mut names: Vec<_> = names.map(|file| file.path.as_str()).collect();
        if self.files.len() > SHOWN {
            names.push("...");
        }
        let of = if names.is_empty() {
            String::new()
        } else {
            format!(", with {}", names.join(", "))
        };
        format!("{} of {}{of}: {}", self.journal, self.host, self.why)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_sees_what_waits_and_what_is_kept() {
        let waits = json!({
            "pending_files": 2, "pending_bytes": 1536, "oldest_secs": 65, "journal_bytes": 4096,
        });
        let waits: WriteBack = serde_json::from_value(waits).unwrap();
        assert_eq!(
            waits.words(),
            "2 files (1.5 KiB) closed and waiting, the oldest for 1 min; the journal takes 4 KiB"
        );
        assert_eq!(WriteBack::default().words(), "nothing waits");
        let files: Vec<_> = (0..7).map(|n| json!({ "path": format!("f{n}") })).collect();
        let kept =
            json!({ "journal": "id", "host": "h", "why": "the key is gone", "files": files });
        let kept: Unreplayed = serde_json::from_value(kept).unwrap();
        assert_eq!(
            kept.words(),
            "id of h, with f0, f1, f2, f3, f4, ...: the key is gone"
        );
    }
}
