//! `cloakfs check`: whether a volume is consistent, and what is safe to do about it.

mod report;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};

use super::arguments::CheckArguments;
use super::config::MountConfig;
use super::consistency::Joining;
use super::open::{About, Opened};
use super::stop::{self, Stop};
use super::{environment, mount, output, runtime};
use crate::admin::check::state::{self, Others};
use crate::admin::check::tree::{self, Counts};
use crate::admin::check::{Class, Finding, Trouble, repair};
use crate::keys::file;
use crate::mount::daemon;
use crate::mount::state::StateDir;
use crate::store::Store;
use crate::store::probe::{self, Capabilities};
use crate::volume::lease::{self, LeaseError, Life, Presence};
use crate::volume::record::RecordError;
use crate::volume::{Volume, VolumeOptions};
use report::Report;

pub(super) struct CheckConfig {
    source: MountConfig,
    repair: bool,
    wait: bool,
    json: bool,
}

impl CheckConfig {
    pub(super) fn from_arguments(arguments: &CheckArguments) -> anyhow::Result<Self> {
        let CheckArguments {
            source,
            repair,
            wait,
            json,
        } = arguments;
        let mount = source.as_mount();
        let mount = mount.ok_or_else(|| anyhow!("{} is no source", source.source.display()))?;
        Ok(Self {
            source: MountConfig::from_arguments(&mount)?,
            repair: *repair,
            wait: *wait,
            json: *json,
        })
    }
}

pub(super) fn check(config: &CheckConfig) -> anyhow::Result<()> {
    environment::make_paths_absolute();
    daemon::harden().context("the process cannot be protected from core dumps")?;
    let mut key_files = config.source.key_files();
    key_files.try_for_each(file::refuse_key_for_path)?;
    let state = StateDir::open(&StateDir::locate()?)?;
    runtime::run(run(config, &state))
}

async fn run(config: &CheckConfig, state: &StateDir) -> anyhow::Result<()> {
    let mut report = Report::new(config.json);
    let opened = Box::pin(mount::open(&config.source, !config.repair)).await;
    let (opened, sealed) = match opened {
        Ok(opened) => opened,
        Err(error) => return Err(without_record(error, config, &mut report)),
    };
    let described = config.source.store.describe();
    let consistency = config.source.consistency;
    let joining = Joining::new(consistency, &opened, described, state);
    let Opened { store, about, .. } = opened;
    let mut notes = about.notes.clone();
    let (client_side, damaged) = match sealed {
        Some(sealed) => {
            let told = |note: &String| !note.contains("of the volume record");
            notes.extend(sealed.notes.into_iter().filter(told));
            (Some(sealed.volume), sealed.damaged)
        }
        None => (None, Vec::new()),
    };
    let mut others = watched(config, &joining).await?;
    let seen = others.tenants.clone();
    let mut stop = config.repair.then(Stop::listen).transpose()?;
    let (presence, joining) = if config.repair {
        let able = probe::probe(store.as_ref(), &about.prefix).await;
        let joined = join(joining, &mut others, &able).await?;
        (Some(joined.0), joined.1)
    } else {
        (None, joining)
    };
    let work = Work {
        config,
        about: &about,
        store: &store,
        write_back: state.write_back_dir(),
    };
    let options = work.options(state);
    let volume =
        Volume::open_as_it_is(Arc::clone(&store), &about.prefix, options, client_side).await;
    let done = async {
        let volume = volume?;
        let mut findings = state::of_record(&damaged);
        let before = Others {
            tenants: seen,
            alone: others.alone,
        };
        findings.extend(work.survey(&volume, &before).await?);
        if config.repair {
            notes.extend(
                repair::repair(&store, &about.prefix, &volume, &others, &joining.gate).await?,
            );
        }
        anyhow::Ok((volume, findings))
    };
    let done = stop::unless(stop.as_mut(), "repaired", done).await;
    if let Some(presence) = &presence {
        presence.leave().await;
    }
    let (volume, mut findings) = done?;
    let rest = async {
        if config.repair {
            // This process has left, so others may have come.
            others = Others {
                tenants: lease::tenants(&joining.place, &joining.claimant).await?,
                alone: false,
            };
            let after = work.survey(&volume, &others).await?;
            findings = repair::settle(findings, &after);
        }
        for finding in &findings {
            report.finding(finding);
        }
        let mut tell = |finding: Option<&Finding>, counts: &Counts| match finding {
            Some(finding) => report.finding(finding),
            None => report.progress(counts),
        };
        Ok(tree::survey(Arc::clone(&store), &about.prefix, &volume, &mut tell).await?)
    };
    let counts = stop::unless(stop.as_mut(), "repaired", rest).await?;
    report.end(&config.source.store.describe(), &counts, &notes)
}

/// Everybody else who may have the volume; watched, where that was asked for.
async fn watched(config: &CheckConfig, joining: &Joining) -> anyhow::Result<Others> {
    let (place, claimant) = (&joining.place, &joining.claimant);
    let mut tenants = lease::tenants(place, claimant).await?;
    let patience = tenants.iter().filter_map(|tenant| match tenant.life {
        Life::MayLive(patience) => Some(patience),
        Life::Lives | Life::Dead => None,
    });
    if let Some(patience) = patience.max().filter(|_| config.wait) {
        output::note(&format!(
            "watching for up to {} s who of those that have the source is alive",
            patience.as_secs()
        ));
        lease::outlast(place, claimant, &mut tenants).await?;
    }
    Ok(Others {
        tenants,
        alone: false,
    })
}

/// Becomes the only one, or one of several: nobody who lives is in the way of a repair then.
async fn join(
    joining: Joining,
    others: &mut Others,
    able: &Capabilities,
) -> anyhow::Result<(Presence, Joining)> {
    let Joining {
        place,
        claimant,
        gate,
        ..
    } = &joining;
    if !able.write.is_allowed() || !able.delete.is_allowed() {
        let lacking = able.lacking().join("; ");
        bail!("nothing can be repaired in {}: {lacking}", place.source);
    }
    repair::evict(place, claimant, others).await?;
    let conditional = able.conditional_create && able.conditional_replace;
    if conditional && !others.may_live() {
        let alone = Presence::exclusive(place.clone(), claimant.clone(), Arc::clone(gate), |_| ());
        match alone.await {
            Ok(presence) => {
                others.alone = true;
                return Ok((presence, joining));
            }
            // Somebody has come meanwhile.
            Err(LeaseError::Shared { .. }) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    let shared = Presence::shared(place.clone(), claimant.clone(), Arc::clone(gate), |_| ());
    let presence = shared.await.map_err(refused)?;
    Ok((presence, joining))
}

fn refused(error: LeaseError) -> anyhow::Error {
    match error {
        LeaseError::Held {
            volume,
            by,
            patience,
        } => anyhow!(
            "{volume} is mounted with --consistency exclusive by {by}, and nothing may be changed besides it: unmount it there, or, if that machine is gone, give --wait: what is not renewed for {} s is of a dead mount",
            patience.as_secs()
        ),
        error => error.into(),
    }
}

/// What is wrong with a record that lets nothing else be looked at; other errors are the caller's.
fn without_record(
    error: anyhow::Error,
    config: &CheckConfig,
    report: &mut Report,
) -> anyhow::Error {
    let is_record = error.downcast_ref::<RecordError>().is_some_and(|error| {
        matches!(
            error,
            RecordError::Record { .. } | RecordError::TwoVolumes { .. } | RecordError::Lost { .. }
        )
    });
    if !is_record {
        return error;
    }
    let source = config.source.store.describe();
    report.finding(&Finding::new(
        Trouble::VolumeRecord,
        Class::NeedsYou,
        &*source,
        error.to_string(),
        "without the record nothing else of the volume can be looked at",
    ));
    match report.end(&source, &Counts::default(), &[]) {
        Err(told) => told,
        Ok(()) => error,
    }
}

/// What both surveys have in common.
struct Work<'a> {
    config: &'a CheckConfig,
    about: &'a About,
    store: &'a Arc<dyn Store>,
    write_back: PathBuf,
}

impl Work<'_> {
    fn options(&self, state: &StateDir) -> VolumeOptions {
        VolumeOptions {
            read_only: !self.config.repair,
            ..self.about.to_read(state)
        }
    }

    async fn survey(&self, volume: &Volume, others: &Others) -> anyhow::Result<Vec<Finding>> {
        let prefix = &self.about.prefix;
        let found = state::survey(self.store, prefix, volume, others, &self.write_back);
        Ok(found.await?)
    }
}
