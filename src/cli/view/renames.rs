//! Directory renames under way, in lines for people. Pure.

use serde::Deserialize;

use crate::base::terminal::printable;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rename {
    from: String,
    to: String,
    objects: u64,
    copied: u64,
    deleted: u64,
}

impl Rename {
    /// From where to where, and how far it is.
    pub(super) fn words(&self) -> String {
        let (from, to) = (printable(&self.from), printable(&self.to));
        let Self {
            objects,
            copied,
            deleted,
            ..
        } = self;
        format!("{from} to {to}: {copied} of {objects} copied, {deleted} deleted at the old name")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_sees_how_far_it_is() {
        let rename = Rename {
            from: "a\u{1b}".to_owned(),
            to: "b".to_owned(),
            objects: 10_001,
            copied: 10_001,
            deleted: 17,
        };
        assert_eq!(
            rename.words(),
            "a\\u{1b} to b: 10001 of 10001 copied, 17 deleted at the old name"
        );
    }
}
