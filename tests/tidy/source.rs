//! The repository's text files, and Rust code without its comments and literals.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What is read of the repository.
const PLACES: [&str; 11] = [
    "src",
    "tests",
    "docs",
    "scripts",
    "packaging",
    ".ci",
    "README.md",
    "CHANGELOG.md",
    "Cargo.toml",
    "deny.toml",
    "justfile",
];

/// Text files by their path from the repository's root.
pub struct Tree(BTreeMap<String, String>);

/// One Rust file.
pub struct Source<'t> {
    pub path: &'t str,
    /// The file with comments and the insides of literals blanked; lines stay where they are.
    pub code: String,
}

impl Tree {
    pub fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        for place in PLACES {
            read_into(&mut files, root, place);
        }
        Self(files)
    }

    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    #[track_caller]
    pub fn text(&self, path: &str) -> &str {
        self.0
            .get(path)
            .unwrap_or_else(|| panic!("{path} is missing from the repository"))
    }

    /// The Rust files below `folder`, which ends in `/`.
    pub fn rust(&self, folder: &str) -> impl Iterator<Item = Source<'_>> {
        self.files()
            .filter(move |(path, _)| path.starts_with(folder) && is_rust(path))
            .map(|(path, text)| Source::new(path, text))
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Tree {
    fn from(files: [(&str, &str); N]) -> Self {
        let owned = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
        Self(owned.into())
    }
}

impl<'t> Source<'t> {
    pub fn new(path: &'t str, text: &str) -> Self {
        Self {
            path,
            code: code_only(text),
        }
    }

    /// `path:line` of a byte of the code.
    pub fn place(&self, at: usize) -> String {
        let line = self.code[..at].matches('\n').count() + 1;
        format!("{}:{line}", self.path)
    }

    /// Where `word` stands as a whole word: an identifier character at either of its ends does
    /// not go on outside of it.
    pub fn find_word(&self, word: &str) -> Vec<usize> {
        let cut = |inside: Option<char>, outside: Option<char>| {
            !(inside.is_some_and(is_ident) && outside.is_some_and(is_ident))
        };
        self.code
            .match_indices(word)
            .map(|(at, _)| at)
            .filter(|&at| {
                let (before, after) = (&self.code[..at], &self.code[at + word.len()..]);
                cut(word.chars().next(), before.chars().next_back())
                    && cut(word.chars().next_back(), after.chars().next())
            })
            .collect()
    }
}

pub fn is_rust(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|ending| ending == "rs")
}

pub fn is_ident(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn read_into(files: &mut BTreeMap<String, String>, root: &Path, place: &str) {
    let path = root.join(place);
    if path.is_dir() {
        let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{place}: {error}"));
        for entry in entries {
            let name = entry
                .expect("a directory can be read to its end")
                .file_name();
            let name = name.to_str().expect("names in the repository are UTF-8");
            read_into(files, root, &format!("{place}/{name}"));
        }
    } else if let Ok(bytes) = fs::read(&path)
        && let Ok(text) = String::from_utf8(bytes)
    {
        files.insert(place.to_owned(), text);
    }
}

/// Replaces all but line ends in comments, strings and character literals by spaces.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after_ident = code.chars().next_back().is_some_and(is_ident);
        let blanked = comment_len(rest).or_else(|| literal_len(rest, after_ident));
        if let Some(len) = blanked {
            let (gone, left) = rest.split_at(len);
            code.extend(gone.chars().map(|c| if c == '\n' { c } else { ' ' }));
            rest = left;
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    code
}

fn comment_len(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(rest.len())
}

/// The length of a string or character literal at the start of `rest`. `after_ident` tells that
/// an `r` or `b` here is the end of a name.
fn literal_len(rest: &str, after_ident: bool) -> Option<usize> {
    let plain = rest.trim_start_matches(['b', 'c']);
    let prefixed = rest.len() - plain.len();
    if prefixed > 1 || (after_ident && !rest.starts_with(['"', '\''])) {
        return None;
    }
    if let Some(raw) = plain.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let body = raw[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = body.find(&close).map_or(body.len(), |at| at + close.len());
        return Some(prefixed + 2 + hashes + end);
    }
    if let Some(body) = plain.strip_prefix('"') {
        return Some(prefixed + 1 + quoted_len(body, '"'));
    }
    let body = plain.strip_prefix('\'')?;
    let mut chars = body.chars();
    let first = chars.next()?;
    if first == '\\' || chars.next() == Some('\'') {
        Some(prefixed + 1 + quoted_len(body, '\''))
    } else {
        None // A lifetime.
    }
}

/// To the end of `quote`, past escaped ones.
fn quoted_len(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_code_stays() {
        for (text, expected) in [
            ("a // b\nc", "a c"),
            ("a /* b /* c */ \n d */ e", "a e"),
            (r#"f("todo!() \" x") + 1"#, "f( ) + 1"),
            ("r#\"a \" b\"# c", "c"),
            ("br\"a\\\" c", "c"),
            ("'\"' b '\\'' 'x", "b 'x"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("let bar = c\"x\"", "let bar ="),
            ("a \"never ends", "a"),
        ] {
            let code = code_only(text);
            let words: Vec<_> = code.split_whitespace().collect();
            assert_eq!(words.join(" "), expected, "{text}");
            assert_eq!(code.len(), text.len(), "{text}");
            assert_eq!(code.lines().count(), text.lines().count(), "{text}");
        }
    }

    #[test]
    fn words_are_found_whole_with_their_line() {
        let source = Source::new("a.rs", "\nxtodo!() todo!()\n// todo!()");
        let found = source.find_word("todo!");
        assert_eq!(found.len(), 1);
        assert_eq!(source.place(found[0]), "a.rs:2");
    }
}
