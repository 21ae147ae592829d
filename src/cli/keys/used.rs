//! `keys show --used-in`: what is under a key of KMS.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::admin::usage::{Count, InVolume, KeyNames, Named, Tally, Usage};
use crate::base::context::EncryptionContext;
use crate::base::size::ByteSize;
use crate::base::terminal::printable;
use crate::cli::arguments::{ConnectionArguments, KeyArguments, ShowArguments};
use crate::cli::config::{ConfigError, StoreConfig};
use crate::cli::encryption::EncryptionError;
use crate::cli::open;
use crate::cli::output::{self, ProgressLine};
use crate::cli::source::Source;
use crate::keys::kms::{KeyFacts, Kms};
use crate::keys::root::Root;
use crate::store::Store;
use crate::volume::record::{self, RecordError};
use crate::volume::single::Reader;

/// Objects between two lines of progress.
const PROGRESS: u64 = 100;

/// A source that is to be looked through.
#[derive(Debug)]
pub(super) struct UsedIn {
    store: StoreConfig,
    context: EncryptionContext,
}

/// What was found there.
#[derive(Debug, Serialize)]
pub(super) struct ShownUse {
    source: String,
    #[serde(flatten)]
    tally: Tally,
    notes: Vec<String>,
}

impl UsedIn {
    pub(super) fn from_arguments(arguments: &ShowArguments) -> Result<Option<Self>, ConfigError> {
        let Some(source) = &arguments.used_in else {
            return Ok(None);
        };
        let kms = arguments.kms.clone();
        let connection = ConnectionArguments {
            endpoint_url: kms.endpoint_url,
            region: kms.region,
            profile: kms.profile,
            path_style: arguments.path_style,
            ca_bundle: kms.ca_bundle,
        };
        let source = Source::parse(source)?;
        let keys = KeyArguments::default();
        Ok(Some(Self {
            store: match source {
                // Nothing but the key's own KMS is asked, which is known already.
                Source::Dir(_) => {
                    let nothing = ConnectionArguments::default();
                    StoreConfig::for_client_side(source, false, &nothing, &keys)?
                }
                Source::S3(_) => StoreConfig::for_client_side(source, false, &connection, &keys)?,
            },
            context: EncryptionContext::parse(&arguments.kms_context)
                .map_err(EncryptionError::from)?,
        }))
    }

    pub(super) async fn look(
        &self,
        kms: &Kms,
        facts: &KeyFacts,
        timeout: Duration,
    ) -> anyhow::Result<ShownUse> {
        let opened = Box::pin(open::store_to_inspect(&self.store, timeout)).await?;
        let (store, prefix) = (opened.store, opened.about.prefix);
        let mut notes = opened.about.notes;
        let key = KeyNames {
            arn: facts.arn().to_owned(),
            id: facts.id().to_owned(),
        };
        let volume = self.volume(kms, &key, (&store, &prefix), timeout, &mut notes);
        let volume = Box::pin(volume).await?;
        let usage = Usage {
            store,
            prefix,
            key,
            volume,
        };
        let mut line = ProgressLine::start();
        let mut progress = |tally: &Tally| {
            if tally.objects.is_multiple_of(PROGRESS) {
                let (objects, used) = (tally.objects, tally.used.objects);
                line.show(&format!("{objects} objects, {used} under the key"));
            }
        };
        let tally = usage.run(&mut progress).await?;
        line.clear();
        notes.push(
            "older versions of objects and uploads that have not ended were not looked at"
                .to_owned(),
        );
        for note in &notes {
            output::note(note);
        }
        Ok(ShownUse {
            source: self.store.describe(),
            tally,
            notes,
        })
    }

    /// The volume at the source, opened with the key where that can be.
    async fn volume(
        &self,
        kms: &Kms,
        key: &KeyNames,
        (store, prefix): (&Arc<dyn Store>, &str),
        timeout: Duration,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<InVolume> {
        let record = match record::find(store, prefix).await {
            Ok(Some(record)) if record.has_mode("cse-kms") => record,
            Ok(_) => return Ok(InVolume::Absent),
            Err(error @ RecordError::Record { .. }) => {
                return Ok(InVolume::Closed(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        };
        let named = record.header().kms_key_name.clone();
        let is_named = named == key.arn || named == key.id;
        let closed = |why: String| {
            let says = if is_named { "this key" } else { "another key" };
            InVolume::Closed(format!(
                "whether the volume is under the key is not known ({why}); its record names {says}, which anybody who can write there could have changed"
            ))
        };
        let root = match kms.root(&key.arn, self.context.clone(), timeout).await {
            Ok((root, _notes)) => Root::Kms(Box::new(root)),
            Err(error) => return Ok(closed(error.to_string())),
        };
        Ok(match record.open(root, true).await {
            Ok(opened) => {
                let (store, prefix) = (Arc::clone(store), prefix.to_owned());
                InVolume::Opened(Box::new(Reader::new(store, prefix, opened)))
            }
            Err(RecordError::WrongKmsKey { .. }) if is_named => closed(
                "it does not open with the encryption context that was given: give its pairs with --kms-context".to_owned(),
            ),
            Err(RecordError::WrongKmsKey { .. }) => {
                notes.push(format!(
                    "the client-side volume at {} does not open with this key and the encryption context that was given, and its record names the key {named:?}",
                    self.store.describe()
                ));
                InVolume::OfAnotherKey
            }
            Err(error) => closed(error.to_string()),
        })
    }
}

impl ShownUse {
    pub(super) fn text(&self) -> String {
        let Tally {
            objects,
            bytes,
            used,
            not_known,
        } = &self.tally;
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Names are anybody's words.
            let _infallible = writeln!(text, "{name:<12} {}", printable(value));
        };
        let words = format!(
            "{}: {} of {objects} objects ({} of {})",
            self.source,
            used.objects,
            ByteSize(used.bytes),
            ByteSize(*bytes)
        );
        line("used in", &words);
        names(used, &mut line);
        if not_known.objects > 0 {
            let size = ByteSize(not_known.bytes);
            let words = format!("{} objects ({size})", not_known.objects);
            line("not known", &words);
            names(not_known, &mut line);
        }
        text.truncate(text.trim_end().len());
        text
    }
}

fn names(count: &Count, line: &mut impl FnMut(&str, &str)) {
    for Named { object, path, why } in &count.first {
        let name = path.as_ref().unwrap_or(object);
        match why {
            None => line("", name),
            Some(why) => line("", &format!("{name}: {why}")),
        }
    }
    let shown = u64::try_from(count.first.len()).unwrap_or(u64::MAX);
    match count.objects.saturating_sub(shown) {
        0 => {}
        more => line("", &format!("and {more} more")),
    }
}
