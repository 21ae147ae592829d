//! The keys of everything but cloakfs's own objects: which no path can name, which two names are
//! one, which are conflict copies. By listings alone, in bounded memory.

use std::sync::Arc;

use futures_util::stream::StreamExt;
use serde::Serialize;

use super::{Class, Finding, Trouble, conflict};
use crate::admin::inspect::Inspector;
use crate::admin::own::Own;
use crate::layout::path::HiddenReason;
use crate::store::{Store, StoreError};
use crate::volume::Volume;

/// What there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Objects that are no directory's marker.
    pub files: u64,
    /// Markers.
    pub directories: u64,
    /// Directories that have no marker, and are there because something is in them. That is
    /// nothing wrong: other tools make them so.
    pub implicit_directories: u64,
    pub bytes: u64,
}

/// Goes through all keys below `prefix`. `tell` hears of each finding, and after each object of
/// the counts so far.
///
/// # Errors
/// When the prefix cannot be listed to its end.
pub async fn survey(
    store: Arc<dyn Store>,
    prefix: &str,
    volume: &Volume,
    tell: &mut (dyn FnMut(Option<&Finding>, &Counts) + Send),
) -> Result<Counts, StoreError> {
    let mut walk = Walk {
        prefix,
        open: Vec::new(),
        last: String::new(),
        counts: Counts::default(),
    };
    let mut listed = Inspector::new(store, prefix).listed();
    while let Some(object) = listed.next().await {
        let object = object?;
        if Own::of(prefix, &object.key).is_some() {
            continue;
        }
        walk.counts.bytes += object.size;
        let path = volume.path_of(&object.key);
        if let Some(mut twice) = walk.meet(&object.key) {
            twice.path = volume.path_of(&twice.object).ok();
            tell(Some(&twice), &walk.counts);
        }
        if let Some(finding) = of_name(&object.key, path) {
            tell(Some(&finding), &walk.counts);
        }
        tell(None, &walk.counts);
    }
    Ok(walk.counts)
}

/// Where a walk in the order of the keys is.
struct Walk<'a> {
    prefix: &'a str,
    /// Objects that the keys which come now begin with, each with the one before: keys that
    /// begin alike lie beside each other. Whether it was told.
    open: Vec<(String, bool)>,
    last: String,
    counts: Counts,
}

impl Walk<'_> {
    /// The file that this key makes a directory, too, the first time.
    fn meet(&mut self, key: &str) -> Option<Finding> {
        let rest = key.strip_prefix(self.prefix).unwrap_or(key);
        if rest.ends_with('/') || rest.is_empty() {
            self.counts.directories += 1;
        } else {
            self.counts.files += 1;
        }
        let parents = rest.match_indices('/').map(|(at, _)| &rest[..=at]);
        let new = parents.filter(|parent| !self.last.starts_with(parent) && *parent != rest);
        self.counts.implicit_directories += new.count() as u64;
        self.last.clear();
        self.last.push_str(rest);
        while self
            .open
            .pop_if(|(open, _)| !key.starts_with(&**open))
            .is_some()
        {}
        let twice = self
            .open
            .iter_mut()
            .find(|(open, told)| !told && key.as_bytes().get(open.len()) == Some(&b'/'));
        let finding = twice.map(|(open, told)| {
            *told = true;
            Finding::new(
                Trouble::NameTwice,
                Class::NeedsYou,
                open.clone(),
                format!("{}", HiddenReason::ShadowedByDirectory),
                "rename the object, or what lies below the name, with an S3 tool; the object is hidden until then",
            )
        });
        if !rest.ends_with('/') && !rest.is_empty() {
            self.open.push((key.to_owned(), false));
        }
        finding
    }
}

/// What the name alone tells.
fn of_name(key: &str, path: Result<String, HiddenReason>) -> Option<Finding> {
    match path {
        Ok(path) => {
            let name = path.trim_end_matches('/').rsplit('/').next()?;
            let finding = (conflict::is_copy(name) && !path.ends_with('/')).then(|| {
                Finding::new(
                    Trouble::ConflictCopy,
                    Class::NeedsYou,
                    key,
                    "it is a version of a file that another machine changed at the same time: both were kept",
                    "compare it with the file beside it, keep what is right, and delete this one or give it another name; --repair never removes it",
                )
            });
            finding.map(|finding| Finding {
                path: Some(path),
                ..finding
            })
        }
        Err(reason @ HiddenReason::Undecryptable(_)) => Some(Finding::new(
            Trouble::UndecryptableName,
            Class::NeedsYou,
            key,
            format!("it {reason}"),
            "a mount hides it; move it to where it was, or away, with an S3 tool",
        )),
        Err(reason) => Some(Finding::new(
            Trouble::HiddenObject,
            Class::NeedsYou,
            key,
            format!("it {reason}"),
            "a mount hides it; nothing but its name has to change",
        )),
    }
}
