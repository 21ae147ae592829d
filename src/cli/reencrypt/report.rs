//! What a move tells while it runs, and in the end.

use std::time::Instant;

use crate::admin::reencrypt::{Event, Summary};
use crate::base::size::ByteSize;
use crate::base::terminal::printable;
use crate::cli::output::{self, ProgressLine};

pub(super) fn told(source: &str, dry_run: bool, summary: &Summary) -> Vec<String> {
    let cost = &summary.cost;
    let (size, moved) = (ByteSize(summary.bytes), summary.moved);
    let verb = if dry_run { "would be moved" } else { "moved" };
    let mut lines = vec![
        format!("source    {source}"),
        format!("objects   {} ({size}), {moved} {verb}", summary.objects),
        format!(
            "requests  {} LIST, {} HEAD, {} GET, {} PUT, {} COPY, {} DELETE (estimated)",
            cost.list, cost.head, cost.get, cost.put, cost.copy, cost.delete
        ),
        format!(
            "bytes     {} up, {} down, {} copied by the server",
            ByteSize(cost.bytes_up),
            ByteSize(cost.bytes_down),
            ByteSize(cost.bytes_copied)
        ),
    ];
    if summary.left_count > 0 {
        lines.push(format!("left      {}", summary.left_count));
    } else if !dry_run {
        lines.push("done".to_owned());
    }
    lines
}

/// Where a move is told.
pub(super) struct Report {
    json: bool,
    line: ProgressLine,
    begun: Instant,
    objects: u64,
}

impl Report {
    pub fn new(json: bool) -> Self {
        Self {
            json,
            line: ProgressLine::start(),
            begun: Instant::now(),
            objects: 0,
        }
    }

    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Begins { objects, .. } => self.objects = *objects,
            Event::Progress(summary) => {
                let elapsed = self.begun.elapsed().as_secs_f64();
                let text = progress(summary, self.objects, elapsed);
                self.line.show(&text);
            }
            Event::Left(left) => {
                self.line.clear();
                if self.json {
                    output::say(&serde_json::to_string(left).unwrap_or_default());
                } else {
                    output::say(&printable(&format!("{:?} {}", left.object, left.why)));
                }
            }
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people, of what is positive"
)]
fn progress(summary: &Summary, objects: u64, elapsed_secs: f64) -> String {
    let cost = &summary.cost;
    let bytes = cost.bytes_up + cost.bytes_copied;
    let rate = (bytes as f64 / elapsed_secs.max(0.001)) as u64;
    let left = objects.saturating_sub(summary.objects);
    let secs = elapsed_secs * left as f64 / summary.objects.max(1) as f64;
    format!(
        "{} of {objects} objects, {} moved, {} ({}/s), {} s left",
        summary.objects,
        summary.moved,
        ByteSize(bytes),
        ByteSize(rate),
        secs.ceil() as u64
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_by_what_was_done() {
        let summary = Summary {
            objects: 10,
            moved: 8,
            cost: crate::admin::reencrypt::Cost {
                bytes_up: 1 << 20,
                bytes_copied: 1 << 20,
                ..Default::default()
            },
            ..Summary::default()
        };
        assert_eq!(
            progress(&summary, 30, 2.0),
            "10 of 30 objects, 8 moved, 2 MiB (1 MiB/s), 4 s left"
        );
    }
}
