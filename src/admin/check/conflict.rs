//! The names of conflict copies: `NAME.conflict-HOST-TIME`, with a number behind where two fell
//! into one second. Pure.

/// Whether a name is one that a mount gives to the version that did not get its own.
pub(super) fn is_copy(name: &str) -> bool {
    let Some((_, rest)) = name.rsplit_once(".conflict-") else {
        return false;
    };
    let mut from_end = rest.rsplitn(3, '-');
    let (last, before, more) = (from_end.next(), from_end.next(), from_end.next());
    let is_host = |host: Option<&str>| {
        host.is_some_and(|host| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !host.is_empty() && host.bytes().all(allowed)
        })
    };
    match (last, before) {
        (Some(time), Some(_)) if is_time(time) => is_host(
            rest.strip_suffix(time)
                .and_then(|rest| rest.strip_suffix('-')),
        ),
        (Some(number), Some(time)) if is_time(time) => {
            let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            is_number && is_host(more)
        }
        _ => false,
    }
}

/// `20251121T080000Z`
fn is_time(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((day, time)) = text.split_once('T') else {
        return false;
    };
    let Some(time) = time.strip_suffix('Z') else {
        return false;
    };
    day.len() == 8 && digits(day) && time.len() == 6 && digits(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_that_a_mount_gives_are_conflict_copies() {
        for name in [
            "a.txt.conflict-host_example-20251121T080000Z",
            "a.txt.conflict-h-20251121T080000Z-2",
            "a.conflict-my-host-20251121T080000Z-12",
            ".conflict-h-19700101T000000Z",
            "a.conflict-x-20251121T080000Z.conflict-h-20251121T080000Z",
        ] {
            assert!(is_copy(name), "{name}");
        }
        for name in [
            "a.txt",
            "a.conflict-",
            "a.conflict-20251121T080000Z",
            "a.conflict-h-2025T080000Z",
            "a.conflict-h-20251121T080000Z-",
            "a.conflict-h-20251121T080000Z-x",
            "a.conflict-h/x-20251121T080000Z",
            "a.conflict-h-20251121T080000Z.txt",
        ] {
            assert!(!is_copy(name), "{name}");
        }
    }
}
