//! Files are short. The list of those that are not only ever shrinks.

use super::source::{Tree, is_rust};

const LINES_MAX: usize = 400;

/// How much shorter than allowed a file may be before the number has to follow.
const SLACK_LINES: usize = 40;

/// Files that may be longer, and how long. Nothing is added here: new files are split.
pub const LONG_FILES: &[(&str, usize)] = &[
    ("src/mount/adapter/mod.rs", 687),
    ("tests/e2e/files.rs", 440),
];

pub fn violations(tree: &Tree, long_files: &[(&str, usize)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let rust =
        |path: &str| is_rust(path) && (path.starts_with("src/") || path.starts_with("tests/"));
    for (path, text) in tree.files().filter(|(path, _)| rust(path)) {
        let lines = text.lines().count();
        let listed = long_files.iter().find(|(long, _)| *long == path);
        match listed {
            None if lines > LINES_MAX => wrong.push(format!(
                "{path}: {lines} lines, more than {LINES_MAX}: split it by what it does"
            )),
            Some((_, allowed)) if lines > *allowed => wrong.push(format!(
                "{path}: {lines} lines, and the list of long files allows {allowed}: split it"
            )),
            Some((_, allowed)) if lines + SLACK_LINES < *allowed => wrong.push(format!(
                "{path}: {lines} lines, and the list of long files allows {allowed}: lower it"
            )),
            _ => {}
        }
    }
    for (long, _) in long_files {
        let lines = tree
            .files()
            .find(|(path, _)| path == long)
            .map(|(_, text)| text.lines().count());
        if lines.is_none_or(|lines| lines <= LINES_MAX) {
            wrong.push(format!("{long}: take it off the list of long files"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_and_stale_allowances_are_found() {
        let (short, long) = ("\n".repeat(400), "\n".repeat(401));
        let tree = Tree::from([
            ("src/a.rs", &*short),
            ("src/b.rs", &long),
            ("tests/c/d.rs", &long),
            ("docs/e.md", &long),
        ]);
        assert_eq!(
            violations(&tree, &[("tests/c/d.rs", 401)]),
            ["src/b.rs: 401 lines, more than 400: split it by what it does"]
        );
        assert_eq!(
            violations(&tree, &[("src/b.rs", 399), ("tests/c/d.rs", 442)]),
            [
                "src/b.rs: 401 lines, and the list of long files allows 399: split it",
                "tests/c/d.rs: 401 lines, and the list of long files allows 442: lower it",
            ]
        );
        let stale = [
            ("src/a.rs", 410),
            ("src/b.rs", 401),
            ("tests/c/d.rs", 401),
            ("src/gone.rs", 500),
        ];
        assert_eq!(
            violations(&tree, &stale),
            [
                "src/a.rs: take it off the list of long files",
                "src/gone.rs: take it off the list of long files",
            ]
        );
    }
}
