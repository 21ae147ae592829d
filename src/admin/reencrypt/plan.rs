//! What is to be done with an object so that it is as it must be, and what that costs: pure.
//!
//! The planner knows of an object what a look tells ([`Facts`]), and gives one [`Step`]. Its
//! invariants, which the tests state as properties:
//! 1. What a step makes of an object needs no step any more: so the work can be begun again
//!    after whatever ended it, and what a look finds is all its state.
//! 2. Where both sides are of the server, nothing but copies on the server is planned.
//! 3. Content passes through this machine only where the layout changes, or content keys are to.
//! 4. What opens under no key that was given is left as it is, and told.

use crate::admin::own::Own;
use crate::base::limits;
use crate::layout::sealed::{FOOTER_STORED_BYTES, SEGMENT_BYTES};

/// What everything is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Plain objects, encrypted by the server or not.
    Plain,
    /// Objects of a client-side volume.
    Sealed {
        /// Also what could keep its content key gets another.
        new_content_keys: bool,
    },
}

/// What a look at an object tells, as far as a plan needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub own: Option<Own>,
    pub form: Form,
    /// Bytes in the bucket.
    pub size: u64,
    /// Whether a path names it in the volume that it is of.
    pub has_path: bool,
    /// It is a directory's marker by its key.
    pub is_directory: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Its body is the content. `is_target`: the server's encryption is the one that is asked for.
    Plain { is_target: bool },
    /// Of the client-side volume.
    Sealed(Root),
    /// Of the client-side volume, and its record does not open under the root that its data key
    /// is wrapped under.
    Damaged,
    /// Of the Amazon S3 Encryption Client.
    Foreign { is_target: bool },
    /// Its metadata cannot be right, or are of another version of the format.
    Broken,
}

impl Form {
    /// The same, where what the server tells of its encryption is not enough.
    #[must_use]
    pub const fn unproven(self) -> Self {
        let is_target = false;
        match self {
            Self::Plain { .. } => Self::Plain { is_target },
            Self::Foreign { .. } => Self::Foreign { is_target },
            Self::Sealed(_) | Self::Damaged | Self::Broken => self,
        }
    }
}

/// Which root the data key of a sealed object is wrapped under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    Target,
    Source,
    /// None of those that were given.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is as it must be, or nothing that this is about.
    Nothing,
    /// A copy onto itself, on the server.
    Copy,
    /// Its record is sealed again, in a copy onto itself on the server.
    SealAgain,
    /// Its content is read, and written anew.
    Stream,
    /// It stays as it is, and why: what follows its name in a sentence.
    Leave(&'static str),
}

const WORKING_STATE: &str = "is the working state of a mount: unmount, or let `cloakfs check --repair` clear away what a dead one left, and run this again";
const NO_PATH: &str = "is an object that no path names, so that it would be lost to every mount: rename or delete it with an S3 tool, and run this again";
pub(super) const MARKER_WITH_CONTENT: &str = "is a directory's marker that holds bytes, for which a directory has no room: move them to another key with an S3 tool, and run this again";
const NEITHER_KEY: &str = "does not open with the source's key nor with the new one: it is of another volume or key, and stays as it is";
const FOREIGN: &str = "was encrypted by the Amazon S3 Encryption Client: write it anew through a mount, which makes it the volume's own";
const BROKEN: &str = "has metadata that cannot be right, or is of a newer version of the format: `cloakfs audit` tells more, and it stays as it is";
const DAMAGED: &str = "does not authenticate: it was changed by somebody without the key, or brought here by another tool; it stays as it is";

/// What to do with an object.
#[must_use]
pub fn plan(target: Target, facts: &Facts) -> Step {
    match &facts.own {
        // They come and go with their mounts, or are written by who ends the move.
        Some(Own::VolumeRecord | Own::Lease | Own::Registration) => return Step::Nothing,
        // What is left of one that was cut off is an object like others.
        Some(Own::Probe) if !(target == Target::Plain && is_plain(facts)) => return Step::Nothing,
        Some(Own::Probe | Own::Intent | Own::Private(_) | Own::Root | Own::Unknown) | None => {}
    }
    let is_sealed = matches!(facts.form, Form::Sealed(_) | Form::Damaged);
    let stays_plain = target == Target::Plain && !is_sealed;
    if facts.own == Some(Own::Intent) && !stays_plain {
        return Step::Leave(WORKING_STATE);
    }
    match (target, facts.form) {
        (_, Form::Broken) => Step::Leave(BROKEN),
        (_, Form::Damaged) => Step::Leave(DAMAGED),
        (_, Form::Sealed(Root::Other)) => Step::Leave(NEITHER_KEY),
        (Target::Plain, Form::Plain { is_target } | Form::Foreign { is_target }) => {
            if is_target {
                Step::Nothing
            } else {
                Step::Copy
            }
        }
        (Target::Sealed { .. }, Form::Foreign { .. }) => Step::Leave(FOREIGN),
        (Target::Sealed { .. }, Form::Sealed(Root::Target)) => Step::Nothing,
        (
            Target::Sealed {
                new_content_keys: false,
            },
            Form::Sealed(Root::Source),
        ) => Step::SealAgain,
        (Target::Sealed { .. }, Form::Plain { .. } | Form::Sealed(Root::Source))
        | (Target::Plain, Form::Sealed(Root::Target | Root::Source)) => stream(facts),
    }
}

const fn is_plain(facts: &Facts) -> bool {
    matches!(facts.form, Form::Plain { .. } | Form::Foreign { .. })
}

fn stream(facts: &Facts) -> Step {
    if let Some(Own::Intent | Own::Private(_) | Own::Unknown) = &facts.own {
        return Step::Leave(WORKING_STATE);
    }
    let is_plain = matches!(facts.form, Form::Plain { .. });
    if !facts.has_path {
        Step::Leave(NO_PATH)
    } else if facts.is_directory && is_plain && facts.size > 0 {
        Step::Leave(MARKER_WITH_CONTENT)
    } else {
        Step::Stream
    }
}

/// Requests by kind, and bytes. Those of a plan are an estimate: nobody else writes meanwhile,
/// and nothing is sent twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    pub list: u64,
    pub head: u64,
    pub get: u64,
    pub put: u64,
    pub copy: u64,
    pub delete: u64,
    /// Read to this machine.
    pub bytes_down: u64,
    pub bytes_up: u64,
    /// Copied by the server.
    pub bytes_copied: u64,
}

impl Cost {
    /// Of a step with an object of so many bytes. `in_place`: its key stays.
    #[must_use]
    pub fn of(step: &Step, size: u64, in_place: bool) -> Self {
        let mut cost = Self {
            head: 1,
            ..Self::default()
        };
        match step {
            Step::Nothing | Step::Leave(_) => {}
            Step::Copy | Step::SealAgain => {
                // It is looked at again.
                cost.head += 1;
                cost.copied(size, limits::PART_BYTES_MAX);
                if *step == Step::SealAgain {
                    cost.get += 1;
                    cost.bytes_down += FOOTER_STORED_BYTES;
                }
            }
            Step::Stream => cost.stream(size, in_place),
        }
        cost
    }

    fn copied(&mut self, size: u64, most: u64) {
        self.bytes_copied += size;
        if size <= most {
            self.copy += 1;
        } else {
            // Begun and completed.
            self.put += 2;
            self.copy += size.div_ceil(1 << 30);
        }
    }

    fn stream(&mut self, size: u64, in_place: bool) {
        let parts = size.div_ceil(SEGMENT_BYTES).max(1);
        // Read, and what was written is read back.
        self.get += 2 * parts;
        self.head += 2;
        self.bytes_down += 2 * size;
        self.bytes_up += size;
        if size <= SEGMENT_BYTES {
            self.put += 1;
        } else {
            self.put += parts + 2;
            if in_place {
                // It waits at another key until it is proven, and is proven again where it is.
                self.copied(size, 0);
                self.delete += 1;
                self.head += 1;
                self.get += parts;
                self.bytes_down += size;
            }
        }
        self.delete += u64::from(!in_place);
    }

    /// Both.
    pub fn add(&mut self, other: &Self) {
        self.list += other.list;
        self.head += other.head;
        self.get += other.get;
        self.put += other.put;
        self.copy += other.copy;
        self.delete += other.delete;
        self.bytes_down += other.bytes_down;
        self.bytes_up += other.bytes_up;
        self.bytes_copied += other.bytes_copied;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::admin::own::{Private, Purpose};

    fn targets() -> impl Strategy<Value = Target> {
        prop_oneof![
            Just(Target::Plain),
            any::<bool>().prop_map(|new_content_keys| Target::Sealed { new_content_keys }),
        ]
    }

    fn forms() -> impl Strategy<Value = Form> {
        let root = prop_oneof![Just(Root::Target), Just(Root::Source), Just(Root::Other)];
        prop_oneof![
            any::<bool>().prop_map(|is_target| Form::Plain { is_target }),
            root.prop_map(Form::Sealed),
            any::<bool>().prop_map(|is_target| Form::Foreign { is_target }),
            Just(Form::Broken),
            Just(Form::Damaged),
        ]
    }

    fn owns() -> impl Strategy<Value = Option<Own>> {
        let private = Own::Private(Private {
            purpose: Purpose::Open,
            mount: "0123456789abcdef".to_owned(),
        });
        prop_oneof![
            4 => Just(None),
            1 => prop_oneof![
                Just(Own::VolumeRecord),
                Just(Own::Root),
                Just(Own::Lease),
                Just(Own::Registration),
                Just(Own::Intent),
                Just(private),
                Just(Own::Probe),
                Just(Own::Unknown),
            ]
            .prop_map(Some),
        ]
    }

    prop_compose! {
        fn facts()(
            own in owns(),
            form in forms(),
            size in prop_oneof![0_u64..100, 0_u64..1 << 45],
            has_path: bool,
            is_directory: bool,
        ) -> Facts {
            Facts { own, form, size, has_path, is_directory }
        }
    }

    /// What a step makes of an object.
    fn after(target: Target, step: &Step, facts: &Facts) -> Facts {
        let form = match (step, target) {
            (Step::Nothing | Step::Leave(_), _) => facts.form,
            (Step::Copy, _) => match facts.form {
                Form::Foreign { .. } => Form::Foreign { is_target: true },
                _ => Form::Plain { is_target: true },
            },
            (Step::SealAgain | Step::Stream, Target::Sealed { .. }) => Form::Sealed(Root::Target),
            (Step::SealAgain | Step::Stream, Target::Plain) => Form::Plain { is_target: true },
        };
        let facts = facts.clone();
        Facts { form, ..facts }
    }

    proptest! {
        #[test]
        fn what_was_done_needs_nothing_more(target in targets(), facts in facts()) {
            let step = plan(target, &facts);
            let again = plan(target, &after(target, &step, &facts));
            let is_left = matches!(step, Step::Leave(_));
            prop_assert_eq!(again, if is_left { step } else { Step::Nothing });
        }

        #[test]
        fn the_server_copies_what_stays_plain(facts in facts()) {
            let is_plain = matches!(facts.form, Form::Plain { .. } | Form::Foreign { .. });
            let step = plan(Target::Plain, &facts);
            prop_assert_eq!(
                matches!(step, Step::Copy | Step::Nothing),
                is_plain || matches!(
                    facts.own,
                    Some(Own::VolumeRecord | Own::Lease | Own::Registration | Own::Probe)
                )
            );
            let cost = Cost::of(&step, facts.size, true);
            if is_plain {
                prop_assert_eq!((cost.bytes_up, cost.bytes_down), (0, 0));
            }
        }

        #[test]
        fn content_keys_that_stay_move_no_content(facts in facts()) {
            let target = Target::Sealed { new_content_keys: false };
            if let Form::Sealed(_) = facts.form {
                let step = plan(target, &facts);
                prop_assert_ne!(&step, &Step::Stream);
                let cost = Cost::of(&step, facts.size, true);
                prop_assert_eq!(cost.bytes_up, 0);
                prop_assert!(cost.bytes_down <= FOOTER_STORED_BYTES);
            }
        }

        #[test]
        fn nothing_that_opens_with_no_key_is_touched(target in targets(), facts in facts()) {
            if matches!(facts.form, Form::Broken | Form::Damaged | Form::Sealed(Root::Other)) {
                let step = plan(target, &facts);
                prop_assert!(matches!(step, Step::Leave(_) | Step::Nothing));
            }
        }

        #[test]
        fn what_no_path_names_is_never_streamed(target in targets(), facts in facts()) {
            if !facts.has_path {
                prop_assert_ne!(plan(target, &facts), Step::Stream);
            }
        }

        #[test]
        fn costs_add_up_and_grow_with_the_object(facts in facts(), more in 0_u64..1 << 40) {
            for step in [Step::Nothing, Step::Copy, Step::SealAgain, Step::Stream] {
                let small = Cost::of(&step, facts.size, true);
                let large = Cost::of(&step, facts.size + more, true);
                prop_assert!(large.copy + large.put + large.get >= small.copy + small.put + small.get);
                let mut both = small;
                both.add(&large);
                prop_assert_eq!(both.bytes_copied, small.bytes_copied + large.bytes_copied);
            }
        }
    }
}
