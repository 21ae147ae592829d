# shellcheck shell=bash
# Timing and what is made of it. Sourced after report.sh and sandbox.sh; RESULTS is a file.

# record WHO WHAT NUMBER
record() {
    printf '%s %s %s\n' "$@" | tee -a "$RESULTS" >&2
}

# timed COMMAND...: the seconds it took.
timed() {
    local started=$EPOCHREALTIME
    "$@" >/dev/null 2>"$SANDBOX/timed.log" || {
        cat "$SANDBOX/timed.log" >&2
        die "$1 failed"
    }
    difference "$EPOCHREALTIME" "$started"
}

difference() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f\n", a - b }'; }

# heading PLACE [SIZE]: what the figures below it were taken on.
heading() {
    local processor
    processor=$(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
    printf '\n%s, %s cores (%s), %s, %s:\n\n' \
        "$(date +%F)" "$(nproc)" "${processor:-unknown processor}" "${2:-$MIB MiB}" "$1"
}

# medians MIB: of recorded seconds, `WHO WRITE READ` in MiB/s.
medians() {
    sort -k1,2 -k3,3n | awk -v mib="$1" '
        { value[$1 " " $2, ++count[$1 " " $2]] = $3; seen[$1] }
        function median(what,   n) {
            n = count[what]
            return n % 2 ? value[what, (n + 1) / 2] : (value[what, n / 2] + value[what, n / 2 + 1]) / 2
        }
        END {
            for (who in seen) print who, mib / median(who " write"), mib / median(who " read")
        }'
}
