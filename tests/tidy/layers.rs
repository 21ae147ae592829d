//! The layer table: a module imports only from lower ranks, never from its own.

use super::source::{Source, Tree, is_ident};

/// Modules and their ranks. `main` is the binary.
pub const RANKS: [(&str, u32); 15] = [
    ("base", 0),
    ("aws", 1),
    ("crypto", 1),
    ("cache", 1),
    ("telemetry", 1),
    ("layout", 2),
    ("keys", 2),
    ("store", 2),
    ("volume", 3),
    ("write", 4),
    ("fs", 5),
    ("mount", 6),
    ("admin", 6),
    ("cli", 7),
    ("main", 8),
];

/// Words that only some modules may say.
const ONLY_IN: [(&str, &[&str]); 9] = [
    ("aws_sdk_s3", &["store"]),
    ("aws_sdk_kms", &["keys"]),
    ("fuser", &["mount"]),
    ("anyhow", &["cli"]),
    ("clap", &["cli"]),
    ("print!", &["cli"]),
    ("println!", &["cli"]),
    ("eprint!", &["cli"]),
    ("eprintln!", &["cli"]),
];

pub fn violations(tree: &Tree) -> Vec<String> {
    tree.rust("src/")
        .flat_map(|source| {
            let mut wrong = import_violations(&source);
            wrong.extend(word_violations(&source));
            wrong
        })
        .collect()
}

fn import_violations(source: &Source<'_>) -> Vec<String> {
    let own = module_of(source.path);
    if own == "lib" {
        return Vec::new();
    }
    let Some(own_rank) = rank(own) else {
        return vec![format!(
            "{}: the module `{own}` is not in the table of layers",
            source.path
        )];
    };
    let mut wrong = Vec::new();
    for (at, imported) in imports(source) {
        let place = source.place(at);
        match rank(&imported) {
            _ if imported == own => {}
            None => wrong.push(format!(
                "{place}: `{imported}` is not in the table of layers"
            )),
            Some(rank) if rank >= own_rank => wrong.push(format!(
                "{place}: `{own}` (rank {own_rank}) may not import `{imported}` (rank {rank})"
            )),
            Some(_) => {}
        }
    }
    wrong
}

fn word_violations(source: &Source<'_>) -> Vec<String> {
    let own = module_of(source.path);
    let mut wrong = Vec::new();
    for (word, modules) in ONLY_IN {
        if modules.contains(&own) {
            continue;
        }
        let names_the_crate = |at: &usize| {
            let after = source.code[at + word.len()..].trim_start();
            word.ends_with('!') || after.starts_with("::") || after.starts_with(';')
        };
        for at in source.find_word(word).into_iter().filter(names_the_crate) {
            let place = source.place(at);
            let allowed = modules.join(", ");
            wrong.push(format!("{place}: only {allowed} may use `{word}`"));
        }
    }
    wrong
}

fn rank(module: &str) -> Option<u32> {
    RANKS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|&(_, rank)| rank)
}

/// The top module that a file of `src/` belongs to.
fn module_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let first = inside.split('/').next().unwrap_or(inside);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The top modules that a file names, by `crate::`, by enough `super::`, or by `cloakfs::` in
/// the binary; with their places.
fn imports(source: &Source<'_>) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for root in ["crate", "cloakfs"] {
        for at in source.find_word(root) {
            if let Some(rest) = source.code[at + root.len()..]
                .trim_start()
                .strip_prefix("::")
            {
                found.extend(heads(rest).into_iter().map(|head| (at, head)));
            }
        }
    }
    for at in source.find_word("super") {
        let before = source.code[..at].trim_end();
        if before.ends_with("::") {
            continue;
        }
        let mut rest = &source.code[at..];
        let mut ups = 0;
        while let Some(left) = rest.trim_start().strip_prefix("super") {
            let Some(left) = left.trim_start().strip_prefix("::") else {
                break;
            };
            ups += 1;
            rest = left;
        }
        if ups > 0 && ups == depth(source, at) {
            found.extend(heads(rest).into_iter().map(|head| (at, head)));
        }
    }
    found.sort();
    found
}

/// The first names of a use tree: one, or those of a group.
fn heads(tree: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|&c| is_ident(c))
            .collect()
    };
    let Some(group) = tree.trim_start().strip_prefix('{') else {
        return vec![name(tree)];
    };
    let mut heads = vec![name(group)];
    let mut open = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            ',' if open == 1 => heads.push(name(&group[at + 1..])),
            _ => {}
        }
        if open == 0 {
            break;
        }
    }
    heads.retain(|head| !head.is_empty() && head != "self");
    heads
}

/// How many modules lie between the crate's root and a place in a file, the file's and those in
/// it.
fn depth(source: &Source<'_>, at: usize) -> usize {
    let inside = source.path.strip_prefix("src/").unwrap_or(source.path);
    let folders_and_file = inside.split('/').count();
    let of_file = folders_and_file - usize::from(inside.ends_with("/mod.rs"));
    let mut blocks: Vec<bool> = Vec::new();
    for (i, c) in source.code[..at].char_indices() {
        match c {
            '{' => blocks.push(opens_module(&source.code[..i])),
            '}' => {
                blocks.pop();
            }
            _ => {}
        }
    }
    of_file + blocks.into_iter().filter(|&module| module).count()
}

fn opens_module(before: &str) -> bool {
    let before = before.trim_end().trim_end_matches(is_ident);
    let keyword = before.trim_end();
    keyword.len() < before.len()
        && keyword.ends_with("mod")
        && !keyword.trim_end_matches("mod").ends_with(is_ident)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(path: &str, text: &str) -> Vec<String> {
        violations(&Tree::from([(path, text)]))
    }

    #[test]
    fn imports_of_higher_ranks_and_of_the_same_rank_are_found() {
        assert_eq!(
            wrong("src/cache/a.rs", "\nuse crate::store::Store;"),
            ["src/cache/a.rs:2: `cache` (rank 1) may not import `store` (rank 2)"]
        );
        assert_eq!(
            wrong("src/layout/a.rs", "fn f() { crate::store::f() }"),
            ["src/layout/a.rs:1: `layout` (rank 2) may not import `store` (rank 2)"]
        );
        assert_eq!(
            wrong(
                "src/volume/mod.rs",
                "use crate::{\n base::{x, y},\n fs::Ino,\n cli,\n};"
            )
            .len(),
            2
        );
        assert_eq!(wrong("src/base/a.rs", "use super::super::fs;").len(), 1);
        assert_eq!(
            wrong("src/base/mod.rs", "mod t { use super::super::fs; }").len(),
            1
        );
        assert_eq!(wrong("src/base/mod.rs", "use super::fs;").len(), 1);
        assert_eq!(wrong("src/fs/a.rs", "use crate::elsewhere;").len(), 1);
        assert_eq!(wrong("src/elsewhere.rs", "").len(), 1);
    }

    #[test]
    fn imports_of_lower_ranks_and_of_the_own_module_pass() {
        for (path, text) in [
            (
                "src/fs/a.rs",
                "use crate::{base::x, cache, fs::b}; use super::super::write;",
            ),
            ("src/fs/a/tests.rs", "use super::super::b; use super::*;"),
            ("src/fs/a.rs", "mod tests { use super::super::b; }"),
            (
                "src/base/a.rs",
                "// crate::fs\n/// [`crate::fs`]\nlet a = \"crate::fs\";",
            ),
            ("src/main.rs", "fn main() { cloakfs::cli::main() }"),
            ("src/lib.rs", "pub mod base;"),
        ] {
            assert_eq!(wrong(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn words_of_one_module_are_found_in_others() {
        assert_eq!(
            wrong("src/fs/a.rs", "use fuser::FileAttr;"),
            ["src/fs/a.rs:1: only mount may use `fuser`"]
        );
        assert_eq!(
            wrong("src/volume/a.rs", "let s: aws_sdk_s3::Client;").len(),
            1
        );
        assert_eq!(
            wrong("src/mount/a.rs", "fn f() { println!(); eprint!() }").len(),
            2
        );
        assert_eq!(
            wrong("src/mount/a.rs", "use fuser::X; let fuser = 1;").len(),
            0
        );
        assert_eq!(wrong("src/cli/a.rs", "println!()").len(), 0);
    }
}
