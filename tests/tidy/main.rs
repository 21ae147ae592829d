//! Keeps the house: layers, file sizes, words that must not be left behind, and documents that
//! keep up with the code. Reads the sources as text; each rule is a function from text to
//! sentences about what is wrong, and is itself tested on made-up sources.

mod docs;
mod layers;
mod modules;
mod sizes;
mod source;
mod words;

use source::Tree;

fn tree() -> Tree {
    Tree::read(env!("CARGO_MANIFEST_DIR").as_ref())
}

#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_module_imports_only_from_lower_ranks() {
    assert_none(&layers::violations(&tree()));
}

#[test]
fn every_file_is_part_of_the_crate() {
    assert_none(&modules::violations(&tree()));
}

#[test]
fn files_are_short() {
    assert_none(&sizes::violations(&tree(), sizes::LONG_FILES));
}

#[test]
fn nothing_is_left_unfinished_skipped_or_asleep() {
    assert_none(&words::violations(&tree(), words::JUSTIFIED));
}

#[test]
fn the_architecture_page_has_the_layers_and_the_dependencies() {
    let tree = tree();
    let page = tree.text("docs/ARCHITECTURE.md");
    assert_none(&docs::missing_layers(page));
    assert_none(&docs::dependency_violations(tree.text("Cargo.toml"), page));
}

#[test]
fn the_security_page_names_tests_that_are_there() {
    let tree = tree();
    assert_none(&docs::missing_tests(tree.text("docs/SECURITY.md"), &tree));
}

#[test]
fn nothing_names_one_machine() {
    assert_none(&docs::machine_paths(&tree()));
}
