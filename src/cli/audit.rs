//! `cloakfs audit`: what is not encrypted as it must be.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use serde_json::json;

use super::arguments::AuditArguments;
use super::config::MountConfig;
use super::inspect::{self, Inspected};
use super::output::{self, ProgressLine};
use super::{environment, runtime};
use crate::admin::audit::{Audit, Event, Finding, Summary};
use crate::base::size::ByteSize;
use crate::base::terminal::printable;
use crate::keys::file;
use crate::mount::daemon;

/// Columns of the table.
const NAME: usize = 18;
const OBJECT: usize = 48;
/// Objects between two lines of progress.
const PROGRESS: u64 = 100;

pub(super) struct AuditConfig {
    source: MountConfig,
    deep: bool,
    json: bool,
}

impl AuditConfig {
    pub(super) fn from_arguments(arguments: &AuditArguments) -> anyhow::Result<Self> {
        let AuditArguments { source, deep, json } = arguments;
        let mount = source.as_mount();
        let mount = mount.ok_or_else(|| anyhow!("{} is no source", source.source.display()))?;
        Ok(Self {
            source: MountConfig::from_arguments(&mount)?,
            deep: *deep,
            json: *json,
        })
    }
}

pub(super) fn audit(config: &AuditConfig) -> anyhow::Result<()> {
    environment::make_paths_absolute();
    daemon::harden().context("the process cannot be protected from core dumps")?;
    let mut key_files = config.source.key_files();
    key_files.try_for_each(file::refuse_key_for_path)?;
    runtime::run(run(config))
}

async fn run(config: &AuditConfig) -> anyhow::Result<()> {
    let Inspected {
        store,
        prefix,
        required,
        reader,
        findings,
        mut notes,
    } = Box::pin(inspect::open(&config.source)).await?;
    notes.extend(limits(&required.describe(), config.deep, reader.is_some()));
    let described = required.describe();
    let mut report = Report::new(config.json);
    let audit = Audit {
        store,
        prefix,
        required,
        reader: reader.map(Arc::new),
        deep: config.deep,
    };
    for finding in &findings {
        report.finding(finding);
    }
    let mut tell = |event: Event<'_>| match event {
        Event::Finding(finding) => report.finding(finding),
        Event::Progress(objects) => report.progress(objects),
    };
    let mut summary = audit.run(&mut tell).await?;
    for finding in &findings {
        summary.found(finding);
    }
    notes.append(&mut summary.notes);
    summary.notes = notes;
    report.summary(&config.source.store.describe(), &described, &summary);
    if summary.is_clean() {
        Ok(())
    } else {
        Err(output::Told.into())
    }
}

/// What this audit cannot tell.
fn limits(required: &str, deep: bool, is_authenticated: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if required.starts_with("sse-kms") {
        notes.push("the encryption context of the objects was not checked: S3 does not tell it of an object; a bucket policy can demand one of every upload".to_owned());
    }
    if matches!(required, "sse-kms" | "sse-kms-dsse") {
        notes.push(
            "no key was asked for, so that any key of KMS passes: give --kms-key to demand one"
                .to_owned(),
        );
    }
    if !deep {
        let what = if is_authenticated {
            "nothing but metadata was opened"
        } else {
            "no content was read"
        };
        notes.push(format!(
            "{what}: that everything can be read and is authentic, only --deep shows"
        ));
    }
    notes
}

/// Where an audit is told.
struct Report {
    json: bool,
    has_table: bool,
    line: ProgressLine,
}

impl Report {
    fn new(json: bool) -> Self {
        Self {
            json,
            has_table: false,
            line: ProgressLine::start(),
        }
    }

    fn finding(&mut self, finding: &Finding) {
        self.line.clear();
        if self.json {
            let line = serde_json::to_string(finding).unwrap_or_default();
            output::say(&line);
            return;
        }
        if !std::mem::replace(&mut self.has_table, true) {
            let header = row("FINDING", "OBJECT", "WHAT IT IS");
            output::say(&header);
        }
        let object = finding.path.as_ref().unwrap_or(&finding.object);
        output::say(&row(finding.finding.name(), object, &finding.text));
    }

    fn progress(&mut self, objects: u64) {
        if objects.is_multiple_of(PROGRESS) {
            self.line.show(&format!("{objects} objects"));
        }
    }

    fn summary(&mut self, source: &str, required: &str, summary: &Summary) {
        self.line.clear();
        if self.json {
            let line = json!({
                "summary": summary,
                "source": source,
                "required": required,
                "clean": summary.is_clean(),
            });
            output::say(&line.to_string());
            return;
        }
        if self.has_table {
            output::say("");
        }
        for line in told(source, required, summary) {
            output::say(&printable(&line));
        }
        for note in &summary.notes {
            output::note(note);
        }
    }
}

fn row(name: &str, object: &str, text: &str) -> String {
    let (name, object) = (output::column(name, NAME), output::column(object, OBJECT));
    format!("{name}  {object}  {}", printable(text))
}

fn told(source: &str, required: &str, summary: &Summary) -> Vec<String> {
    let size = ByteSize(summary.bytes);
    let mut lines = vec![
        format!("source    {source}"),
        format!("required  {required}"),
        format!(
            "objects   {} ({size}), {} of them cloakfs's own",
            summary.objects, summary.own_objects
        ),
    ];
    if summary.bytes_read > 0 {
        let read = ByteSize(summary.bytes_read);
        lines.push(format!("read      {read} of content"));
    }
    for count in &summary.modes {
        let key = count.key.as_deref().unwrap_or_default();
        let (objects, size) = (count.objects, ByteSize(count.bytes));
        let line = format!("          {objects} {} {key}", count.mode);
        lines.push(format!("{} ({size})", line.trim_end()));
    }
    let found = summary.findings.iter();
    let found: Vec<_> = found
        .map(|(flaw, count)| format!("{count} {}", flaw.name()))
        .collect();
    lines.push(match found.as_slice() {
        [] => "clean".to_owned(),
        found => format!("findings  {}", found.join(", ")),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::audit::{Flaw, ModeCount};

    #[test]
    fn a_row_is_bounded_but_for_its_last_column() {
        let long = row("not-encrypted", &"x/".repeat(500), "it is not encrypted");
        let cut = format!("{}x\u{2026}{}", "x/".repeat(11), "x/".repeat(12));
        assert_eq!(
            long,
            format!("not-encrypted       {cut}  it is not encrypted")
        );
        assert_eq!(long.chars().count(), NAME + 2 + OBJECT + 2 + 19);
    }

    #[test]
    fn the_summary_counts_by_mode_and_key() {
        let mut summary = Summary {
            objects: 3,
            bytes: 3 << 10,
            own_objects: 1,
            modes: vec![ModeCount {
                mode: "sse-kms".to_owned(),
                key: Some("k".to_owned()),
                objects: 2,
                bytes: 2 << 10,
            }],
            ..Summary::default()
        };
        let lines = told("s3://b", "sse-kms", &summary);
        assert_eq!(
            lines,
            [
                "source    s3://b",
                "required  sse-kms",
                "objects   3 (3 KiB), 1 of them cloakfs's own",
                "          2 sse-kms k (2 KiB)",
                "clean"
            ]
        );
        summary.found(&Finding::new(Flaw::OtherKey, "a", ""));
        let lines = told("s3://b", "sse-kms", &summary);
        assert_eq!(lines.last().unwrap(), "findings  1 other-key");
    }
}
