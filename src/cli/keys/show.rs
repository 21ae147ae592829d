//! `keys show`.

use std::fmt::Write as _;

use serde::Serialize;

use super::config::KmsWay;
use super::used::{ShownUse, UsedIn};
use super::{harden, run};
use crate::base::terminal::printable;
use crate::cli::output;
use crate::keys::kms::{Expires, KeyFacts, Kms, KmsError, PastRotation, Rotation, rfc3339};

/// What is told of a key. Times are RFC 3339.
#[derive(Debug, Serialize)]
struct Shown {
    arn: String,
    id: String,
    aliases: Told<Vec<String>>,
    state: String,
    origin: String,
    /// A time, `never` or `not told`; `null` where the material is not imported, or there is none.
    expires: Option<String>,
    rotation: Told<ShownRotation>,
    rotations: Told<Vec<ShownRotationEntry>>,
    spec: String,
    usage: String,
    manager: String,
    multi_region: bool,
    description: String,
    created: Option<String>,
    deletion: Option<String>,
    material_id: Option<String>,
    /// Where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    used_in: Option<ShownUse>,
}

/// Other rights are needed to see it than the key itself.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Told<T> {
    Known(T),
    /// `{"not_known":REASON}`
    Unknown {
        not_known: String,
    },
}

#[derive(Debug, Serialize)]
struct ShownRotation {
    automatic: bool,
    period_days: Option<i32>,
    next: Option<String>,
    under_way_since: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownRotationEntry {
    at: Option<String>,
    kind: Option<String>,
}

pub(super) fn show(
    key: &str,
    as_json: bool,
    kms: &KmsWay,
    used_in: Option<&UsedIn>,
) -> anyhow::Result<()> {
    harden()?;
    run(async {
        let way = kms.open().await?;
        let facts = way.facts(key, kms.timeout).await?;
        let mut shown = Box::pin(look(&way, &facts, kms)).await;
        if !as_json {
            output::say(&text(&shown));
        }
        if let Some(source) = used_in {
            let used = Box::pin(source.look(&way, &facts, kms.timeout)).await?;
            if !as_json {
                output::say(&used.text());
            }
            shown.used_in = Some(used);
        }
        if as_json {
            output::say(&serde_json::to_string_pretty(&shown)?);
        }
        Ok(())
    })
}

async fn look(way: &Kms, facts: &KeyFacts, kms: &KmsWay) -> Shown {
    let (aliases, rotation, rotations) = tokio::join!(
        way.aliases(facts, kms.timeout),
        way.rotation(facts, kms.timeout),
        way.rotations(facts, kms.timeout),
    );
    shown(facts, aliases, rotation, rotations)
}

fn shown(
    facts: &KeyFacts,
    aliases: Result<Vec<String>, KmsError>,
    rotation: Result<Rotation, KmsError>,
    rotations: Result<Vec<PastRotation>, KmsError>,
) -> Shown {
    Shown {
        arn: facts.arn().to_owned(),
        id: facts.id().to_owned(),
        aliases: Told::of(aliases, |aliases| aliases),
        state: facts.state().to_owned(),
        origin: facts.origin().to_owned(),
        expires: facts.expires().map(|expires| match expires {
            Expires::Never => "never".to_owned(),
            Expires::At(at) => rfc3339(at),
            Expires::Untold => "not told".to_owned(),
        }),
        rotation: Told::of(rotation, |rotation| ShownRotation {
            automatic: rotation.is_automatic,
            period_days: rotation.period_days,
            next: rotation.next.map(rfc3339),
            under_way_since: rotation.under_way_since.map(rfc3339),
        }),
        rotations: Told::of(rotations, |rotations| {
            rotations
                .into_iter()
                .map(|entry| ShownRotationEntry {
                    at: entry.at.map(rfc3339),
                    kind: entry.kind,
                })
                .collect()
        }),
        spec: facts.spec().to_owned(),
        usage: facts.usage().to_owned(),
        manager: facts.manager().to_owned(),
        multi_region: facts.is_multi_region(),
        description: facts.description().to_owned(),
        created: facts.created().map(rfc3339),
        deletion: facts.deletion().map(rfc3339),
        material_id: facts.material_id().map(str::to_owned),
        used_in: None,
    }
}

impl<T> Told<T> {
    fn of<U>(answer: Result<U, KmsError>, known: impl FnOnce(U) -> T) -> Self {
        match answer {
            Ok(answer) => Self::Known(known(answer)),
            Err(error) => Self::Unknown {
                not_known: error.to_string(),
            },
        }
    }

    fn words(&self, known: impl FnOnce(&T) -> String) -> String {
        match self {
            Self::Known(known_value) => known(known_value),
            Self::Unknown { not_known } => format!("not known: {not_known}"),
        }
    }
}

fn text(shown: &Shown) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Descriptions are anybody's words.
        let _infallible = writeln!(text, "{name:<12} {}", printable(value));
    };
    let list = |items: &[String]| match items {
        [] => "none".to_owned(),
        items => items.join(", "),
    };
    line("key", &shown.arn);
    line("aliases", &shown.aliases.words(|aliases| list(aliases)));
    line("state", &state(shown));
    line("origin", &origin(&shown.origin));
    if let Some(expires) = &shown.expires {
        line("expires", expires);
    }
    line("rotation", &shown.rotation.words(rotation));
    line(
        "rotated",
        &shown.rotations.words(|rotations| {
            let entries: Vec<String> = rotations.iter().map(entry).collect();
            match entries.as_slice() {
                [] => "never".to_owned(),
                entries => entries.join(", "),
            }
        }),
    );
    let region = if shown.multi_region {
        ", in several regions"
    } else {
        ""
    };
    line("kind", &format!("{}, {}{region}", shown.spec, shown.usage));
    line("managed by", &shown.manager);
    if let Some(id) = &shown.material_id {
        line("material", id);
    }
    if let Some(created) = &shown.created {
        line("created", created);
    }
    if !shown.description.is_empty() {
        line("description", &shown.description);
    }
    text.truncate(text.trim_end().len());
    text
}

fn state(shown: &Shown) -> String {
    let state = &shown.state;
    match (&**state, &shown.deletion) {
        ("PendingImport", _) => format!(
            "{state}: it has no material; `cloakfs keys import --kms-key {} --key-file FILE` imports it",
            shown.id
        ),
        (_, Some(at)) => format!("{state}, deletion at {at}"),
        _ => state.clone(),
    }
}

fn origin(origin: &str) -> String {
    match origin {
        "EXTERNAL" => format!("{origin}: for material of your own"),
        "AWS_KMS" => format!("{origin}: KMS made the material"),
        other => other.to_owned(),
    }
}

fn rotation(rotation: &ShownRotation) -> String {
    let mut words = match (rotation.automatic, rotation.period_days) {
        (false, _) => "not by itself".to_owned(),
        (true, None) => "by itself".to_owned(),
        (true, Some(days)) => format!("by itself every {days} days"),
    };
    if let Some(next) = &rotation.next {
        let _infallible = write!(words, ", next at {next}");
    }
    if let Some(since) = &rotation.under_way_since {
        let _infallible = write!(words, ", one under way since {since}");
    }
    words
}

fn entry(entry: &ShownRotationEntry) -> String {
    let kind = match entry.kind.as_deref() {
        Some("AUTOMATIC") => " (by itself)",
        Some("ON_DEMAND") => " (asked for)",
        _ => "",
    };
    let at = entry.at.as_deref().unwrap_or("at a time that is not told");
    format!("{at}{kind}")
}
