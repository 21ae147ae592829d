#![no_main]

#[path = "../targets.rs"]
#[allow(unused, reason = "each fuzzer runs one of the targets")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::s3ec(data));
