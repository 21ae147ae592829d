//! What is in a directory.

use super::{Result, Volume, VolumeError};
use crate::layout::path::{HiddenReason, Listed, PlainName, VolumePath};
use crate::store::{ListOptions, ListToken, ListedObject};

/// What a listing tells about a name.
#[derive(Clone, Debug)]
pub enum ListedKind {
    Directory,
    /// An object; whether it is a file or a symlink only its metadata tells.
    Object(ListedObject),
}

#[derive(Clone, Debug)]
pub struct ListedEntry {
    pub name: PlainName,
    pub kind: ListedKind,
}

/// One page of a directory. A name can appear twice, as an object and as a directory, even on
/// different pages.
#[derive(Clone, Debug)]
pub struct DirPage {
    pub entries: Vec<ListedEntry>,
    /// Keys that no path can name, and why.
    pub hidden: Vec<(String, HiddenReason)>,
    pub next: Option<ListToken>,
}

impl Volume {
    /// One page of the directory at `path`: one listing of at most 1,000 names.
    pub async fn list(&self, path: &VolumePath, token: Option<ListToken>) -> Result<DirPage> {
        let directory = self.directory(path)?;
        let options = ListOptions {
            prefix: directory.prefix().to_owned(),
            delimiter: true,
            token,
            ..ListOptions::default()
        };
        let page = self.store.list(options).await;
        let page = page.map_err(|error| VolumeError::store(path, error))?;
        let mut listing = DirPage {
            entries: Vec::with_capacity(page.objects.len() + page.common_prefixes.len()),
            hidden: Vec::new(),
            next: page.next,
        };
        for object in page.objects {
            match directory.object(&object.key) {
                Listed::Child(name) => {
                    listing.entries.push(ListedEntry {
                        name,
                        kind: ListedKind::Object(object),
                    });
                }
                Listed::Hidden(reason) => listing.hidden.push((object.key, reason)),
                Listed::Marker | Listed::Reserved => {}
            }
        }
        for prefix in page.common_prefixes {
            match directory.common_prefix(&prefix) {
                Listed::Child(name) => {
                    listing.entries.push(ListedEntry {
                        name,
                        kind: ListedKind::Directory,
                    });
                }
                Listed::Hidden(reason) => listing.hidden.push((prefix, reason)),
                Listed::Marker | Listed::Reserved => {}
            }
        }
        Ok(listing)
    }

    /// Whether anything but its own marker is below a directory. What is hidden counts too: it
    /// would be lost from sight with the directory.
    ///
    /// # Errors
    /// Also where the marker is another program's and has content, which would go with it.
    pub async fn is_empty_directory(&self, path: &VolumePath) -> Result<bool> {
        let prefix = self.directory(path)?.prefix().to_owned();
        let options = ListOptions {
            prefix: prefix.clone(),
            max_keys: Some(2),
            ..ListOptions::default()
        };
        let page = self.store.list(options).await;
        let page = page.map_err(|error| VolumeError::store(path, error))?;
        if page.objects.iter().any(|object| object.key != prefix) {
            return Ok(false);
        }
        if let Some(marker) = page.objects.first() {
            self.check_marker(path, Some(marker)).await?;
        }
        Ok(true)
    }

    /// Every object below a directory, its own marker included, with what it is there: the path
    /// relative to the directory where names are encrypted, else the key's text after the
    /// directory's prefix. Page by page.
    ///
    /// # Errors
    /// Also when a name does not decrypt: it could not be stored anywhere else.
    pub async fn walk(
        &self,
        path: &VolumePath,
        token: Option<ListToken>,
    ) -> Result<(Vec<(String, ListedObject)>, Option<ListToken>)> {
        let directory = self.directory(path)?;
        let options = ListOptions {
            prefix: directory.prefix().to_owned(),
            token,
            ..ListOptions::default()
        };
        let page = self.store.list(options).await;
        let page = page.map_err(|error| VolumeError::store(path, error))?;
        let mut objects = Vec::with_capacity(page.objects.len());
        for object in page.objects {
            match directory.below(&object.key) {
                Some(Ok(rest)) => objects.push((rest, object)),
                Some(Err(reason)) => return Err(VolumeError::hidden(&object.key, reason)),
                None => {}
            }
        }
        Ok((objects, page.next))
    }
}
