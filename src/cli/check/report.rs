//! Where a check is told: a table, or a JSON object in each line.

use std::collections::BTreeMap;

use serde_json::json;

use crate::admin::check::tree::Counts;
use crate::admin::check::{Finding, Trouble};
use crate::base::size::ByteSize;
use crate::base::terminal::printable;
use crate::cli::output::{self, ProgressLine};

/// Columns of the table.
const CLASS: usize = 10;
const NAME: usize = 18;
const OBJECT: usize = 40;
/// Objects between two lines of progress.
const PROGRESS: u64 = 1_000;

/// Where a check is told.
pub(super) struct Report {
    json: bool,
    has_table: bool,
    line: ProgressLine,
    found: BTreeMap<Trouble, u64>,
    repaired: u64,
    flaws: u64,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            has_table: false,
            line: ProgressLine::start(),
            found: BTreeMap::new(),
            repaired: 0,
            flaws: 0,
        }
    }

    pub(super) fn finding(&mut self, finding: &Finding) {
        self.line.clear();
        self.repaired += u64::from(finding.repaired);
        if finding.is_flaw() {
            self.flaws += 1;
            *self.found.entry(finding.finding).or_default() += 1;
        }
        if self.json {
            output::say(&serde_json::to_string(finding).unwrap_or_default());
            return;
        }
        if !std::mem::replace(&mut self.has_table, true) {
            output::say(&row("STATE", "FINDING", "OBJECT", "WHAT IT IS"));
        }
        let state = if finding.repaired {
            "repaired"
        } else {
            finding.class.name()
        };
        let object = finding.path.as_ref().unwrap_or(&finding.object);
        let text = format!("{}: {}", finding.text, finding.remedy);
        output::say(&row(state, finding.finding.name(), object, &text));
    }

    pub(super) fn progress(&mut self, counts: &Counts) {
        let objects = counts.files + counts.directories;
        if objects.is_multiple_of(PROGRESS) {
            self.line.show(&format!("{objects} objects"));
        }
    }

    /// # Errors
    /// When something is left to do: it was told.
    pub(super) fn end(
        &mut self,
        source: &str,
        counts: &Counts,
        notes: &[String],
    ) -> anyhow::Result<()> {
        self.line.clear();
        if self.json {
            let summary = json!({
                "summary": {
                    "counts": counts,
                    "findings": self.found,
                    "repaired": self.repaired,
                    "notes": notes,
                },
                "source": source,
                "clean": self.flaws == 0,
            });
            output::say(&summary.to_string());
        } else {
            if self.has_table {
                output::say("");
            }
            let lines = told(source, counts, self.repaired, &self.found);
            for line in lines {
                output::say(&printable(&line));
            }
            for note in notes {
                output::note(note);
            }
        }
        if self.flaws == 0 {
            Ok(())
        } else {
            Err(output::Told.into())
        }
    }
}

fn row(state: &str, name: &str, object: &str, text: &str) -> String {
    format!(
        "{}  {}  {}  {}",
        output::column(state, CLASS),
        output::column(name, NAME),
        output::column(object, OBJECT),
        printable(text)
    )
}

fn told(
    source: &str,
    counts: &Counts,
    repaired: u64,
    found: &BTreeMap<Trouble, u64>,
) -> Vec<String> {
    let mut lines = vec![
        format!("source    {source}"),
        format!(
            "objects   {} ({}), and {} markers of directories; {} directories have none, which is no flaw",
            counts.files,
            ByteSize(counts.bytes),
            counts.directories,
            counts.implicit_directories
        ),
    ];
    if repaired > 0 {
        lines.push(format!("repaired  {repaired}"));
    }
    let found: Vec<_> = found
        .iter()
        .map(|(finding, count)| format!("{count} {}", finding.name()))
        .collect();
    lines.push(match found.as_slice() {
        [] => "clean".to_owned(),
        found => format!("findings  {}", found.join(", ")),
    });
    lines
}
