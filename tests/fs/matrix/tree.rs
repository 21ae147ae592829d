//! What is in the bucket, in a form that fits a table.

use std::collections::BTreeMap;

use crate::harness::Bucket;

/// Paths, with conflict copies as `NAME~`, and what is there: a [`label`], or `/` for a directory.
pub type Tree = BTreeMap<String, String>;

/// The bytes of a file with each run of one byte as one letter; of a hole it is `0`.
pub fn label(content: &[u8]) -> String {
    let mut letters = content.to_vec();
    letters.dedup();
    for letter in &mut letters {
        if *letter == 0 {
            *letter = b'0';
        }
    }
    String::from_utf8(letters).unwrap()
}

pub async fn tree(bucket: &Bucket) -> Tree {
    let mut tree = Tree::new();
    for path in bucket.keys() {
        let (shown, found) = match path.strip_suffix('/') {
            Some(directory) => (format!("{directory}/"), "/".to_owned()),
            None => (
                match path.split_once(".conflict-testhost-") {
                    Some((name, _)) => format!("{name}~"),
                    None => path.clone(),
                },
                label(
                    &bucket
                        .body(&path)
                        .await
                        .expect("what is listed can be read"),
                ),
            ),
        };
        let before = tree.insert(shown, found);
        assert_eq!(before, None, "two conflict copies of one name");
    }
    tree
}

/// `f=oAp g=g`.
pub fn shown(tree: &Tree) -> String {
    if tree.is_empty() {
        return "nothing".to_owned();
    }
    let entries: Vec<_> = tree
        .iter()
        .map(|(path, found)| match path.strip_suffix('/') {
            Some(_) => path.clone(),
            None => format!("{path}={found}"),
        })
        .collect();
    entries.join(" ")
}
