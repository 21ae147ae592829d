# shellcheck shell=bash
# Debian packages that a script needs. Sourced after report.sh.

# need_packages COMMAND=PACKAGE...: installs the packages whose command is missing.
#
# Only Debian's own package manager is used, and only when something is missing. An ordinary user
# without password-less sudo is told what to install instead.
need_packages() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    command -v apt-get >/dev/null 2>&1 ||
        die "these packages are missing and there is no apt-get to install them: ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null ||
            die "these packages are missing: ${missing[*]}. Install them with 'sudo apt-get install ${missing[*]}' and run this again"
        as_root=(sudo -n)
    fi
    say "installing ${missing[*]}"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update </dev/null >&2 ||
        say "apt-get update failed; trying with the package lists that are there"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install --yes --no-install-recommends "${missing[@]}" </dev/null >&2 ||
        die "apt-get could not install: ${missing[*]}"
}

# The compilers that nothing here installs: their absence is said in one sentence.
need_commands() {
    local name
    for name in "$@"; do
        command -v "$name" >/dev/null 2>&1 ||
            die "'$name' is not on the PATH. Rust, Go and Python 3.11 must be installed first"
    done
}
