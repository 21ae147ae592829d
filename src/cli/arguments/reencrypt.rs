//! `reencrypt`.

use std::path::PathBuf;

use clap::Args;

use super::admin::SourceArguments;
use super::shared::{EncryptionArgument, NamesArgument};

pub(super) const NOTES: &str = "\
Between the modes of the server, objects are copied onto themselves on the server: none of their
bytes pass through this machine. From cse-... to cse-... only the records in the metadata are sealed
again, in such a copy; --content encrypts everything anew. Between the two, content is read and
written through this machine, each file read back before the old one goes.

It can be ended at any time: run it again, with the same options, and it goes on. Keep the old key
until it says that it is done. Who writes meanwhile does not lose; a mount with the old key cannot
read what is moved, so unmount it. A volume's record is replaced, or removed, at the very end, once
no mount has the source any more.

Exit codes: 0 everything is as it is to be; 1 something is left, or it failed, for the reason on
standard error; 2 the command line is wrong.";

pub(super) const ROTATE_NOTES: &str = "\
This is `cloakfs reencrypt` of a client-side volume to the mode that it has: the records in the
metadata are sealed again, in copies on the server, and no content passes through this machine.
Content keys stay, so that it takes nothing back from somebody who had the old key and kept one;
--content encrypts everything anew. It can be ended at any time, and goes on when it is run again
with the same options: keep both keys until it says that it is done.

KMS's own rotation (aws kms enable-key-rotation) makes new material for the same key and needs
nothing of this: older data keys stay readable.

Exit codes: 0 everything is under the new key; 1 something is left, or it failed, for the reason on
standard error; 2 the command line is wrong.";

/// The keys of what something is to be.
#[derive(Clone, Debug, Args)]
#[expect(
    clippy::struct_field_names,
    reason = "clap tells them by their names from the source's"
)]
pub(in crate::cli) struct NewKeyArguments {
    /// ...-kms: the new key, as --kms-key
    #[arg(long, value_name = "KEY", help_heading = "New encryption")]
    pub to_kms_key: Option<String>,
    /// ...-kms: a pair of the new encryption context; may be repeated
    #[arg(long, value_name = "NAME=VALUE", help_heading = "New encryption")]
    pub to_kms_context: Vec<String>,
    /// ...-kms: the new key's KMS [default: --kms-endpoint-url]
    #[arg(long, value_name = "URL", help_heading = "New encryption")]
    pub to_kms_endpoint_url: Option<String>,
    /// ...-c: the new key
    #[arg(long, value_name = "FILE", help_heading = "New encryption")]
    pub to_key_file: Option<PathBuf>,
}

/// How it is done.
#[derive(Clone, Copy, Debug, Args)]
pub(in crate::cli) struct MoveArguments {
    /// From cse-... to cse-...: encrypt all content anew under new content keys. Without it whoever
    /// kept a content key can still read what it was of. Among the modes of the server: copy also
    /// what is under the new key already, as another encryption context needs it
    #[arg(long)]
    pub content: bool,
    /// Say what would be done and what it costs, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// A JSON object for each object that is left, and one for the summary
    #[arg(long)]
    pub json: bool,
}

/// `keys rotate`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RotateArguments {
    #[command(flatten)]
    pub source: SourceArguments,
    #[command(flatten)]
    pub keys: NewKeyArguments,
    #[command(flatten)]
    pub how: MoveArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReencryptArguments {
    #[command(flatten)]
    pub source: SourceArguments,
    /// What everything is to be [default: the mode that it has, under another key]
    #[arg(long, value_enum, value_name = "MODE", help_heading = "New encryption")]
    pub to: Option<EncryptionArgument>,
    #[command(flatten)]
    pub keys: NewKeyArguments,
    /// sse-kms: with a key of the bucket
    #[arg(long, help_heading = "New encryption")]
    pub to_bucket_key: bool,
    /// sse-kms: two layers of encryption
    #[arg(long, help_heading = "New encryption")]
    pub to_dsse: bool,
    /// cse-..., from plain objects: how names are stored [default: encrypted]
    #[arg(
        long,
        value_enum,
        value_name = "WHICH",
        help_heading = "New encryption"
    )]
    pub to_names: Option<NamesArgument>,
    #[command(flatten)]
    pub how: MoveArguments,
}
