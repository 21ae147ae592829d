//! Listings: a walk through directories in the byte order of keys.
//!
//! Entries of a directory are ordered by what their keys begin with: an object by its last
//! component, a directory by its component and a slash, so that walking them in this order,
//! depth first, gives the keys in byte order. What lies before the cursor or outside of the
//! prefix is not entered; with a delimiter a directory is only looked into until one object
//! shows that it is not empty. Files that the store did not write are passed over with a word
//! in the log: they have no key. Objects that are removed meanwhile are missing from the page,
//! and those that are added may be: as in S3, a listing of a changing bucket is no snapshot.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::disk::Disk;
use super::file::{is_missing, open_object};
use super::header::HeaderError;
use super::names::{self, Name};
use crate::base::progress::Progress;
use crate::store::listing::{PageBuilder, PagePlan, Shown};
use crate::store::{ListPage, ListedObject};

/// One page of the objects.
pub(super) fn list(
    disk: &Disk,
    plan: &PagePlan,
    progress: Option<&Progress>,
) -> io::Result<ListPage> {
    // The directory that holds all keys with the prefix.
    let above = plan.prefix.rfind('/').map_or("", |at| &plan.prefix[..=at]);
    let mut walk = Walk {
        disk,
        plan,
        page: PageBuilder::new(plan),
        progress,
    };
    match walk.directory(above)? {
        ControlFlow::Continue(()) => Ok(walk.page.last()),
        ControlFlow::Break(()) => Ok(walk.page.with_more()),
    }
}

struct Walk<'a> {
    disk: &'a Disk,
    plan: &'a PagePlan,
    page: PageBuilder,
    progress: Option<&'a Progress>,
}

/// An object's file, or the directory of a component.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// The object's key, or the prefix of all keys in the directory.
    key: String,
    is_directory: bool,
}

impl Walk<'_> {
    /// Walks what is below `prefix`, which is empty or ends in `/`. Breaks off when there is
    /// more than the page holds.
    fn directory(&mut self, prefix: &str) -> io::Result<ControlFlow<()>> {
        if let Some(progress) = self.progress {
            progress.touch();
        }
        let mut entries = vec![];
        let path = self.disk.root().join(names::directory_path(prefix));
        let _all = self.visit(&path, prefix, &mut |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        })?;
        entries.sort_unstable();
        // A name that the store would not write can stand for a key that is there already.
        entries.dedup();
        for entry in entries {
            let flow = if entry.is_directory {
                self.subdirectory(&entry.key)?
            } else {
                self.object(entry.key)?
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn subdirectory(&mut self, prefix: &str) -> io::Result<ControlFlow<()>> {
        let Shown::Below(len) = self.plan.show_below(prefix) else {
            return self.directory(prefix);
        };
        if !self.is_any_shown(prefix)? {
            return Ok(ControlFlow::Continue(()));
        }
        if self.page.is_full() {
            return Ok(ControlFlow::Break(()));
        }
        self.page.push_prefix(&prefix[..len]);
        Ok(ControlFlow::Continue(()))
    }

    fn object(&mut self, key: String) -> io::Result<ControlFlow<()>> {
        if self.page.is_full() {
            return Ok(ControlFlow::Break(()));
        }
        let path = self.disk.root().join(names::file_path(&key));
        match open_object(&path) {
            Ok(Ok(found)) => self.page.push_object(ListedObject {
                key,
                size: found.header.size,
                etag: found.header.etag,
                last_modified: found.header.last_modified,
            }),
            // It has a key and a claim to its name: reading it says what is wrong.
            Ok(Err(HeaderError::Length { expected, .. })) => {
                tracing::warn!(object = key, "{} was cut off", path.display());
                self.page.push_object(ListedObject {
                    key,
                    size: expected,
                    etag: crate::store::ETag::new("\"damaged\""),
                    last_modified: crate::base::time::Timestamp::EPOCH,
                });
            }
            Ok(Err(foreign)) => self.disk.report_foreign(&path, &foreign.to_string()),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether any object below `prefix` is at or after the cursor.
    fn is_any_shown(&self, prefix: &str) -> io::Result<bool> {
        let mut directories = vec![];
        let path = self.disk.root().join(names::directory_path(prefix));
        let found = self.visit(&path, prefix, &mut |entry| {
            if entry.is_directory {
                directories.push(entry.key);
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        if found.is_break() {
            return Ok(true);
        }
        for directory in directories {
            if self.is_any_shown(&directory)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Visits the entries of a directory that may be shown, in no order, with those of the pieces
    /// of long components.
    fn visit(
        &self,
        path: &Path,
        key_above: &str,
        visitor: &mut impl FnMut(Entry) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let directory = match fs::read_dir(path) {
            Ok(directory) => directory,
            Err(error) if is_missing(&error) => return Ok(ControlFlow::Continue(())),
            Err(error) => return Err(error),
        };
        for found in directory {
            let found = match found {
                Ok(found) => found,
                Err(error) if is_missing(&error) => break,
                Err(error) => return Err(error),
            };
            let name = found.file_name();
            let parsed = name.to_str().and_then(names::parse);
            let is_directory = match found.file_type() {
                Ok(kind) => kind.is_dir(),
                Err(error) if is_missing(&error) => continue,
                Err(error) => return Err(error),
            };
            let flow = match (parsed, is_directory) {
                (Some(Name::Piece(piece)), true) => {
                    let key = format!("{key_above}{piece}");
                    if !self.plan.may_show_below(&key) {
                        continue;
                    }
                    self.visit(&path.join(&name), &key, visitor)?
                }
                (Some(Name::Directory(component)), true) => {
                    let key = format!("{key_above}{component}/");
                    if !self.plan.may_show_below(&key) {
                        continue;
                    }
                    visitor(Entry {
                        key,
                        is_directory: true,
                    })
                }
                (Some(Name::File(component)), false) => {
                    let key = format!("{key_above}{component}");
                    if self.plan.show(&key) == Shown::No {
                        continue;
                    }
                    visitor(Entry {
                        key,
                        is_directory: false,
                    })
                }
                _ => {
                    let path = path.join(&name);
                    self.disk
                        .report_foreign(&path, "it was not written by cloakfs");
                    continue;
                }
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
