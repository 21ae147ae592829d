//! Where an object's file is: keys to relative paths and back. Pure.
//!
//! A key is cut at its slashes; all components but the last are directories, and the last one
//! is the object's file, whose name ends in `%`. So an object `a` (the file `a%`) fits beside
//! `a/b` (the file `b%` in the directory `a`), and the marker `a/` is the file `%` in `a`. What
//! a local name cannot hold is escaped:
//!
//! | in the key | on disk |
//! |---|---|
//! | `%` | `%25` |
//! | NUL | `%00` |
//! | an empty component with something below it, as in `a//b` | the directory `%-` |
//! | the directories `.` and `..` | `%2E` and `%2E%2E` |
//! | a component that is longer than a name | directories ending in `%+`, each followed by the rest |
//!
//! An escape is a `%` and two of `[0-9A-E]`, so names that end in a bare `%`, `%-` or `%+`
//! are told apart from all others. The mapping is injective, and no object's file is on
//! another's way: both are property-tested. Names are UTF-8 when the key is, and at most 255 bytes.

/// Longest escaped component that is not cut: with its `%` it is a name of 255 bytes.
const WHOLE_MAX: usize = 254;
/// Longest piece of a component that is cut: with its `%+` it is a name of 255 bytes.
const PIECE_MAX: usize = 253;

/// The path of an object's file, relative to the store's directory.
pub(super) fn file_path(key: &str) -> String {
    let (above, last) = match key.rfind('/') {
        Some(at) => (&key[..=at], &key[at + 1..]),
        None => ("", key),
    };
    let mut path = directory_path(above);
    let rest = push_pieces(&mut path, last);
    path.push_str(&rest);
    path.push('%');
    path
}

/// The path of the directory that holds what is below `prefix`, which is empty or ends in
/// `/`; the path is empty or ends in `/` too.
pub(super) fn directory_path(prefix: &str) -> String {
    let mut path = String::with_capacity(prefix.len());
    for component in prefix.split_terminator('/') {
        let rest = push_pieces(&mut path, component);
        match rest.as_str() {
            "" => path.push_str("%-"),
            "." => path.push_str("%2E"),
            ".." => path.push_str("%2E%2E"),
            rest => path.push_str(rest),
        }
        path.push('/');
    }
    path
}

/// What a name in a directory of the store is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// The file of the object whose last component is, or ends with, this.
    File(String),
    /// The directory of the component that is, or ends with, this.
    Directory(String),
    /// The directory in which a component that begins with this goes on.
    Piece(String),
}

/// Reads a name. One that the store could not have made is `None`; to be sure, compare the
/// path of the key that comes out.
pub(super) fn parse(name: &str) -> Option<Name> {
    if name == "%-" {
        Some(Name::Directory(String::new()))
    } else if let Some(piece) = name.strip_suffix("%+") {
        unescape(piece).map(Name::Piece)
    } else if let Some(file) = name.strip_suffix('%') {
        unescape(file).map(Name::File)
    } else {
        unescape(name).map(Name::Directory)
    }
}

/// Adds the directories of a component that must be cut; the escaped rest is a name, perhaps
/// with one byte more.
fn push_pieces(path: &mut String, component: &str) -> String {
    let escaped = escape(component);
    let mut rest = escaped.as_str();
    while rest.len() > WHOLE_MAX {
        let (piece, behind) = rest.split_at(cut(rest));
        path.push_str(piece);
        path.push_str("%+/");
        rest = behind;
    }
    rest.to_owned()
}

/// The last place at or before [`PIECE_MAX`] that is neither inside a character nor inside an
/// escape.
fn cut(escaped: &str) -> usize {
    let mut at = PIECE_MAX;
    while !escaped.is_char_boundary(at) {
        at -= 1;
    }
    match escaped.as_bytes()[..at] {
        [.., b'%'] => at - 1,
        [.., b'%', _] => at - 2,
        _ => at,
    }
}

fn escape(component: &str) -> String {
    let mut escaped = String::with_capacity(component.len() + 1);
    for c in component.chars() {
        match c {
            '%' => escaped.push_str("%25"),
            '\0' => escaped.push_str("%00"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn unescape(name: &str) -> Option<String> {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        text.push(match rest.get(at + 1..at + 3)? {
            "25" => '%',
            "00" => '\0',
            "2E" => '.',
            _ => return None,
        });
        rest = &rest[at + 3..];
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a file's path as the walk through the store does.
    fn key_of(path: &str) -> Option<String> {
        let mut key = String::new();
        for name in path.split('/') {
            match parse(name)? {
                Name::File(text) | Name::Piece(text) => key.push_str(&text),
                Name::Directory(text) => {
                    key.push_str(&text);
                    key.push('/');
                }
            }
        }
        Some(key)
    }

    fn keys() -> impl Strategy<Value = String> {
        let odd = "[a./%+\\-0-9EF\u{0}ä]{1,12}";
        let long = ("[a.%ä]{1,6}", 40usize..300, "[a./%ä]{0,4}");
        prop_oneof![
            odd,
            long.prop_map(|(unit, times, tail)| unit.repeat(times) + &tail)
        ]
    }

    proptest! {
        #[test]
        fn every_key_has_a_path_of_valid_names_and_comes_back(key in keys()) {
            let path = file_path(&key);
            for name in path.split('/') {
                prop_assert!((1..=255).contains(&name.len()), "{name:?}");
                prop_assert!(name != "." && name != ".." && !name.contains('\0'), "{name:?}");
            }
            prop_assert_eq!(key_of(&path), Some(key));
        }

        #[test]
        fn two_keys_never_meet(a in keys(), b in keys()) {
            prop_assume!(a != b);
            let (a, b) = (file_path(&a), file_path(&b));
            prop_assert_ne!(&a, &b);
            prop_assert!(!b.starts_with(&(a + "/")), "a file is on another's way");
        }

        #[test]
        fn what_is_below_a_prefix_is_in_its_directory(prefix in keys(), rest in keys()) {
            let prefix = prefix + "/";
            prop_assert!(file_path(&(prefix.clone() + &rest)).starts_with(&directory_path(&prefix)));
        }

        #[test]
        fn any_name_is_read_or_refused(name in "[a%.+\\-025E]{0,8}") {
            let _no_panic = parse(&name);
        }
    }

    #[test]
    fn paths_look_like_their_keys() {
        let long = "k".repeat(300);
        for (key, path) in [
            ("docs/read me.txt", "docs/read me.txt%".to_owned()),
            ("a", "a%".to_owned()),
            ("a/b", "a/b%".to_owned()),
            ("a/", "a/%".to_owned()),
            ("a//b", "a/%-/b%".to_owned()),
            ("../.", "%2E%2E/.%".to_owned()),
            ("100%", "100%25%".to_owned()),
            (&long, format!("{}%+/{}%", "k".repeat(253), "k".repeat(47))),
        ] {
            assert_eq!(file_path(key), path);
        }
    }
}
