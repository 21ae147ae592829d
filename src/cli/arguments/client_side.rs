//! `init` and `decrypt`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::parse_duration;
use super::shared::{ConnectionArguments, EncryptionArgument, KeyArguments, NamesArgument};

#[derive(Debug, Args)]
pub(in crate::cli) struct InitArguments {
    /// s3://BUCKET[/PREFIX], or dir:PATH for a local directory
    pub source: OsString,
    /// What the volume's keys hang on: cse-kms or cse-c
    #[arg(
        long,
        visible_alias = "encryption-mode",
        value_enum,
        value_name = "MODE",
        help_heading = "Encryption"
    )]
    pub encryption: EncryptionArgument,
    #[command(flatten)]
    pub keys: KeyArguments,
    /// cse-c: make a new key and write it into this file, which must not be there yet
    #[arg(long, value_name = "FILE", help_heading = "Encryption")]
    pub generate_key: Option<PathBuf>,
    /// How names are stored [default: encrypted]
    #[arg(long, value_enum, value_name = "WHICH", help_heading = "Encryption")]
    pub names: Option<NamesArgument>,
    /// Write a copy of the volume's record into this file, which must not be there yet: with it
    /// and the key everything can be read should the bucket lose its own
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// The longest time without an answer
    #[arg(long, value_name = "DURATION", default_value = "60", value_parser = parse_duration)]
    pub timeout: Duration,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DecryptArguments {
    /// s3://BUCKET/KEY or dir:PATH: the volume's place and in it the path of a file, or its
    /// stored key
    pub object: OsString,
    /// Write the content into this file, which must not be there yet; it appears when all of it
    /// is authentic [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub keys: KeyArguments,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// The longest time without an answer
    #[arg(long, value_name = "DURATION", default_value = "60", value_parser = parse_duration)]
    pub timeout: Duration,
}
