#!/usr/bin/env bash
# Stands in the place of Open WebUI's own start.sh, which its Python package does not carry: the same variables, the
# same working folder, the same command line of the same program.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit

if [ -z "${WEBUI_SECRET_KEY}${WEBUI_JWT_SECRET_KEY}" ]; then
    key_file=${WEBUI_SECRET_KEY_FILE:-.webui_secret_key}
    [ -e "$key_file" ] || (umask 077 && head -c 12 /dev/random | base64 >"$key_file")
    WEBUI_SECRET_KEY=$(cat "$key_file")
fi
export WEBUI_SECRET_KEY

exec uvicorn open_webui.main:app --host "${HOST:-0.0.0.0}" --port "${PORT:-8080}" --forwarded-allow-ips '*' \
    --workers "${UVICORN_WORKERS:-1}"
