//! `keys import`.

use std::path::Path;
use std::time::Duration;

use super::config::{ImportConfig, KmsWay};
use super::generate::check_value;
use super::{harden, note_locking, run, wrap};
use crate::admin::import::{self, Imported, Material, Target};
use crate::base::secret::Secret;
use crate::base::terminal::printable;
use crate::cli::{output, server_side};
use crate::keys::file;
use crate::keys::kms::{Expires, Expiry};

pub(super) fn import(config: ImportConfig) -> anyhow::Result<()> {
    harden()?;
    if let ImportConfig::Key { key_file, .. } | ImportConfig::Wrap { key_file, .. } = &config {
        file::refuse_key_for_path(key_file)?;
    }
    match config {
        ImportConfig::Key {
            kms,
            target,
            key_file,
            wrapping,
            expiry,
        } => run(async {
            let key = read(kms.timeout, &key_file).await?;
            let check = check_value(&key);
            let material = Material::Key { key, wrapping };
            let imported = ask(&kms, &target, material, expiry).await?;
            let kept = format!("{} (check value {check})", key_file.display());
            say_what_to_keep(&imported, &kept);
            Ok(())
        }),
        ImportConfig::Wrapped {
            kms,
            target,
            wrapped,
            token,
            expiry,
        } => {
            let (wrapped, token) = wrap::read_wrapped(&wrapped, &token)?;
            run(async {
                let material = Material::Wrapped { wrapped, token };
                let imported = ask(&kms, &target, material, expiry).await?;
                say_what_to_keep(&imported, "the key that was wrapped");
                Ok(())
            })
        }
        ImportConfig::Prepare {
            kms,
            target,
            wrapping,
            directory,
        } => {
            wrap::check_directory(&directory)?;
            run(wrap::prepare(&kms, &target, wrapping, &directory))
        }
        ImportConfig::Wrap {
            wrapping_key,
            key_file,
            hash,
            timeout,
            directory,
        } => {
            wrap::check_directory(&directory)?;
            run(wrap::wrap(
                &wrapping_key,
                &key_file,
                hash,
                timeout,
                &directory,
            ))
        }
    }
}

async fn read(timeout: Duration, path: &Path) -> anyhow::Result<Secret<32>> {
    let key = server_side::within(timeout, path, file::read_one).await?;
    note_locking();
    Ok(key)
}

async fn ask(
    kms: &KmsWay,
    target: &Target,
    material: Material,
    expiry: Expiry,
) -> anyhow::Result<Imported> {
    let way = kms.open().await?;
    let mut told = |words: &str| output::say(&printable(words));
    let imported = import::import(&way, target, material, expiry, kms.timeout, &mut told).await?;
    if let Some(note) = &imported.note {
        output::note(note);
    }
    Ok(imported)
}

fn say_what_to_keep(imported: &Imported, kept: &str) {
    let name = imported.alias.as_ref().unwrap_or(&imported.arn);
    let when = match imported.expires {
        Expires::Never => "should the material be deleted".to_owned(),
        _ => format!(
            "when the material is gone ({})",
            import::until(imported.expires)
        ),
    };
    output::say(&format!(
        "keep {kept} where it is safe: KMS gives it to nobody, and {when}, only the same 32 bytes, imported again into {}, bring back what is encrypted under it",
        imported.arn
    ));
    output::say(&format!(
        "use it with --encryption sse-kms or cse-kms and --kms-key {name}"
    ));
}
