//! What is done with one object.

use super::plan::{self, Cost, Facts, Form, Root, Step};
use super::stream;
use super::{Left, PAUSE_MAX, Settled, StepError, TRIES, Work, is_of_server, lock};
use crate::admin::inspect::{Client, FormatVersion, Inspected, Looked, Seen};
use crate::admin::own::Own;
use crate::layout::path::VolumePath;
use crate::layout::sealed::WrappedKey;
use crate::store::{ListedObject, ObjectKey};
use crate::volume::VolumeError;

impl Work {
    /// Looks at an object and does what is to be done, until a look finds nothing more.
    pub(super) async fn settle(&self, listed: ListedObject, rehearses: bool) -> Settled {
        let mut settled = Settled {
            moved: false,
            passed: false,
            has_version: false,
            bytes: listed.size,
            cost: Cost::default(),
            left: None,
            failed: false,
        };
        let key = listed.key.clone();
        let (mut changes, mut steps) = (0, 0);
        loop {
            let inspected = self.inspector.look(listed.clone()).await;
            let done = self.once(&inspected, rehearses, &mut settled).await;
            match done {
                Ok(Next::Done) => return settled,
                Ok(Next::LookAgain) if steps < TRIES => steps += 1,
                Ok(Next::LookAgain) => {
                    let why = format!(
                        "is not as it was asked for after {TRIES} changes to make it so: somebody else changes it, or the server does not do what it answers"
                    );
                    settled.leave(key, why);
                    return settled;
                }
                Err(error) if error.is_change() && changes < TRIES => {
                    changes += 1;
                    tokio::time::sleep(self.pauses.up_to(PAUSE_MAX)).await;
                }
                Err(error) => {
                    settled.failed = error.is_of_server();
                    settled.leave(key, format!("could not be moved: {error}"));
                    return settled;
                }
            }
        }
    }

    async fn once(
        &self,
        inspected: &Inspected,
        rehearses: bool,
        settled: &mut Settled,
    ) -> Result<Next, StepError> {
        let looked = match &inspected.seen {
            Seen::Gone => return Ok(Next::Done),
            Seen::Closed(error) => {
                settled.failed = is_of_server(error.kind());
                let key = inspected.listed.key.clone();
                settled.leave(key, format!("cannot be looked at: {error}"));
                return Ok(Next::Done);
            }
            Seen::Looked(looked) => looked,
        };
        let key = ObjectKey::new(&*inspected.listed.key)
            .map_err(|error| StepError::Refused(error.to_string()))?;
        let place = self.place(&key, inspected.own.as_ref());
        let mut facts = self.facts(inspected, looked, place.as_ref()).await?;
        if self.it.copies_all && !settled.moved {
            facts.form = facts.form.unproven();
        }
        let step = plan::plan(self.it.target, &facts);
        let in_place = match (&step, &place) {
            (Step::Stream, Some(place)) => match place.key_in(&self.it.new) {
                Ok(new) => new == key,
                // Also told by who only rehearses.
                Err(error) => {
                    settled.cost.head += 1;
                    settled.leave(key.to_string(), format!("could not be moved: {error}"));
                    return Ok(Next::Done);
                }
            },
            _ => true,
        };
        let cost = Cost::of(&step, looked.info.size, in_place);
        if let Step::Leave(why) = step {
            settled.cost.add(&cost);
            settled.leave(key.to_string(), why.to_owned());
            return Ok(Next::Done);
        }
        if step == Step::Nothing {
            if !settled.moved {
                settled.cost.add(&cost);
                settled.passed = facts.own.is_none() && matches!(facts.form, Form::Sealed(_));
            }
            return Ok(Next::Done);
        }
        if !rehearses {
            match step {
                Step::Copy => {
                    let copied = self.it.new.copy_onto_itself(&key, &looked.info).await?;
                    tracing::debug!("copied {key:?} as {}", copied.commit);
                }
                Step::SealAgain => {
                    let etag = &looked.info.etag;
                    self.it.new.seal_again(&self.it.old, &key, etag).await?;
                    // The next look is to see what the bucket has.
                }
                Step::Stream => {
                    let place = place.ok_or(StepError::Changed)?;
                    stream::stream(&self.it, &key, &looked.info.etag, &place).await?;
                }
                Step::Nothing | Step::Leave(_) => unreachable!("told above"),
            }
        }
        settled.moved = true;
        settled.has_version |= looked.info.version.is_some();
        settled.cost.add(&cost);
        Ok(if rehearses {
            Next::Done
        } else {
            Next::LookAgain
        })
    }

    /// What the volume that the object is of calls it.
    fn place(&self, key: &ObjectKey, own: Option<&Own>) -> Option<stream::Place> {
        if own == Some(&Own::Root) {
            return Some(stream::Place::root());
        }
        if own.is_some() {
            return None;
        }
        let path = self.it.old.path_of(key.as_str()).ok()?;
        let is_directory = path.is_empty() || path.ends_with('/');
        let path: VolumePath = path.strip_suffix('/').unwrap_or(&path).parse().ok()?;
        Some(stream::Place { path, is_directory })
    }

    async fn facts(
        &self,
        inspected: &Inspected,
        looked: &Looked,
        place: Option<&stream::Place>,
    ) -> Result<Facts, StepError> {
        let key = &inspected.listed.key;
        let is_target = self.it.required.judge(key, looked).is_none();
        let form = match &looked.client {
            Client::None => Form::Plain { is_target },
            Client::S3ec(_) => Form::Foreign { is_target },
            Client::Unknown(_) => Form::Broken,
            Client::Native(native) if native.format != FormatVersion::Known => Form::Broken,
            Client::Native(native) => match &native.wrapped_key {
                Some(wrapped) => self.sealed(key, wrapped, looked).await?,
                None => Form::Broken,
            },
        };
        Ok(Facts {
            own: inspected.own.clone(),
            form,
            size: looked.info.size,
            has_path: place.is_some(),
            is_directory: key.ends_with('/'),
        })
    }

    async fn sealed(
        &self,
        key: &str,
        wrapped: &WrappedKey,
        looked: &Looked,
    ) -> Result<Form, StepError> {
        let whose = self.whose(key, wrapped, looked).await?;
        let volume = match whose {
            Root::Target => &self.it.new,
            Root::Source => &self.it.old,
            Root::Other => return Ok(Form::Sealed(whose)),
        };
        // This is also what verifies a record that was sealed again.
        let key = ObjectKey::new(key).map_err(|error| StepError::Refused(error.to_string()))?;
        let is_authentic = volume.authenticates(&key, &looked.info).await?;
        Ok(if is_authentic {
            Form::Sealed(whose)
        } else {
            Form::Damaged
        })
    }

    async fn whose(
        &self,
        key: &str,
        wrapped: &WrappedKey,
        looked: &Looked,
    ) -> Result<Root, VolumeError> {
        let known = lock(&self.whose).get(wrapped).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let metadata = &looked.info.attributes.metadata;
        let whose = if self.it.new.wraps(key, metadata).await? {
            Root::Target
        } else if self.it.old.wraps(key, metadata).await? {
            Root::Source
        } else {
            Root::Other
        };
        lock(&self.whose).put(wrapped.clone(), whose);
        Ok(whose)
    }
}

/// What comes after a step.
enum Next {
    Done,
    LookAgain,
}

impl Settled {
    fn leave(&mut self, object: String, why: String) {
        self.left = Some(Left { object, why });
    }
}
