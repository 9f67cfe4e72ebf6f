#!/usr/bin/env bash
# debian_root.sh SUITE DIR: a private apt root in DIR for one suite of this machine's own Debian mirror.
#
# Afterwards APT_CONFIG=DIR/apt.conf makes apt-get read that suite and nothing else: the machine's apt state, packages
# and other sources stay as they are, and the empty dpkg status makes `install --download-only` fetch whole closures.
set -euo pipefail

suite=${1:?suite} root=$(mkdir -p "${2:?folder}" && cd "$2" && pwd)

# Whatever site or proxy the owner of this machine chose is kept.
mirror=$(apt-get indextargets --format '$(REPO_URI)' | sed -n 's|^\(https\{0,1\}://.*/debian\)/\{0,1\}$|\1|p' | sort -u | head -n 1)
[ -n "$mirror" ] || { echo "debian_root.sh: no Debian mirror in this machine's apt configuration" >&2; exit 1; }

mkdir -p "$root"/etc/apt/{apt.conf.d,preferences.d,trusted.gpg.d} "$root"/var/lib/apt/lists/partial \
    "$root"/var/cache/apt/archives/partial "$root"/var/lib/dpkg
: >"$root/var/lib/dpkg/status"
printf 'deb [signed-by=%s] %s %s main\n' /usr/share/keyrings/debian-archive-keyring.gpg "$mirror" "$suite" \
    >"$root/etc/apt/sources.list"
# Validity and date are not checked, for a virtual machine's clock may be off; signatures are.
cat >"$root/apt.conf" <<CONF
Dir "$root"; Dir::State::status "$root/var/lib/dpkg/status"; APT::Architecture "$(dpkg --print-architecture)";
APT::Sandbox::User "root"; APT::Install-Recommends "false"; Acquire::Languages "none";
Acquire::Check-Valid-Until "false"; Acquire::Check-Date "false";
CONF
APT_CONFIG="$root/apt.conf" apt-get update -qq
