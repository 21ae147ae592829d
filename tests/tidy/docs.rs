//! Documents that keep up with the code and name no machine.

use super::layers::RANKS;
use super::source::Tree;

/// A reason shorter than this says nothing.
const REASON_BYTES_MIN: usize = 20;

/// Paths that only one person's or one build machine has, and a registry's host.
const MACHINE_PATHS: [&str; 5] = ["/root/", "/Users/", "/work/", "/tmp/wt", "index.crates.io"];

/// Modules without a row `| rank | ... `module` ... |`.
pub fn missing_layers(architecture: &str) -> Vec<String> {
    RANKS
        .iter()
        .filter(|(module, _)| *module != "main")
        .filter(|(module, rank)| {
            !architecture.lines().any(|line| {
                let row = line.strip_prefix(&format!("| {rank} |"));
                row.is_some_and(|row| row.contains(&format!("`{module}`")))
            })
        })
        .map(|(module, rank)| {
            format!("docs/ARCHITECTURE.md: the table of layers has no `{module}` of rank {rank}")
        })
        .collect()
}

/// Dependencies without a row `| `name` | reason |`, and rows without a dependency.
pub fn dependency_violations(manifest: &str, architecture: &str) -> Vec<String> {
    let reasons: Vec<(&str, &str)> = architecture
        .lines()
        .skip_while(|line| *line != "## Dependencies")
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .collect();
    let dependencies = dependencies(manifest);
    let mut wrong = Vec::new();
    for name in &dependencies {
        let reason = reasons.iter().find(|(reasoned, _)| reasoned == name);
        if reason.is_none_or(|(_, reason)| reason.trim().len() < REASON_BYTES_MIN) {
            wrong.push(format!(
                "docs/ARCHITECTURE.md: the table under \"Dependencies\" gives no reason for `{name}`"
            ));
        }
    }
    for (name, _) in reasons {
        if !dependencies.contains(&name) {
            wrong.push(format!(
                "docs/ARCHITECTURE.md: `{name}` is under \"Dependencies\" but not in Cargo.toml"
            ));
        }
    }
    wrong
}

pub fn machine_paths(tree: &Tree) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in tree.files() {
        if path.starts_with("tests/tidy/") {
            continue; // This list.
        }
        for (number, line) in (1..).zip(text.lines()) {
            for machine in MACHINE_PATHS
                .iter()
                .filter(|machine| line.contains(**machine))
            {
                wrong.push(format!(
                    "{path}:{number}: names {machine:?}, which is of one machine"
                ));
            }
        }
    }
    wrong
}

/// Words of a page that have the form of a test's name (three words or more, as code) and are
/// the name of no function.
pub fn missing_tests(page: &str, tree: &Tree) -> Vec<String> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let code: Vec<String> = ["src/", "tests/"]
        .into_iter()
        .flat_map(|place| tree.rust(place))
        .map(|source| source.code)
        .collect();
    page.split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.split('_').count() > 2 && name.split('_').all(is_word))
        .filter(|name| {
            let function = format!("fn {name}(");
            !code.iter().any(|code| code.contains(&function))
        })
        .map(|name| format!("docs/SECURITY.md: there is no test `{name}`"))
        .collect()
}

fn dependencies(manifest: &str) -> Vec<&str> {
    let mut section = "";
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            let single = section.split_once("dependencies.");
            names.extend(single.map(|(_, name)| name));
        } else if section.ends_with("dependencies") {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            let is_name = !name.is_empty() && !name.starts_with(['#', '{', '}', ']', '"']);
            names.extend(is_name.then_some(name));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_and_a_reason_without_a_dependency_are_found() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na = \"1\"\nb-c = { version = \"1\" }\n[dev-dependencies]\nd.workspace = true\n[dependencies.e]\nversion = \"1\"\n[lints.rust]\nf = \"deny\"\n";
        assert_eq!(dependencies(manifest), ["a", "b-c", "d", "e"]);
        let page = "| `z` | a row of another table |\n## Dependencies\n| crate | why |\n| `a` | does what nothing else does |\n| `b-c` | short |\n| `d` | does what nothing else does |\n| `g` | does what nothing else does |\n## Next\n| `e` | does what nothing else does |";
        assert_eq!(
            dependency_violations(manifest, page),
            [
                "docs/ARCHITECTURE.md: the table under \"Dependencies\" gives no reason for `b-c`",
                "docs/ARCHITECTURE.md: the table under \"Dependencies\" gives no reason for `e`",
                "docs/ARCHITECTURE.md: `g` is under \"Dependencies\" but not in Cargo.toml",
            ]
        );
    }

    #[test]
    fn a_layer_that_the_page_ranks_otherwise_is_found() {
        let rows: Vec<String> = RANKS
            .iter()
            .map(|(module, rank)| format!("| {rank} | `{module}` | what it is |"))
            .collect();
        let mut page = rows.join("\n");
        assert_eq!(missing_layers(&page), [""; 0]);
        page = page.replace("| 1 | `cache`", "| 2 | `cache`");
        assert_eq!(
            missing_layers(&page),
            ["docs/ARCHITECTURE.md: the table of layers has no `cache` of rank 1"]
        );
    }

    #[test]
    fn a_test_that_is_named_but_not_there_is_found() {
        let tree = Tree::from([
            ("src/a.rs", "// fn not_in_code()\nfn it_is_here() {}"),
            ("tests/b/c.rs", "fn it_is_there_too() {}"),
        ]);
        let page =
            "`it_is_here` and `it_is_there_too`, `not_in_code`, not `a_b`, `-o x_y_z` or `F_G_H`";
        assert_eq!(
            missing_tests(page, &tree),
            ["docs/SECURITY.md: there is no test `not_in_code`"]
        );
    }

    #[test]
    fn a_machines_path_is_found_with_its_line() {
        let tree = Tree::from([
            ("docs/a.md", "fine\nrun /root/x\n"),
            ("src/b.rs", "// /etc/x"),
        ]);
        assert_eq!(
            machine_paths(&tree),
            ["docs/a.md:2: names \"/root/\", which is of one machine"]
        );
    }
}
