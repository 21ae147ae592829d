//! Printing. A terminal or pipe that is gone is no reason to fail.

use std::io::{self, IsTerminal, Write};

use crate::base::terminal::printable;
use crate::keys::kms::SdkWords;

/// A result, on standard output.
pub(super) fn say(text: &str) {
    let _gone = writeln!(io::stdout().lock(), "{text}");
}

/// Something the user should know, on standard error.
pub(super) fn note(text: &str) {
    let _gone = writeln!(io::stderr().lock(), "cloakfs: note: {}", printable(text));
}

/// A failure, on standard error.
pub(super) fn complain(text: &str) {
    let _gone = writeln!(io::stderr().lock(), "cloakfs: {text}");
}

/// A failure that standard output has told of: only the exit code is left to say.
#[derive(Debug, thiserror::Error)]
#[error("something was found")]
pub(super) struct Told;

/// An error and its causes in one line. Many errors already tell their cause: what was said is
/// not said again, and neither is what the SDK has behind a sentence about KMS. A server's own
/// words may be in it.
pub(super) fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        if cause.is::<SdkWords>() {
            break;
        }
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
    }
    printable(&text)
}

/// One line on a terminal that is overwritten by the next; nothing elsewhere.
#[derive(Debug)]
pub(super) struct ProgressLine {
    shown: bool,
}

impl ProgressLine {
    pub(super) fn start() -> Self {
        Self { shown: false }
    }

    pub(super) fn show(&mut self, text: &str) {
        if io::stderr().is_terminal() {
            self.shown = true;
            // To the start of the line, and erase it (ECMA-48).
            let _gone = write!(io::stderr().lock(), "\r\x1b[K{text}");
        }
    }
}

impl ProgressLine {
    /// Makes room for another line.
    pub(super) fn clear(&mut self) {
        if std::mem::replace(&mut self.shown, false) {
            let _gone = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The text in at most this many columns, cut in its middle, and filled up with spaces. Characters
/// count as one column each.
pub(super) fn column(text: &str, width: usize) -> String {
    let text = printable(text);
    let count = text.chars().count();
    if count <= width {
        return format!("{text}{}", " ".repeat(width - count));
    }
    let (head, tail) = ((width - 1) / 2, width - 1 - (width - 1) / 2);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(count - tail).collect();
    format!("{start}\u{2026}{end}")
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_column_is_as_wide_as_it_is_to_be() {
        assert_eq!(column("ab", 4), "ab  ");
        assert_eq!(column("abcd", 4), "abcd");
        assert_eq!(column("abcdef", 4), "a\u{2026}ef");
        let shown = format!("\\u{{1b}}[2J\u{e4}{}", " ".repeat(10));
        assert_eq!(column("\u{1b}[2J\u{e4}", 20), shown);
    }

    #[test]
    fn a_cause_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("a is shut ({source}); open it")]
        struct Shut {
            source: std::fmt::Error,
        }
        let told = Shut {
            source: std::fmt::Error,
        };
        let told_text = told.to_string();
        assert_eq!(sentence(&told.into()), told_text);
        let untold = Err::<(), _>(std::fmt::Error)
            .context("b is shut")
            .unwrap_err();
        assert_eq!(sentence(&untold), format!("b is shut: {}", std::fmt::Error));
        let of_a_server = anyhow::anyhow!("it says \u{1b}[2Jall is well\nclean");
        let shown = "it says \\u{1b}[2Jall is well\\nclean";
        assert_eq!(sentence(&of_a_server), shown);
    }
}
