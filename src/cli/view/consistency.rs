//! Who else may change what is mounted, in one line.

use crate::mount::control::protocol::Consistency;

/// `None` where the daemon does not tell.
pub(super) fn words(consistency: &Consistency) -> Option<String> {
    let mode = &consistency.mode;
    if mode.is_empty() {
        return None;
    }
    if let Some(why) = &consistency.lost {
        return Some(format!("{mode}: {why}"));
    }
    let Some(secs) = consistency.renewed_secs else {
        return Some(mode.clone());
    };
    let what = match mode.as_str() {
        "exclusive" => "lease",
        _ => "registration",
    };
    let term = consistency.term_secs;
    let term = term.map_or_else(String::new, |term| format!(" of {term} s"));
    Some(format!("{mode}, its {what}{term} renewed {secs} s ago"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_is_told_as_far_as_it_is_known() {
        let mut consistency = Consistency::default();
        assert_eq!(words(&consistency), None);
        consistency.mode = "shared".to_owned();
        assert_eq!(words(&consistency).unwrap(), "shared");
        consistency.renewed_secs = Some(7);
        consistency.term_secs = Some(180);
        assert_eq!(
            words(&consistency).unwrap(),
            "shared, its registration of 180 s renewed 7 s ago"
        );
        consistency.mode = "exclusive".to_owned();
        assert_eq!(
            words(&consistency).unwrap(),
            "exclusive, its lease of 180 s renewed 7 s ago"
        );
        consistency.lost = Some("somebody has it".to_owned());
        assert_eq!(words(&consistency).unwrap(), "exclusive: somebody has it");
    }
}
