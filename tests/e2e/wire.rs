//! What a change of a large file sends: counted between the daemon and the server, by bodies.
//!
//! The limits are those of a file of 1 GiB, as `scripts/soak wire` makes it; here it is a quarter
//! of that, which changes none of them.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::customer_key::CustomerKey;
use crate::minio::PrivateMinio;
use crate::mount::Mount;
use crate::proxy::{Exchange, Proxy};
use crate::sealed::cse_c;
use crate::tree::bytes;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// The grid on which both layouts are changed.
const CELL: u64 = 8 * MIB;
/// Of what is read and written at once.
const PIECE: usize = 1 << 20;
/// Requests that complete an upload, with their lists of parts, and a client-side file's tail.
const SMALL: u64 = MIB / 4;

/// The size of the file in MiB, where it is not that of the short run.
const SIZE: &str = "WIRE_MIB";
const SIZE_MIB: u64 = 256;

/// What may go up.
struct Limits {
    /// For an append of 1 MiB.
    append: u64,
    /// For a cell.
    cell: u64,
    /// For what is not of the cells that were changed.
    rest: u64,
}

const SSE_S3: Limits = Limits {
    append: MIB + MIB / 5,
    cell: CELL,
    rest: SMALL,
};

/// The last segment is one message, and where it is short the tail follows it in one part.
const CSE_C: Limits = Limits {
    append: 9 * MIB,
    cell: SEALED_SEGMENT_BYTES,
    rest: SMALL + MIB,
};

/// docs/FORMAT.md: 56 bytes more, and 16 for each chunk of 16 KiB, of which the last is empty.
const SEALED_SEGMENT_BYTES: u64 = 56 + CELL + 16 * (CELL / (16 * KIB) + 1);

#[test]
fn changes_of_a_large_file_send_little_with_sse_s3() {
    let options = |_: &Path| ["--encryption", "sse-s3"].map(String::from).into();
    Stage::new(options, &[]).play(&SSE_S3);
}

#[test]
fn changes_of_a_large_file_send_little_with_cse_c() {
    let options = |keys: &Path| cse_c(&CustomerKey::new(61).file(keys));
    Stage::new(options, &["--create"]).play(&CSE_C);
}

/// A large file in a mount, and what it must hold.
struct Stage {
    mount: Mount,
    proxy: Proxy,
    content: Vec<u8>,
    _minio: PrivateMinio,
    _keys: TempDir,
}

impl Stage {
    fn new(options: impl FnOnce(&Path) -> Vec<String>, more: &[&str]) -> Self {
        let minio = PrivateMinio::start();
        let proxy = Proxy::before(&minio.reach());
        let bucket = minio.reach().bucket("wire");
        let keys = tempfile::tempdir().expect("a directory");
        let mut source = proxy.reach().existing(&bucket.name).source();
        source.options.extend(options(keys.path()));
        let mount = Mount::new(&source, more);
        let mib = std::env::var(SIZE).map_or(SIZE_MIB, |mib| mib.parse().expect("a number"));
        let size = usize::try_from(mib * MIB).expect("a size");
        let stage = Self {
            mount,
            proxy,
            content: vec![0; size],
            _minio: minio,
            _keys: keys,
        };
        let path = stage.path();
        let ((), made) = stage.proxy.during(|| {
            let mut file = File::create(&path).expect("a new file");
            for piece in stage.content.chunks(PIECE) {
                file.write_all(piece).expect("writing");
            }
            file.sync_all().expect("fsync");
        });
        // That the count works.
        assert!(up(&made) >= mib * MIB, "{} went up", up(&made));
        stage
    }

    fn path(&self) -> PathBuf {
        self.mount.path().join("large")
    }

    /// What `work` makes a mount send and fetch that knows nothing yet.
    fn cost(&mut self, work: impl FnOnce(&Path)) -> Vec<Exchange> {
        self.mount.remount();
        let path = self.path();
        self.proxy.during(|| work(&path)).1
    }

    /// The same for writes of these bytes, with an fsync after them.
    fn write(&mut self, writes: &[(u64, Vec<u8>)]) -> Vec<Exchange> {
        let cost = self.cost(|path| {
            let file = File::options().write(true).open(path).expect("opening");
            for (offset, bytes) in writes {
                file.write_all_at(bytes, *offset).expect("writing");
            }
            file.sync_all().expect("fsync");
        });
        for (offset, bytes) in writes {
            let start = usize::try_from(*offset).expect("an offset");
            let end = start + bytes.len();
            if self.content.len() < end {
                self.content.resize(end, 0);
            }
            self.content[start..end].copy_from_slice(bytes);
        }
        cost
    }

    fn play(mut self, limits: &Limits) {
        let size = self.content.len() as u64;
        let changed = self.write(&[(size / 2 + 12 * KIB, bytes(1, 4 << 10))]);
        assert_most("a change of 4 KiB", up(&changed), 9 * MIB, &changed);

        let appended = self.write(&[(size, bytes(2, 1 << 20))]);
        assert_most(
            "an append of 1 MiB",
            up(&appended),
            limits.append,
            &appended,
        );

        let renamed = self.cost(|path| {
            fs::rename(path, path.with_file_name("renamed")).expect("renaming");
            fs::rename(path.with_file_name("renamed"), path).expect("renaming back");
            fs::set_permissions(path, Permissions::from_mode(0o600)).expect("chmod");
        });
        let bodies = renamed.iter().map(|it| it.up + it.down).sum();
        assert_most("two renames and a chmod", bodies, 64 * KIB, &renamed);

        // All over 256 MiB, which leaves hardly a cell clean; then in every fourth cell alone.
        for every in [1, 4] {
            let writes = random_writes(every);
            let cells: BTreeSet<_> = writes.iter().map(|(offset, _)| offset / CELL).collect();
            let cost = self.write(&writes);
            let what = format!("random writes into {} cells", cells.len());
            let most = cells.len() as u64 * limits.cell + limits.rest;
            assert_most(&what, up(&cost), most, &cost);
        }

        self.mount.remount();
        let mut file = File::open(self.path()).expect("opening");
        let mut piece = vec![0; PIECE];
        for expected in self.content.chunks(piece.len()) {
            let found = &mut piece[..expected.len()];
            file.read_exact(found).expect("reading");
            assert!(found == expected, "the content differs");
        }
        assert_eq!(file.read(&mut piece).expect("reading"), 0, "the end");
    }
}

/// A thousand writes of 4 KiB, on their own grid, below 256 MiB, in one of `every` so many cells.
fn random_writes(every: u64) -> Vec<(u64, Vec<u8>)> {
    let cells = 256 * MIB / CELL / every;
    let numbers = bytes(every, 8 * 1_000);
    let numbers = numbers.chunks_exact(8).map(|number| {
        let number = number.try_into().expect("eight bytes");
        u64::from_le_bytes(number)
    });
    let writes = numbers.zip(0..).map(|(number, seed)| {
        let cell = number % cells * every;
        let block = (number >> 32) % (CELL / (4 * KIB));
        (cell * CELL + block * 4 * KIB, bytes(seed, 4 << 10))
    });
    writes.collect()
}

fn up(exchanges: &[Exchange]) -> u64 {
    exchanges.iter().map(|exchange| exchange.up).sum()
}

#[track_caller]
#[expect(clippy::print_stderr, reason = "figures for docs/BENCHMARKS.md")]
fn assert_most(what: &str, bytes: u64, most: u64, exchanges: &[Exchange]) {
    eprintln!("{what}: {bytes} bytes of bodies, of at most {most}");
    assert!(
        bytes <= most,
        "{what} took {bytes} bytes of bodies, and may take {most}: {exchanges:#?}"
    );
}
