# shellcheck shell=bash
# Mounting cloakfs from a script. Sourced after report.sh, servers.sh and sandbox.sh.

# build_release: sets CLOAKFS to the release binary.
build_release() {
    cargo build --locked --release --bin cloakfs
    CLOAKFS=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd -P)/cloakfs
    export CLOAKFS_STATE_DIR=$SANDBOX/state
}

# mount_bucket BUCKET MOUNTPOINT LOG [OPTIONS]: in the foreground of a child; sets DAEMON_PID.
mount_bucket() {
    local bucket=$1 mountpoint=$2 log=$3
    shift 3
    mkdir -p "$mountpoint"
    AWS_ACCESS_KEY_ID=$MINIO_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$MINIO_SECRET_KEY \
        "$CLOAKFS" mount "s3://$bucket" "$mountpoint" --foreground \
        --endpoint-url "$MINIO_ENDPOINT" --ca-bundle "$SANDBOX/certs/public.crt" \
        --path-style --region us-east-1 "$@" </dev/null >>"$log" 2>&1 &
    DAEMON_PID=$!
    wait_for_mount "$mountpoint" "$DAEMON_PID" "$log"
}

# mount_s3fs BUCKET MOUNTPOINT LOG: in the foreground of a child; sets DAEMON_PID.
mount_s3fs() {
    local bucket=$1 mountpoint=$2 log=$3
    (umask 077 && printf '%s:%s\n' "$MINIO_ACCESS_KEY" "$MINIO_SECRET_KEY" >"$SANDBOX/s3fs-password")
    CURL_CA_BUNDLE=$SANDBOX/certs/public.crt s3fs "$bucket" "$mountpoint" -f \
        -o "url=$MINIO_ENDPOINT" -o use_path_request_style \
        -o "passwd_file=$SANDBOX/s3fs-password" </dev/null >>"$log" 2>&1 &
    DAEMON_PID=$!
    wait_for_mount "$mountpoint" "$DAEMON_PID" "$log"
}

unmount_s3fs() {
    umount "$1" 2>/dev/null || fusermount3 -u "$1" || fusermount -u "$1"
    wait "$DAEMON_PID" || true
}

# Waits until MOUNTPOINT is mounted, up to 30 s, or PID is gone.
wait_for_mount() {
    local mountpoint=$1 pid=$2 log=$3 tenths
    for tenths in $(seq 300); do
        ! mountpoint -q "$mountpoint" || return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$log" >&2
    die "$mountpoint was not mounted within $((tenths / 10)) s"
}

unmount_bucket() {
    "$CLOAKFS" umount "$1"
    wait "$DAEMON_PID" || die "the daemon of $1 ended with an error"
}

# cpu_seconds PID: user and system time so far (proc_pid_stat(5), fields 14 and 15).
cpu_seconds() {
    # The name, field 2, may contain spaces: what follows the last parenthesis begins at field 3.
    sed 's/.*) //' "/proc/$1/stat" |
        awk -v ticks="$(getconf CLK_TCK)" '{ printf "%.2f\n", ($12 + $13) / ticks }'
}

# resident_peak_mib PID (proc_pid_status(5), VmHWM).
resident_peak_mib() {
    awk '$1 == "VmHWM:" { printf "%d\n", $2 / 1024 }' "/proc/$1/status"
}
