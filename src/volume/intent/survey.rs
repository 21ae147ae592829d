//! The directory renames that are not finished, told and not touched.

use crate::volume::{Result, Volume};

/// A rename that its intent tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedRename {
    /// The intent's name below the reserved prefix.
    pub name: String,
    /// `None` where the intent cannot be read; why.
    pub told: std::result::Result<ToldRename, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldRename {
    pub from: String,
    pub to: String,
    /// The mount that makes it, for a person.
    pub by: String,
    /// That mount is of this machine and has ended, however.
    pub is_dead: bool,
}

impl Volume {
    /// Every rename that a mount has begun and not ended.
    ///
    /// # Errors
    /// When the intents cannot be listed.
    pub async fn unfinished_renames(&self) -> Result<Vec<UnfinishedRename>> {
        let mut unfinished = Vec::new();
        for name in self.intents().await? {
            let told = match self.read_intent(&name).await {
                Ok(None) => continue,
                Ok(Some(found)) => Ok(ToldRename {
                    is_dead: self.journal.is_dead(&found.record.owner),
                    by: found.record.owner.to_string(),
                    from: found.record.from,
                    to: found.record.to,
                }),
                Err(error) => Err(error.to_string()),
            };
            unfinished.push(UnfinishedRename { name, told });
        }
        Ok(unfinished)
    }
}
