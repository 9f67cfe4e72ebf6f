"""The stack's secrets: generated once, kept in one 0600 file, never defaulted, never printed."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Mapping

from orchestrator.errors import OrchestratorError
from orchestrator.state import StackFolder, write_whole

ADMIN_EMAIL = "admin@orchestrator.local"
"""Open WebUI demands something of the form a@b.c; nothing is ever sent there."""

# Key in the credentials file → the name that services know the secret by.
NAMES = {
    "WEBUI_ADMIN_EMAIL": "webui_admin_email",
    "WEBUI_ADMIN_PASSWORD": "webui_admin_password",
    "WEBUI_API_KEY": "webui_api_key",
    "EMBEDDINGS_API_KEY": "embeddings_api_key",
    "WEBUI_SECRET_KEY": "webui_secret_key",
}


def ensure_secrets(folder: StackFolder) -> dict[str, str]:
    """The stack's secrets by name; missing ones are made. `webui_api_key` is empty until Open WebUI has made it."""
    values = read_secrets(folder)
    made = {
        "webui_admin_email": ADMIN_EMAIL,
        "webui_admin_password": randomness.token_urlsafe(18),
        "webui_api_key": "",
        "embeddings_api_key": randomness.token_urlsafe(32),
        "webui_secret_key": randomness.token_urlsafe(32),
    }
    missing = {name: value for name, value in made.items() if name not in values}
    if missing:
        values = {**values, **missing}
        store_secrets(folder, values)
    return values


def read_secrets(folder: StackFolder) -> dict[str, str]:
    try:
        text = folder.credentials_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        key, separator, value = line.partition("=")
        if not separator or key not in NAMES:
            raise OrchestratorError(
                "credentials_damaged",
                f"{folder.credentials_file}, line {number}: not one of {', '.join(NAMES)}",
                remedy="restore the file from a backup; its form is KEY=VALUE",
            )
        values[NAMES[key]] = value
    return values


def store_secrets(folder: StackFolder, values: Mapping[str, str]) -> None:
    folder.secrets.mkdir(parents=True, exist_ok=True)
    folder.secrets.chmod(0o700)
    lines = [f"{key}={values[name]}" for key, name in NAMES.items() if name in values]
    write_whole(folder.credentials_file, "\n".join(lines) + "\n", mode=0o600)
