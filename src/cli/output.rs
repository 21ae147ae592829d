//! Printing. A terminal or pipe that is gone is no reason to fail.

use std::io::{self, IsTerminal, Write};

/// A result, on standard output.
pub(super) fn say(text: &str) {
    let _gone = writeln!(io::stdout().lock(), "{text}");
}

/// Something the user should know, on standard error.
pub(super) fn note(text: &str) {
    let _gone = writeln!(io::stderr().lock(), "cloakfs: note: {text}");
}

/// A failure, on standard error.
pub(super) fn complain(text: &str) {
    let _gone = writeln!(io::stderr().lock(), "cloakfs: {text}");
}

/// An error and its causes in one line. Many errors already tell their cause: what was said is
/// not said again.
pub(super) fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
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

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown {
            let _gone = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

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
    }
}
