# shellcheck shell=bash
# What the scripts say, and where they are. Sourced, not run.
#
# Everything a script says about itself goes to stderr, so that stdout stays the output of what
# it runs.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck disable=SC2034 # read by the scripts that source this file
TOOLS=${CLOAKFS_TEST_TOOLS:-$REPO/target/tools}

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# Ends the script with one sentence; the caller's EXIT trap still runs.
die() {
    say "error: $*"
    exit 1
}
