//! cp: the content of a large file goes through nobody's hands.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::customer_key::CustomerKey;
use crate::minio::PrivateMinio;
use crate::mount::Mount;
use crate::process::sh;
use crate::request_counts::RequestCounts;
use crate::sealed::cse_c;
use crate::tree::bytes;

const LARGE: usize = 100 << 20;

/// Copies with coreutils on a fresh mount.
fn copied_without_content(options: &[&str], source_options: Vec<String>) {
    let minio = PrivateMinio::start();
    let mut source = minio.reach().bucket("clone").source();
    source.options.extend(source_options);
    let mut mount = Mount::new(&source, options);
    let content = bytes(70, LARGE);
    let root = mount.path();
    fs::write(root.join("large"), &content).expect("writing");
    fs::write(root.join("shorter"), b"was here before").expect("writing");
    mount.remount();
    let copy = |root: &Path, to: &Path| sh(root, "cp large $1", &[to]);
    for to in ["copy", "shorter"] {
        let (_, counts) = RequestCounts::during(&minio, || copy(&root, Path::new(to)));
        assert!(counts.bytes < 1 << 20, "{to}: {counts:?}");
        assert!(fs::read(root.join(to)).expect("reading") == content);
    }
    mount.remount();
    assert!(fs::read(root.join("copy")).expect("reading") == content);
    // Linux asks FUSE for no ioctl of this kind, so this says so and copies nothing.
    let refused = sh(&root, "cp --reflink=always large other 2>&1 || true", &[]);
    assert!(refused.contains("failed to clone"), "{refused}");
    // What is not a whole file is copied through the mount, and right.
    let script =
        "head -c 20000000 large > start && cmp -n 20000000 large start && cp -a large kept";
    sh(&root, script, &[]);
    assert!(fs::read(root.join("kept")).expect("reading") == content);
}

#[test]
fn a_large_file_is_copied_on_the_server() {
    copied_without_content(&[], Vec::new());
}

#[test]
fn a_large_file_of_a_client_side_volume_is_copied_on_the_server() {
    let place = tempfile::tempdir().expect("a directory");
    let key = CustomerKey::new(71).file(place.path());
    copied_without_content(&["--create"], cse_c(&key));
}

/// More than one answer of the kernel's protocol can say, of which nearly nothing is stored.
#[test]
fn a_file_above_4_gib_is_cloned_by_one_cp() {
    let store = tempfile::tempdir().expect("a directory");
    let mut source = crate::mount::Source::dir(&store.path().join("store"));
    fs::create_dir(store.path().join("store")).expect("mkdir");
    let key = CustomerKey::new(72).file(store.path());
    source.options.extend(cse_c(&key));
    let mut mount = Mount::new(&source, &["--create"]);
    let root = mount.path();
    let script = "truncate -s 9G large && printf end | dd of=large bs=1 seek=9663676410 \
                  conv=notrunc status=none && cp large copy && stat -c %s copy";
    assert_eq!(sh(&root, script, &[]).trim(), "9663676416");
    let status = mount.cloakfs("status", &["--json"]).stdout;
    let status: Value = serde_json::from_str(&status).expect("status in JSON");
    // Each answer says at most 4 GiB less a page, whatever the kernel asks for.
    assert_eq!(
        status["operations"]["copy_file_range"]["all"], 3,
        "{status}"
    );
    mount.remount();
    assert_eq!(sh(&root, "tail -c 6 copy | head -c 3", &[]), "end");
}
