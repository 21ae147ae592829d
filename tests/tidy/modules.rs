//! Dead files: one that no `mod` declares is never compiled.

use super::source::{Source, Tree};

pub fn violations(tree: &Tree) -> Vec<String> {
    tree.rust("src/")
        .filter(|source| !matches!(source.path, "src/lib.rs" | "src/main.rs"))
        .filter(|source| !is_declared(tree, source.path))
        .map(|source| format!("{}: no `mod` declares this file", source.path))
        .collect()
}

fn is_declared(tree: &Tree, path: &str) -> bool {
    let module = path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
    let (folder, name) = module.rsplit_once('/').unwrap_or(("", module));
    let parents = [
        format!("{folder}/mod.rs"),
        format!("{folder}.rs"),
        format!("{folder}/lib.rs"),
    ];
    tree.files()
        .filter(|(file, _)| parents.iter().any(|parent| parent == file))
        .any(|(file, text)| {
            let declaration = format!("mod {name};");
            !Source::new(file, text).find_word(&declaration).is_empty()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_nothing_declares_is_found() {
        let tree = Tree::from([
            ("src/lib.rs", "pub mod a; // mod b;"),
            ("src/a/mod.rs", "mod c;"),
            ("src/a/c.rs", "#[cfg(test)] mod tests;"),
            ("src/a/c/tests.rs", ""),
            ("src/a/d.rs", ""),
            ("src/b.rs", ""),
        ]);
        assert_eq!(
            violations(&tree),
            [
                "src/a/d.rs: no `mod` declares this file",
                "src/b.rs: no `mod` declares this file"
            ]
        );
    }
}
