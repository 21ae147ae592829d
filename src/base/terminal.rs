//! Text of others on a terminal.

/// The text without what a terminal would obey: names come from the bucket, and the words of a
/// daemon from whoever mounted.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escaped = character.is_control().then(|| character.escape_default());
            let plain = escaped.is_none().then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_the_rest_is_as_it_was() {
        assert_eq!(
            printable("\u{1b}[2J\u{9b}2J a\n\u{7f}ä \"\\\""),
            "\\u{1b}[2J\\u{9b}2J a\\n\\u{7f}ä \"\\\""
        );
    }
}
