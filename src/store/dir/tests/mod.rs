mod failures;
mod files;
mod listing;
mod sharing;
mod uploads;

use std::fs;

use tempfile::TempDir;

use super::*;

fn store() -> (TempDir, DirStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::open(dir.path()).unwrap();
    (dir, store)
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

async fn put(store: &dyn Store, name: &str, body: &'static str) -> Result<Written> {
    store
        .put(
            &key(name),
            Bytes::from_static(body.as_bytes()),
            PutOptions::default(),
        )
        .await
}

async fn body(store: &dyn Store, name: &str) -> Result<Bytes> {
    let got = store.get(&key(name), GetOptions::default()).await;
    got.map(|object| object.body)
}

/// What lies in the directory but the private part, relative, sorted.
fn paths(dir: &Path) -> Vec<String> {
    fn walk(dir: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            if name == disk::PRIVATE {
                continue;
            }
            found.push(name);
            if path.is_dir() {
                walk(&path, root, found);
            }
        }
    }
    let mut found = vec![];
    walk(dir, dir, &mut found);
    found.sort();
    found
}

/// Files of the private directory but locks.
fn unfinished(dir: &Path) -> Vec<String> {
    let private = dir.join(disk::PRIVATE).join("sessions");
    paths(&private)
        .into_iter()
        .filter(|name| !name.ends_with("/alive") && name.matches('/').count() > 0)
        .filter(|name| !name.ends_with("/uploads"))
        .collect()
}
