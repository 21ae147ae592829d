//! The `cloakfs` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    cloakfs::cli::run(std::env::args_os())
}
