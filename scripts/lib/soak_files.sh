# shellcheck shell=bash
# Very large client-side files on a local directory. Sourced by scripts/soak.

# files [--small|--sparse|--dense]
files() {
    local sparse_gib=100 dense_gib=20
    case $1 in
    "") ;;
    --small) sparse_gib=10 dense_gib=1 ;;
    --sparse) dense_gib=0 ;;
    --dense) sparse_gib=0 ;;
    *) die "files takes --small, --sparse, --dense or nothing" ;;
    esac
    open_sandbox
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # The file, and what replaces it while it is changed.
    local free_gib
    free_gib=$(df --output=avail --block-size=1G "$SANDBOX" | tail -n 1)
    [ "$free_gib" -gt $((dense_gib * 2 + 2)) ] ||
        die "$SANDBOX has $free_gib GiB free; this needs $((dense_gib * 2 + 2)) GiB (set TMPDIR)"
    build_release
    (umask 077 && openssl rand 32 >"$SANDBOX/key")
    mkdir "$SANDBOX/store"
    openssl rand 4096 >"$SANDBOX/change"
    openssl rand 1048576 >"$SANDBOX/more"
    [ "$sparse_gib" = 0 ] || sparse_file "$sparse_gib"
    [ "$dense_gib" = 0 ] || dense_file "$dense_gib"
}

mount_store() {
    mkdir -p "$SANDBOX/mnt"
    "$CLOAKFS" mount "dir:$SANDBOX/store" "$SANDBOX/mnt" --foreground --encryption cse-c \
        --key-file "$SANDBOX/key" --create </dev/null >>"$SANDBOX/cloakfs.log" 2>&1 &
    DAEMON_PID=$!
    wait_for_mount "$SANDBOX/mnt" "$DAEMON_PID" "$SANDBOX/cloakfs.log"
}

# Unmounts, after a look at the most that the daemon ever had in memory.
unmount_store() {
    local peak
    peak=$(resident_peak_mib "$DAEMON_PID")
    unmount_bucket "$SANDBOX/mnt"
    say "the daemon took $peak MiB at most"
    [ "$peak" -lt "$RESIDENT_MIB_MAX" ] ||
        die "the daemon took $peak MiB; it may take less than $RESIDENT_MIB_MAX"
}

# timed WHAT COMMAND...
timed() {
    local what=$1 started=$SECONDS
    shift
    "$@"
    say "$what: $((SECONDS - started)) s"
}

# A file that is nearly all hole, beside one on the local disk to which the same is done.
sparse_file() {
    local gib=$1 file
    mount_store
    for file in "$SANDBOX/reference" "$SANDBOX/mnt/sparse"; do
        timed "$file: $gib GiB made, changed in ten places" plant_sparse "$file" "$gib"
        timed "$file: changed in the middle" change "$file" $((gib << 29))
        timed "$file: appended to" append "$file"
    done
    [ "$(du -s --block-size=1G "$SANDBOX/store" | cut -f 1)" -le 1 ] ||
        die "the holes of a sparse file are stored"
    timed "$gib GiB compared" cmp "$SANDBOX/reference" "$SANDBOX/mnt/sparse"
    unmount_store
    mount_store
    timed "$gib GiB compared after a remount" cmp "$SANDBOX/reference" "$SANDBOX/mnt/sparse"
    rm "$SANDBOX/mnt/sparse" "$SANDBOX/reference"
    unmount_store
}

# plant_sparse FILE GIB: a mebibyte every tenth of the file.
plant_sparse() {
    local tenth
    truncate --size="${2}G" "$1"
    for tenth in 0 1 2 3 4 5 6 7 8 9; do
        dd if="$SANDBOX/more" of="$1" bs=1M seek=$((tenth * $2 * 1024 / 10)) conv=notrunc \
            status=none
    done
}

# change FILE OFFSET: 4 KiB.
change() {
    dd if="$SANDBOX/change" of="$1" bs=4K seek=$(($2 / 4096)) conv=notrunc,fsync status=none
}

append() {
    cat "$SANDBOX/more" >>"$1"
}

dense_file() {
    local gib=$1 file=$SANDBOX/mnt/dense expected
    mount_store
    timed "$gib GiB written" write_stream "$gib" "$file"
    timed "changed in the middle" change "$file" $((gib << 29))
    timed "appended to" append "$file"
    expected=$(expected_stream "$gib" | sha256sum)
    timed "$gib GiB verified" assert_sum "$expected" "$file"
    unmount_store
    mount_store
    timed "$gib GiB verified after a remount" assert_sum "$expected" "$file"
    unmount_store
    say "$gib GiB went in, were changed and came out unharmed"
}

write_stream() {
    stream "$1" >"$2"
}

# What the dense file must hold.
expected_stream() {
    stream "$1" | {
        head -c "$(($1 << 29))"
        head -c 4096 >/dev/null
        cat "$SANDBOX/change" - "$SANDBOX/more"
    }
}

assert_sum() {
    [ "$(sha256sum <"$2")" = "$1" ] || die "what $2 holds is not what was written"
}
