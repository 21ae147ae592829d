# shellcheck shell=bash
# A private directory for one run of a script, and the promise to leave nothing behind. Sourced
# after report.sh.
#
# Everything a run makes lies under $SANDBOX, and everything it starts has CLOAKFS_TEST_RUN=$SANDBOX
# in its environment: so what was left behind is told from what others run, and is ended by
# process id and unmounted by path.

open_sandbox() {
    SANDBOX=$(mktemp -d "${TMPDIR:-/tmp}/cloakfs-run.XXXXXX")
    SANDBOX=$(cd "$SANDBOX" && pwd -P)
    # Tests run daemons as other users below it.
    chmod 0755 "$SANDBOX"
    mkdir -m 1777 "$SANDBOX/tmp"
    export CLOAKFS_TEST_RUN=$SANDBOX TMPDIR=$SANDBOX/tmp
}

# The mountpoints under the sandbox, deepest last mounted first.
sandbox_mounts() {
    # Field 5 is the mountpoint; the kernel writes a space as \040.
    awk -v below="$SANDBOX/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | tac
}

# Processes that carry this run's mark. This shell does not: /proc shows the environment that a
# process was started with.
sandbox_processes() {
    local entry pid
    for entry in /proc/[0-9]*; do
        pid=${entry#/proc/}
        if { tr '\0' '\n' <"$entry/environ"; } 2>/dev/null |
            grep -qxF "CLOAKFS_TEST_RUN=$SANDBOX"; then
            printf '%s\n' "$pid"
        fi
    done
}

# Ends and unmounts what is left, removes the directory. Fails when something was left behind by
# the tests: that is a finding. Call it after the script's own servers were stopped.
close_sandbox() {
    local left=0 mountpoint pid command
    while IFS= read -r pid; do
        # One that has ended since, or waits to be reaped, has no command line.
        command=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || continue
        [ -n "$command" ] || continue
        say "left behind by the run, ended now: process $pid ($command)"
        kill -KILL "$pid" 2>/dev/null || true
        left=1
    done < <(sandbox_processes)
    while IFS= read -r mountpoint; do
        mountpoint=$(printf '%b' "${mountpoint//\\0/\\00}")
        say "left behind by the run, unmounted now: $mountpoint"
        umount --lazy "$mountpoint" 2>/dev/null || fusermount3 -u -z "$mountpoint" ||
            say "could not unmount $mountpoint"
        left=1
    done < <(sandbox_mounts)
    # One file system only: a mount that could not be taken down must not be emptied.
    rm -rf --one-file-system "$SANDBOX" || left=1
    return $left
}
