//! The `-o` list of mount(8) and fstab(5). Pure.
//!
//! A backslash takes the next character as it is, so that a value may hold a comma.

use clap::{ArgAction, CommandFactory};

use super::arguments::Arguments;
use crate::mount::flags::MountFlags;

/// Mounting hides what is in the directory, and that is meant.
pub(super) const NONEMPTY: &str = "nonempty";

/// For mount(8), systemd and people; or what is always so here; or flags of mount(2) that the
/// kernel does not act on for a FUSE filesystem, which never gets a new access time by reading.
const FOR_OTHERS: [&str; 29] = [
    "defaults",
    "auto",
    "noauto",
    "nofail",
    "user",
    "nouser",
    "users",
    "nousers",
    "owner",
    "noowner",
    "group",
    "nogroup",
    "_netdev",
    "_rnetdev",
    "default_permissions",
    "comment",
    "silent",
    "loud",
    "atime",
    "noatime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    "diratime",
    "nodiratime",
    "dirsync",
];
/// Comments and extensions of others, by the same convention.
const FOR_OTHERS_PREFIXES: [&str; 2] = ["x-", "X-"];
/// mount(8)'s word for changing a mount that is there.
const REMOUNT: &str = "remount";

/// What to do about options that nobody here knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    Refused,
    /// As mount(8)'s `-s` wants it, for tables that several systems share.
    Ignored,
}

/// What a list says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OptionList {
    /// `--name` or `--name=value`.
    pub long_options: Vec<String>,
    /// Flags of mount(2), and [`NONEMPTY`], in the order given.
    pub words: Vec<String>,
    /// Names that are not known.
    pub ignored: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OptionListError {
    #[error("-o does not know \"{name}\"; it knows: {known}")]
    Unknown { name: String, known: String },
    #[error("-o {name} needs a value, as in -o {name}=...")]
    NeedsValue { name: String },
    #[error("-o {name} takes no value; write only -o {name}")]
    NeedsNoValue { name: String },
    #[error(
        "-o {REMOUNT} is not possible: the options of a mount are fixed while it is there; unmount it and mount it again"
    )]
    Remount,
}

/// Reads lists in the order they were given.
pub(super) fn read(lists: &[String], unknown: Unknown) -> Result<OptionList, OptionListError> {
    let long_options = long_options();
    let mut result = OptionList::default();
    for item in lists.iter().flat_map(|list| split(list)) {
        let (name, value) = match item.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (item.as_str(), None),
        };
        let hyphenated = name.replace('_', "-");
        if is_for_others(name) {
            continue;
        }
        let is_word = name == NONEMPTY || MountFlags::names().any(|flag| flag == name);
        let takes_value = long_options
            .iter()
            .find(|(known, _)| *known == hyphenated)
            .map(|(_, takes_value)| *takes_value);
        match (is_word, takes_value, value) {
            (true, _, None) => result.words.push(name.to_owned()),
            (false, Some(true), Some(value)) => {
                result.long_options.push(format!("--{hyphenated}={value}"));
            }
            (false, Some(false), None) => result.long_options.push(format!("--{hyphenated}")),
            (false, Some(true), None) => {
                return Err(OptionListError::NeedsValue {
                    name: name.to_owned(),
                });
            }
            (true, _, Some(_)) | (false, Some(false), Some(_)) => {
                return Err(OptionListError::NeedsNoValue {
                    name: name.to_owned(),
                });
            }
            (false, None, _) if name == REMOUNT => return Err(OptionListError::Remount),
            (false, None, _) if unknown == Unknown::Ignored => {
                result.ignored.push(name.to_owned());
            }
            (false, None, _) => {
                return Err(OptionListError::Unknown {
                    name: name.to_owned(),
                    known: known(&long_options),
                });
            }
        }
    }
    Ok(result)
}

fn is_for_others(name: &str) -> bool {
    FOR_OTHERS.contains(&name)
        || FOR_OTHERS_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

fn known(long_options: &[(String, bool)]) -> String {
    let words = std::iter::once(NONEMPTY).chain(MountFlags::names());
    words
        .map(str::to_owned)
        .chain(long_options.iter().map(|(name, takes_value)| {
            if *takes_value {
                format!("{name}=...")
            } else {
                name.clone()
            }
        }))
        .chain(FOR_OTHERS.map(str::to_owned))
        .chain(["x-...".to_owned()])
        .collect::<Vec<_>>()
        .join(", ")
}

/// Names of the long options of `mount`, and whether each takes a value.
fn long_options() -> Vec<(String, bool)> {
    let command = Arguments::command();
    let mount = command.find_subcommand("mount");
    mount
        .into_iter()
        .flat_map(clap::Command::get_arguments)
        .filter(|argument| !matches!(argument.get_action(), ArgAction::Help))
        .flat_map(|argument| {
            let takes_value = argument.get_action().takes_values();
            let names = argument.get_long_and_visible_aliases().unwrap_or_default();
            names
                .into_iter()
                .map(move |name| (name.to_owned(), takes_value))
        })
        .collect()
}

fn split(list: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut characters = list.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            ',' => {
                items.push(String::new());
                continue;
            }
            '\\' => characters.next().unwrap_or('\\'),
            other => other,
        };
        if let Some(item) = items.last_mut() {
            item.push(literal);
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_one(list: &str) -> Result<OptionList, OptionListError> {
        read(&[list.to_owned()], Unknown::Refused)
    }

    #[test]
    fn flags_options_and_what_is_for_others_are_told_apart() {
        let list = read_one("defaults,noatime,relatime,dirsync,_netdev,x-systemd.automount,x-gvfs-name=A,ro,,nonempty,allow-other,ca_bundle=/a\\,b")
            .unwrap();
        assert_eq!(list.words, ["ro", "nonempty"]);
        assert_eq!(list.long_options, ["--allow-other", "--ca-bundle=/a,b"]);
    }

    #[test]
    fn what_is_unknown_is_refused_with_what_is_known() {
        let error = read_one("ro,fast").unwrap_err().to_string();
        assert!(
            error.starts_with("-o does not know \"fast\"; it knows: nonempty, ro, rw, "),
            "{error}"
        );
        assert!(error.contains(" timeout=..., "), "{error}");
        assert!(!error.contains(" help"), "{error}");
    }

    #[test]
    fn a_sloppy_caller_has_what_is_unknown_ignored_and_named() {
        let list = read(&["fast,ro,big=1".to_owned()], Unknown::Ignored).unwrap();
        assert_eq!(list.ignored, ["fast", "big"]);
        assert_eq!(list.words, ["ro"]);
        for unknown in [Unknown::Ignored, Unknown::Refused] {
            assert_eq!(
                read(&["remount,ro".to_owned()], unknown)
                    .unwrap_err()
                    .to_string(),
                "-o remount is not possible: the options of a mount are fixed while it is there; unmount it and mount it again"
            );
        }
    }

    #[test]
    fn an_option_may_be_given_again_where_it_adds_up() {
        let list = read_one("kms_context=a=b,kms_context=c=d\\,e,bucket_key").unwrap();
        assert_eq!(
            list.long_options,
            ["--kms-context=a=b", "--kms-context=c=d,e", "--bucket-key"]
        );
    }

    #[test]
    fn values_are_where_they_belong() {
        assert_eq!(
            read_one("timeout").unwrap_err().to_string(),
            "-o timeout needs a value, as in -o timeout=..."
        );
        assert_eq!(
            read_one("ro=yes").unwrap_err().to_string(),
            "-o ro takes no value; write only -o ro"
        );
    }

    proptest! {
        #[test]
        fn any_value_survives_escaping(value in "[ -~]{1,20}") {
            let escaped = value.replace('\\', "\\\\").replace(',', "\\,");
            let list = read_one(&format!("profile={escaped},ro")).unwrap();
            prop_assert_eq!(list.long_options, [format!("--profile={value}")]);
            prop_assert_eq!(list.words, ["ro"]);
        }
    }
}
