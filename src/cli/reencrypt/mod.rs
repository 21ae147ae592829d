//! `cloakfs reencrypt`: everything below a prefix under another key or encryption.

mod config;
mod others;
mod report;

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use serde_json::json;

pub(super) use config::ReencryptConfig;

use super::arguments::NamesArgument;
use super::client_side::{ClientSide, Kms, Material};
use super::config::MountConfig;
use super::consistency::Joining;
use super::open::{self, About, Opened};
use super::stop::{self, Stop};
use super::{environment, inspect, output, runtime};
use crate::admin::reencrypt::sides::{Ending, Sides, Wanted};
use crate::admin::reencrypt::{Event, Move, Summary, Target};
use crate::base::terminal::printable;
use crate::keys::file;
use crate::keys::root::Root;
use crate::layout::plain::Defaults;
use crate::mount::daemon;
use crate::mount::state::StateDir;
use crate::volume::lease::{Claimant, Place};
use crate::volume::record;
use crate::volume::{Volume, VolumeOptions};
use others::Alone;
use report::{Report, told};

pub(super) fn reencrypt(config: &ReencryptConfig) -> anyhow::Result<()> {
    environment::make_paths_absolute();
    daemon::harden().context("the process cannot be protected from core dumps")?;
    let mut key_files = config.source.key_files().chain(config.target.key_files());
    key_files.try_for_each(file::refuse_key_for_path)?;
    let state = StateDir::open(&StateDir::locate()?)?;
    runtime::run(run(config, &state))
}

async fn run(config: &ReencryptConfig, state: &StateDir) -> anyhow::Result<()> {
    let described = config.source.store.describe();
    let (old_material, new_material) = (
        material(&config.source).await?,
        material(&config.target).await?,
    );
    let old = open::store_to_inspect(&config.source.store, config.source.timeout).await?;
    let new = open::store_to_inspect(&config.target.store, config.target.timeout).await?;
    let mut notes = new.about.notes.clone();
    let joining = Joining::new(config.source.consistency, &new, described.clone(), state);
    let place = joining.place.clone();
    let joined = if config.dry_run {
        others::refuse_alone(&joining, &described).await?;
        None
    } else {
        Some(others::join(joining, &described, &mut notes).await?)
    };
    let moving = Moving {
        config,
        state,
        described,
        old,
        new,
    };
    // A rehearsal leaves nothing.
    let mut stop = joined.is_some().then(Stop::listen).transpose()?;
    let done = moving.carry_out(old_material, new_material, &mut notes);
    let done = stop::unless(stop.as_mut(), "moved", Box::pin(done)).await;
    if let Some((presence, _)) = &joined {
        presence.leave().await;
    }
    let done = done?;
    let (summary, unfinished) = match &joined {
        Some((_, claimant)) if done.summary.is_done() => {
            let ending = moving.end(done, &place, claimant, stop.as_mut());
            Box::pin(ending).await?
        }
        _ => (done.summary, None),
    };
    moving.tell(&summary, unfinished.as_deref(), &notes)
}

async fn material(config: &MountConfig) -> anyhow::Result<Option<Material>> {
    match &config.client_side {
        ClientSide::Yes(options) => Ok(Some(Material::read(&options.root, config.timeout).await?)),
        ClientSide::No(_) | ClientSide::Unstated(_) => Ok(None),
    }
}

struct Moving<'a> {
    config: &'a ReencryptConfig,
    state: &'a StateDir,
    described: String,
    old: Opened,
    new: Opened,
}

struct Done {
    summary: Summary,
    ending: Ending,
    /// The same once more.
    again: Move,
}

impl Moving<'_> {
    async fn carry_out(
        &self,
        old: Option<Material>,
        new: Option<Material>,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Done> {
        let config = self.config;
        let prefix = self.new.about.prefix.clone();
        let (from_sealed, to_sealed) = (old.is_some(), new.is_some());
        let old_root = self.root(old, &self.old, &config.source, notes).await?;
        let new_root = self.root(new, &self.new, &config.target, notes).await?;
        let wanted = new_root.map(|root| Wanted {
            root,
            encrypt_names: config.names.map(|names| names == NamesArgument::Encrypted),
            new_content_keys: config.content,
        });
        let sides = Sides::prepare(
            &self.new.store,
            &prefix,
            &self.described,
            old_root,
            wanted,
            config.dry_run,
        );
        let Sides {
            old,
            new,
            ending,
            notes: told,
        } = Box::pin(sides).await?;
        notes.extend(told);
        if from_sealed && to_sealed && !config.content {
            notes.push("content keys stay: who kept one, or the old key and an old copy of an object, can still read what it was of; this is no revocation, and --content (with a further key) encrypts all content anew".to_owned());
        }
        if !to_sealed && !from_sealed && !config.content && config.target_is_kms() {
            notes.push("an object that is under this key already is passed over, and S3 does not tell its encryption context: where that is to be another, --content copies everything".to_owned());
        }
        let options = |about: &About| VolumeOptions {
            read_only: config.dry_run,
            alone: false,
            defaults: Defaults {
                uid: config.source.owner.uid,
                gid: config.source.owner.gid,
                umask: config.source.owner.umask,
            },
            trust_listing: false,
            server: about.server.clone(),
            encryption: about.expected.clone(),
            journal_dir: self.state.path().join("uploads"),
        };
        let store = Arc::clone(&self.old.store);
        let options_old = options(&self.old.about);
        let old = match old {
            sealed if config.dry_run => {
                Volume::open_as_it_is(store, &prefix, options_old, sealed).await?
            }
            // What a dead mount left half done is finished first, an interrupted move's own too.
            Some(sealed) => Volume::open_client_side(store, &prefix, options_old, sealed).await?,
            None => Volume::open(store, &prefix, options_old).await?,
        };
        let store = Arc::clone(&self.new.store);
        let options_new = options(&self.new.about);
        let new = Volume::open_as_it_is(store, &prefix, options_new, new).await?;
        let work = Move {
            old,
            new,
            store: Arc::clone(&self.new.store),
            prefix,
            target: if to_sealed {
                Target::Sealed {
                    new_content_keys: config.content,
                }
            } else {
                Target::Plain
            },
            required: inspect::by_server(&self.new.about),
            copies_all: config.content && !to_sealed,
        };
        let mut report = Report::new(config.json);
        let mut tell = |event: Event<'_>| report.event(&event);
        // What was copied on request is not copied twice.
        let again = Move {
            copies_all: false,
            ..work.clone()
        };
        let summary = if config.dry_run {
            work.rehearse(&mut tell).await?
        } else {
            work.run(&mut tell).await?
        };
        if config.content && from_sealed && to_sealed && summary.passed > 0 {
            notes.push(format!(
                "{} objects were under the new key already, and were passed over: those that came there without --content still have the content keys that they had; where that is so, give a further key",
                summary.passed
            ));
        }
        if summary.keeps_versions {
            notes.push(format!(
                "the bucket keeps older versions: what was replaced or deleted below {} stays readable there as it was, and needs the old key; a lifecycle rule or an S3 tool ends them",
                self.described
            ));
        }
        Ok(Done {
            summary,
            ending,
            again,
        })
    }

    async fn root(
        &self,
        material: Option<Material>,
        opened: &Opened,
        config: &MountConfig,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Option<Root>> {
        let kms = Kms {
            store: &config.store,
            aws: opened.about.aws.clone(),
            timeout: config.timeout,
        };
        Ok(match material {
            None => None,
            Some(Material::Master(key)) => Some(Root::Master(key)),
            Some(Material::Kms { key, context }) => Some(kms.root(&key, context, notes).await?),
            Some(material @ Material::Passphrase(_)) => {
                let found = record::find(&opened.store, &opened.about.prefix).await?;
                let record =
                    found.ok_or_else(|| anyhow!("{} is no client-side volume", self.described))?;
                let record = Arc::new(record);
                let root = material.root_of(&record, &self.described, &kms, notes);
                Some(root.await?)
            }
        })
    }

    /// A last look and the record's last step, with the source for itself. Why it was not done,
    /// where somebody is in the way.
    async fn end(
        &self,
        done: Done,
        place: &Place,
        claimant: &Claimant,
        stop: Option<&mut Stop>,
    ) -> anyhow::Result<(Summary, Option<String>)> {
        let Done {
            mut summary,
            ending,
            again,
        } = done;
        let able = again.old.capabilities();
        let presence = match others::alone(place, claimant, &self.new.gate, able).await? {
            Alone::Yes(presence) => presence,
            Alone::No(by) => return Ok((summary, Some(self.is_mounted(&by, &ending)))),
        };
        let ended = async {
            // Whatever was written before nobody could.
            let last = again.run(&mut |_| ()).await?;
            summary.cost.add(&last.cost);
            if !last.is_done() {
                return anyhow::Ok(Some(self.goes_on()));
            }
            let prefix = &self.new.about.prefix;
            ending.carry_out(&self.new.store, prefix).await?;
            Ok(None)
        };
        let ended = stop::unless(stop, "moved", ended).await;
        if let Some(presence) = presence {
            presence.leave().await;
        }
        Ok((summary, ended?))
    }

    fn is_mounted(&self, by: &str, ending: &Ending) -> String {
        let why = match ending {
            Ending::Nothing => "which may go on writing as it was",
            Ending::Settle(_) | Ending::Remove => {
                "and its volume record stays as it was until nobody has it"
            }
        };
        format!(
            "all objects are moved, but {} is mounted by {by}, {why}: unmount it, and run this again",
            self.described
        )
    }

    fn goes_on(&self) -> String {
        format!(
            "somebody else goes on writing below {} under the old key: unmount what is mounted, and run this again",
            self.described
        )
    }

    fn tell(
        &self,
        summary: &Summary,
        unfinished: Option<&str>,
        notes: &[String],
    ) -> anyhow::Result<()> {
        let is_done = unfinished.is_none() && summary.left_count == 0 && summary.is_proven;
        let is_right = is_done || (self.config.dry_run && summary.left_count == 0);
        if self.config.json {
            let line = json!({
                "summary": summary,
                "source": self.described,
                "dry_run": self.config.dry_run,
                "done": is_done,
                "unfinished": unfinished,
            });
            output::say(&line.to_string());
        } else {
            for line in told(&self.described, self.config.dry_run, summary) {
                output::say(&printable(&line));
            }
        }
        for note in notes {
            output::note(note);
        }
        if let Some(why) = unfinished {
            bail!("{why}");
        }
        if !is_right && summary.left_count == 0 {
            bail!("{}", self.goes_on());
        }
        if is_right {
            Ok(())
        } else {
            Err(output::Told.into())
        }
    }
}
