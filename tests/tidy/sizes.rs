//! Files are short. The list of those that are not only ever shrinks.

use super::source::{Tree, is_rust};

const LINES_MAX: usize = 400;

/// Files that may be longer, and how long: lower the number when one gets shorter.
pub const LONG_FILES: &[(&str, usize)] = &[];

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
            Some((_, allowed)) if lines < *allowed => wrong.push(format!(
                "{path}: {lines} lines, and the list of long files allows {allowed}: lower it"
            )),
            _ => {}
        }
    }
    for (long, allowed) in long_files {
        if *allowed <= LINES_MAX || tree.files().all(|(path, _)| path != *long) {
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
        let grown = violations(&tree, &[("src/b.rs", 401), ("tests/c/d.rs", 402)]);
        assert_eq!(
            grown,
            ["tests/c/d.rs: 401 lines, and the list of long files allows 402: lower it"]
        );
        let stale = [
            ("src/b.rs", 401),
            ("tests/c/d.rs", 401),
            ("src/gone.rs", 500),
        ];
        assert_eq!(
            violations(&tree, &stale),
            ["src/gone.rs: take it off the list of long files"]
        );
    }
}
