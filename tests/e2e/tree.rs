//! Trees of files to copy, made the same every time.

use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Bytes that look random and depend on `seed` alone (SplitMix64, Steele et al. 2014).
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A time in the past, with nanoseconds, different for each `number`.
pub fn time(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        + Duration::new(
            1_500_000_000 + number * 86_407,
            123_456_789 + (number % 97) as u32,
        )
}

/// Makes a tree of `files` files of up to 64 KiB under `root`, with directories, symlinks, an
/// empty directory, odd names, several modes and old times.
pub fn plant(root: &Path, files: u64) {
    for number in 0..files {
        let directory = root.join(format!("directory {}/level-{}", number % 7, number % 3));
        fs::create_dir_all(&directory).expect("a directory");
        let file = directory.join(name(number));
        let length = (number * number * 37) % (if number % 50 == 0 { 65_536 } else { 3_000 });
        let mut open = File::create(&file).expect("a file");
        let content = bytes(number, usize::try_from(length).expect("a small length"));
        open.write_all(&content).expect("writing");
        let mode = [0o644, 0o755, 0o600, 0o444][(number % 4) as usize];
        open.set_permissions(PermissionsExt::from_mode(mode))
            .expect("a mode");
        open.set_times(
            FileTimes::new()
                .set_accessed(time(number))
                .set_modified(time(number)),
        )
        .expect("times");
        if number % 20 == 0 {
            symlink(name(number), directory.join(format!("link-{number}"))).expect("a symlink");
        }
    }
    fs::create_dir_all(root.join("empty")).expect("an empty directory");
    symlink("/nowhere/at all", root.join("dangling")).expect("a dangling symlink");
    date_directories(root);
}

fn name(number: u64) -> String {
    match number % 10 {
        0 => format!("naïve ☃ {number}"),
        1 => format!("percent%20plus+{number}"),
        2 => format!("quote'\"&<{number}>"),
        _ => format!("file-{number}.txt"),
    }
}

/// Gives every directory a time, deepest first, since making an entry changes it.
fn date_directories(directory: &Path) {
    for entry in fs::read_dir(directory).expect("listing") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            date_directories(&entry.path());
        }
    }
    let open = File::open(directory).expect("opening a directory");
    open.set_modified(time(directory.as_os_str().len() as u64))
        .expect("a directory's time");
}
