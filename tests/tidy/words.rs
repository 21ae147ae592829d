//! Words that must not be left behind: unfinished work, tests that do not run, waiting by
//! guess, warnings switched off.

use super::source::Tree;

const FORBIDDEN: [(&str, &str); 7] = [
    ("todo!", "finish it or leave it out"),
    ("unimplemented!", "finish it or leave it out"),
    ("dbg!", "take it out"),
    (
        "#[ignore",
        "a test that does not run proves nothing: make it run or delete it",
    ),
    ("thread::sleep", "wait for a condition with a deadline"),
    ("allow(dead_code)", "delete what nothing uses"),
    ("allow(unused", "delete what nothing uses"),
];

/// File, word and reason of the uses that are right.
pub const JUSTIFIED: &[(&str, &str, &str)] = &[(
    "tests/support/wait.rs",
    "thread::sleep",
    "polls a condition with a deadline",
)];

pub fn violations(tree: &Tree, justified: &[(&str, &str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut needed = Vec::new();
    for source in tree.rust("src/").chain(tree.rust("tests/")) {
        for (word, advice) in FORBIDDEN {
            for at in source.find_word(word) {
                let entry = justified
                    .iter()
                    .position(|&(path, justified, _)| path == source.path && justified == word);
                match entry {
                    Some(entry) => needed.push(entry),
                    None => wrong.push(format!("{}: `{word}`: {advice}", source.place(at))),
                }
            }
        }
    }
    for (entry, (path, word, reason)) in justified.iter().enumerate() {
        if !needed.contains(&entry) || reason.is_empty() {
            wrong.push(format!(
                "{path}: `{word}`: its justification is empty or not needed"
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_words_are_found_in_code_only() {
        let tree = Tree::from([
            ("src/a.rs", "fn a() {\n    todo!()\n}\n// dbg!(1)"),
            (
                "tests/b.rs",
                "#[ignore = \"slow\"]\nfn b() { std::thread::sleep(x) }",
            ),
            ("tests/c.rs", "let text = \"unimplemented!()\"; my_dbg!();"),
        ]);
        let polls = (
            "tests/b.rs",
            "thread::sleep",
            "polls a server with a deadline",
        );
        assert_eq!(
            violations(&tree, &[polls]),
            [
                "src/a.rs:2: `todo!`: finish it or leave it out",
                "tests/b.rs:1: `#[ignore`: a test that does not run proves nothing: make it run or delete it",
            ]
        );
        assert_eq!(violations(&tree, &[]).len(), 3);
    }

    #[test]
    fn a_justification_without_need_or_reason_is_found() {
        let tree = Tree::from([("src/a.rs", "dbg!(1)")]);
        assert_eq!(violations(&tree, &[("src/a.rs", "dbg!", "")]).len(), 1);
        let stale = ("src/b.rs", "dbg!", "gone");
        assert_eq!(
            violations(&tree, &[("src/a.rs", "dbg!", "shown"), stale]).len(),
            1
        );
    }
}
