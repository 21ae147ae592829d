# The commands of a working day. `just` without arguments lists them.

# Lists the commands.
default:
    @just --list --unsorted

# What a change must pass, as CI runs it.
check:
    .ci/run

# Every test, on servers that are started for it; arguments go to `cargo test`.
test *ARGS:
    scripts/test {{ARGS}}

# Formats the code and shows what the linter says.
fmt:
    cargo fmt --all
    cargo clippy --locked --all-targets -- -D warnings

# Throughput beside the SDK alone and s3fs, and small files; the figures are for docs/BENCHMARKS.md.
bench *ARGS:
    scripts/bench {{ARGS}}
    scripts/bench-tar

# An archive unpacked over a far link, beside s3fs.
bench-tar *ARGS:
    scripts/bench-tar {{ARGS}}

# Throughput of cse-c on a local directory, beside no encryption and gocryptfs.
bench-local *ARGS:
    scripts/bench-local {{ARGS}}

# Fuzzes every decoder of the client-side format, by default ten minutes each.
fuzz *ARGS:
    scripts/fuzz {{ARGS}}

# The long tests, with the daemon's memory watched.
soak *ARGS:
    scripts/soak {{ARGS}}
