//! The seeds of the fuzzers, and short mutations of them, through the functions that the fuzzers
//! call: a finding that was kept as a seed stays found, without a fuzzer.

use std::path::Path;

#[path = "../../fuzz/targets.rs"]
mod targets;

/// The seeds of a target, which is never without any.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let seeds: Vec<Vec<u8>> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(!seeds.is_empty(), "{} is empty", directory.display());
    seeds
}

#[test]
fn every_seed_passes_its_target() {
    for (name, target) in targets::TARGETS {
        for seed in seeds(name) {
            target(&seed);
        }
    }
}

/// Each byte changed in a few ways, each cut, and something appended.
#[test]
fn seeds_that_were_changed_pass_too() {
    for (name, target) in targets::TARGETS {
        for seed in seeds(name) {
            for at in 0..seed.len() {
                for change in [0x01, 0x80, 0xff] {
                    let mut changed = seed.clone();
                    changed[at] ^= change;
                    target(&changed);
                }
                target(&seed[..at]);
            }
            for more in [&b"\0"[..], b"=", &[0xff; 40]] {
                target(&[&seed, more].concat());
            }
        }
    }
}
