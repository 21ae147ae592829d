//! Where a workload is performed: on the local disk, which shows that the workload itself is
//! right, and on mounts, where it must come out the same, also after a remount.

use std::path::PathBuf;

use crate::minio::Minio;
use crate::mount::{Mount, Source};

/// The directories that a workload works with.
#[derive(Clone, Debug)]
pub struct Ground {
    /// An empty directory of the filesystem under test.
    pub root: PathBuf,
    /// A directory of the local disk, for what is compared with.
    pub aside: PathBuf,
}

/// Something that is done once and holds from then on.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Does it.
    pub perform: fn(&Ground),
    /// Panics unless what was done is there. Changes nothing that a second look would miss.
    pub verify: fn(&Ground),
}

/// Makes, for each workload, a test on each of the three stages, and a list of all of them for the
/// matrix of modes and servers.
macro_rules! on_every_stage {
    ($($name:ident: $workload:expr),* $(,)?) => {
    pub const WORKLOADS: &[(&str, crate::stage::Workload)] = &[$((stringify!($name), $workload)),*];

    $(
        mod $name {
            use super::*;

            #[test]
            fn on_the_local_disk() {
                crate::stage::on_the_local_disk($workload);
            }

            #[test]
            fn on_minio_with_sse_s3() {
                crate::stage::on_minio_with_sse_s3(stringify!($name), $workload);
            }

            #[test]
            fn on_a_directory() {
                crate::stage::on_a_directory($workload);
            }
        }
    )*};
}
pub(crate) use on_every_stage;

pub fn on_the_local_disk(workload: Workload) {
    let place = tempfile::tempdir().expect("a directory");
    let ground = ground(place.path().join("root"), place.path().join("aside"));
    std::fs::create_dir(&ground.root).expect("a root");
    (workload.perform)(&ground);
    (workload.verify)(&ground);
}

pub fn on_a_directory(workload: Workload) {
    on_a_directory_with(&[], workload);
}

pub fn on_a_directory_with(options: &[&str], workload: Workload) {
    let place = tempfile::tempdir().expect("a directory");
    let store = place.path().join("store");
    std::fs::create_dir(&store).expect("a store");
    let mut mount = Mount::new(&Source::dir(&store), options);
    let ground = ground(mount.path(), place.path().join("aside"));
    play(&mut mount, &ground, workload);
}

/// Also asserts that every object the workload left carries the header of the mode.
pub fn on_minio_with_sse_s3(name: &str, workload: Workload) {
    let bucket = Minio::shared().bucket(name);
    let aside = tempfile::tempdir().expect("a directory");
    let mut mount = Mount::new(&bucket.source(), &["--encryption", "sse-s3"]);
    let ground = ground(mount.path(), aside.path().join("aside"));
    play(&mut mount, &ground, workload);
    drop(mount);
    let keys = bucket.client.keys("");
    assert!(!keys.is_empty(), "nothing is in the bucket");
    for key in keys {
        let seen = bucket.client.head(&key);
        assert_eq!(
            seen.encryption.as_deref(),
            Some("AES256"),
            "the encryption of {key:?}"
        );
    }
}

fn play(mount: &mut Mount, ground: &Ground, workload: Workload) {
    (workload.perform)(ground);
    (workload.verify)(ground);
    mount.remount();
    (workload.verify)(ground);
}

fn ground(root: PathBuf, aside: PathBuf) -> Ground {
    std::fs::create_dir(&aside).expect("a directory aside");
    Ground { root, aside }
}
