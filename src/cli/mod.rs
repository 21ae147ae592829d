//! Rank 7: the command line. The only place that prints, and the only user of anyhow.
//!
//! [`arguments`] is what may be typed, in one table that also feeds help and the list of `-o`
//! options; [`config`] is what it means, in types that cannot hold a combination that makes no
//! sense. Nothing below this module reads an argument.
//!
//! Exit codes: 0 done; 1 it failed, for the reason on standard error; 2 the command line is
//! wrong. As a helper of mount(8) and umount(8) ([`helper`]) it has theirs.

mod arguments;
mod ask;
mod audit;
mod check;
mod client_side;
mod config;
mod consistency;
mod decrypt;
mod doctor;
mod encryption;
mod environment;
mod export;
mod helper;
mod init;
mod inspect;
mod keys;
mod mount;
mod new_file;
mod open;
mod option_list;
mod output;
mod policy;
mod recover;
mod reencrypt;
mod runtime;
mod server_side;
mod source;
mod stop;
mod view;

use std::ffi::OsString;
use std::process::ExitCode;

use arguments::{Arguments, Command, UsageError};
use helper::Helper;

const EXIT_FAILED: u8 = 1;
const EXIT_USAGE: u8 = 2;

/// Runs the command that `arguments` (the program's name first) ask for. To be called while the
/// process has one thread.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    environment::find_home();
    if let Some(helper) = arguments.first().and_then(|name| Helper::named(name)) {
        return helper.run(&arguments);
    }
    match Arguments::read(&arguments).map(perform) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            if !error.is::<output::Told>() {
                output::complain(&output::sentence(&error));
            }
            ExitCode::from(if is_usage(&error) {
                EXIT_USAGE
            } else {
                EXIT_FAILED
            })
        }
        Err(UsageError::Clap(error)) => {
            let _nowhere_to_print = error.print();
            ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 })
        }
        Err(UsageError::OptionList(error)) => {
            output::complain(&error.to_string());
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// What was typed makes no sense; nothing was tried.
fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<config::ConfigError>()
}

fn perform(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Mount(arguments) => {
            mount::mount(&config::MountConfig::from_arguments(&arguments)?)
        }
        Command::Init(arguments) => init::init(&init::InitConfig::from_arguments(&arguments)?),
        Command::Decrypt(arguments) => {
            decrypt::decrypt(&decrypt::DecryptConfig::from_arguments(&arguments)?)
        }
        Command::Audit(arguments) => audit::audit(&audit::AuditConfig::from_arguments(&arguments)?),
        Command::Reencrypt(arguments) => {
            reencrypt::reencrypt(&reencrypt::ReencryptConfig::from_arguments(&arguments)?)
        }
        Command::Check(arguments) => check::check(&check::CheckConfig::from_arguments(&arguments)?),
        Command::Export(arguments) => {
            export::export(&export::ExportConfig::from_arguments(&arguments)?)
        }
        Command::Recover(arguments) => {
            recover::recover(&recover::RecoverConfig::from_arguments(&arguments)?)
        }
        Command::Keys(arguments) => keys::keys(&arguments),
        Command::Policy(command) => policy::policy(&policy::PolicyConfig::from_command(&command)?),
        Command::Doctor(arguments) => {
            doctor::doctor(&doctor::DoctorConfig::from_arguments(&arguments)?)
        }
        Command::Umount(arguments) => ask::unmount(&arguments.mountpoint),
        Command::Sync(arguments) => ask::sync(&arguments.mountpoint),
        Command::Status(arguments) => ask::status(&arguments.mountpoint, arguments.json),
    }
}
