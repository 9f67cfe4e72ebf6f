#!/usr/bin/env bash
# debian_tree.sh DIR [PACKAGE ...]: a small Debian 12 file system in DIR, from Debian's packages, without Docker Hub.
#
# The packages are unpacked, not installed: what their scripts would have set up and a container needs is done below.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=${1:?folder}
# libstdc++6 and libgomp1: numpy, chromadb, torch and llama.cpp die at import without them.
# util-linux, libnuma1: vLLM asks lscpu for the cores, and its CPU kernels are linked with libnuma.
packages=(base-files bash dash coreutils findutils grep sed util-linux curl jq dumb-init python3 libstdc++6 libgomp1 libnuma1 "${@:2}")

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
"$here/../../.ci/debian_root.sh" bookworm "$root"
APT_CONFIG="$root/apt.conf" apt-get install -qq -y --download-only "${packages[@]}" >/dev/null

mkdir -p "$tree"/{proc,sys,dev,root,run,tmp,etc}
for name in bin sbin lib lib64; do # Debian 12 is /usr-merged; packages still ship files under /bin and /lib
    mkdir -p "$tree/usr/$name"
    ln -s "usr/$name" "$tree/$name"
done
for deb in "$root"/var/cache/apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$tree" --keep-directory-symlink --exclude=./usr/share/doc \
        --exclude=./usr/share/man --exclude=./usr/share/info --exclude=./usr/share/locale
done

[ -e "$tree/usr/bin/sh" ] || ln -s dash "$tree/usr/bin/sh"
chmod 1777 "$tree/tmp"
printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n' >"$tree/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$tree/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$tree/etc/nsswitch.conf"
