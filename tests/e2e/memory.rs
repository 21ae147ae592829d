//! How much memory the daemon takes for a large file. The short form of `scripts/soak`.

use std::fs;
use std::io::{BufWriter, Write};

use crate::minio::Minio;
use crate::mount::Mount;
use crate::process::sh;
use crate::tree::bytes;

/// Above what the daemon may take, so that keeping the whole file would show.
const FILE_MIB: usize = 640;
/// The most that the daemon may ever have had in memory.
const RESIDENT_MIB_MAX: u64 = 512;

#[test]
fn a_large_file_goes_through_a_bounded_memory() {
    let bucket = Minio::shared().bucket("memory");
    let mount = Mount::new(&bucket.source(), &["--encryption", "sse-s3"]);
    let aside = tempfile::tempdir().expect("a directory");
    let original = aside.path().join("large");
    let mut file = BufWriter::new(fs::File::create(&original).expect("create"));
    for mib in 0..FILE_MIB {
        file.write_all(&bytes(mib as u64, 1 << 20))
            .expect("writing");
    }
    file.into_inner().expect("flushing");

    sh(&mount.path(), "cp $1 large", &[&original]);
    sh(&mount.path(), "cmp $1 large", &[&original]);
    let peak_mib = resident_peak_kib(mount.pid()) >> 10;
    assert!(
        peak_mib < RESIDENT_MIB_MAX,
        "the daemon took {peak_mib} MiB"
    );
    drop(mount);
    let seen = bucket.client.head("large");
    assert_eq!(seen.size_bytes, (FILE_MIB << 20) as u64);
}

/// proc_pid_status(5): `VmHWM` is the peak of the resident set.
fn resident_peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon's status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("VmHWM");
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number of kB")
}
