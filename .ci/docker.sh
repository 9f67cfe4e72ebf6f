#!/usr/bin/env bash
# A Docker engine with Compose v2 for the tests, on a fresh Debian 12, as root. Does nothing where both answer already.
#
# The engine is Debian's own docker.io. Compose is Debian trixie's, taken through a private apt root and unpacked with
# dpkg -x, so that the machine's apt state and packages stay as they are. The daemon is started by hand and left
# running: containers and CI machines have no init system that would do it.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Runs on glibc 2.36; the oldest and most stable Compose v2 that Debian has. Keep in step with the README's minimum.
COMPOSE_VERSION=2.26.1-4
PLUGINS=/usr/local/lib/docker/cli-plugins # searched by Debian's docker and by upstream's static docker, for all users
LOG=${DOCKERD_LOG:-/var/log/dockerd-ci.log}
START_SECONDS=60

say() { printf 'docker.sh: %s\n' "$*" >&2; }

engine_answers() { docker info >/dev/null 2>&1 && docker info --format '{{.ServerVersion}}' 2>/dev/null | grep -q '[0-9]'; }

compose_answers() { docker compose version >/dev/null 2>&1; }

install_engine() {
    command -v dockerd >/dev/null && return
    local quiet=(-qq -y -o Dpkg::Use-Pty=0)
    export DEBIAN_FRONTEND=noninteractive
    # Lists may be absent or older than the mirror; a third-party source that is down must not stop us.
    apt-get install "${quiet[@]}" --no-install-recommends docker.io >/dev/null 2>&1 && return
    apt-get update -qq || say "apt-get update had errors; going on with what it could read"
    apt-get install "${quiet[@]}" --no-install-recommends docker.io >/dev/null
}

# Not from the machine's own suite: bookworm has Compose 1.29, which knows no `up --wait`.
install_compose() {
    local root
    root=$(mktemp -d)
    "$HERE/debian_root.sh" trixie "$root"
    (
        cd "$root"
        APT_CONFIG="$root/apt.conf" apt-get download -qq "docker-compose=$COMPOSE_VERSION"
        dpkg -x docker-compose_*.deb unpacked
    )
    install -D -m 0755 "$root/unpacked/usr/libexec/docker/cli-plugins/docker-compose" "$PLUGINS/docker-compose"
    rm -rf "$root"
}

start_engine() {
    local stale=/var/run/docker.pid
    # Left by a daemon that was killed; dockerd refuses it when the number belongs to some process by now. A killed one
    # that nobody has reaped still has a number and a name, but no program.
    [[ $(readlink "/proc/$(cat $stale 2>/dev/null)/exe") == */dockerd ]] || rm -f $stale
    setsid nohup dockerd >>"$LOG" 2>&1 </dev/null &
    local deadline=$((SECONDS + START_SECONDS)) pid=$!
    until engine_answers; do
        kill -0 "$pid" 2>/dev/null || { say "dockerd ended; the last lines of $LOG:"; tail -n 20 "$LOG" >&2; return 1; }
        ((SECONDS < deadline)) || { say "dockerd did not answer in ${START_SECONDS} s; see $LOG"; tail -n 20 "$LOG" >&2; return 1; }
        sleep 0.2
    done
}

engine_answers || { install_engine; hash -r; engine_answers || start_engine; }
compose_answers || install_compose
compose_answers || { say "docker does not find the Compose plugin in $PLUGINS"; exit 1; }
say "engine $(docker info --format '{{.ServerVersion}}'), Compose $(docker compose version --short)"
