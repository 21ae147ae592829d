//! Text of others on a terminal.

/// The text without what a terminal would obey: names come from the bucket, and the words of a
/// daemon from whoever mounted.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let is_obeyed = character.is_control() || turns(character);
            let escaped = is_obeyed.then(|| character.escape_default());
            let plain = escaped.is_none().then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// Whether it ends a line, or changes the direction of what follows: a name that has one can make
/// the rest of its row look like something else (Unicode Technical Report 36, section 2.5).
const fn turns(character: char) -> bool {
    matches!(character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
        assert_eq!(
            printable("a\u{202e}txt.exe\u{2066}\u{2028}\u{5d0}"),
            "a\\u{202e}txt.exe\\u{2066}\\u{2028}\u{5d0}"
        );
    }
}
