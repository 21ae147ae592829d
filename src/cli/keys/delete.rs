//! `keys delete-material`.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context as _, bail};

use super::config::KmsWay;
use super::{harden, run};
use crate::base::terminal::printable;
use crate::cli::output;
use crate::keys::kms::{Expires, Holds, KeyFacts, rfc3339};

pub(super) fn delete(key: &str, is_confirmed: bool, kms: &KmsWay) -> anyhow::Result<()> {
    harden()?;
    run(async {
        let way = kms.open().await?;
        let facts = way.facts(key, kms.timeout).await?;
        let expires = match facts.deletable()? {
            Holds::Nothing => {
                output::say(&format!(
                    "{} has no material: nothing to do",
                    facts.called()
                ));
                return Ok(());
            }
            Holds::Material(expires) => expires,
        };
        // Who may not see them may delete nevertheless.
        let aliases = way.aliases(&facts, kms.timeout).await.ok();
        output::say(&warning(&facts, aliases.as_deref()));
        if let Expires::At(at) = expires {
            output::say(&format!("By itself it would go at {}.", rfc3339(at)));
        }
        if !is_confirmed && !tokio::task::spawn_blocking(confirm).await?? {
            bail!("nothing was deleted");
        }
        way.delete_material(&facts, kms.timeout).await?;
        output::say(&format!(
            "the material of {} is deleted; `cloakfs keys import --kms-key {} --key-file FILE` brings it back",
            facts.called(),
            facts.arn()
        ));
        Ok(())
    })
}

/// What cannot be read afterwards.
fn warning(key: &KeyFacts, aliases: Option<&[String]>) -> String {
    let names = match aliases {
        Some([]) | None => String::new(),
        Some(names) => format!(", known as {},", names.join(", ")),
    };
    printable(&format!(
        "Without its material the key {}{names} encrypts and decrypts nothing. Until the same 32 bytes are imported again, nobody can read or change objects that S3 encrypts under it (sse-kms), nor open, read or change volumes that hang on it (cse-kms); mounts answer with EACCES. AWS keeps no copy of the material: without yours it is lost for good, and so is what is encrypted under it.",
        key.arn()
    ))
}

fn confirm() -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!(
            "nothing was deleted, since there is no terminal to ask on: give --yes if you have a copy of the material"
        );
    }
    let mut terminal = io::stderr().lock();
    write!(
        terminal,
        "Do you have a copy of the material, and shall it be deleted? Type yes: "
    )
    .and_then(|()| terminal.flush())
    .context("the question cannot be asked")?;
    drop(terminal);
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .context("the answer cannot be read")?;
    Ok(line.trim() == "yes")
}
