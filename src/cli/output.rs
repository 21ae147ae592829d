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
