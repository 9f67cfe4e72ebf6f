"""The secrets of a native service: a 0600 file that its start script sources, and files that it reads itself. Pure."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from pathlib import Path

from orchestrator.engines.native_render import secrets_path
from orchestrator.errors import EXIT_TOOL, OrchestratorError
from orchestrator.services.service import Service
from orchestrator.state import StackFolder

SECRETS_VARIABLE = "ORCHESTRATOR_SECRETS"
"""In a running service's environment: the digest of the secrets that it was started with."""


def secret_texts(folder: StackFolder, service: Service, secrets: Mapping[str, str]) -> dict[Path, str]:
    """Path → content of every secret file of this service."""
    lines = [f"export {s.variable}={shlex.quote(_value(service, s.secret, secrets))}" for s in service.secrets]
    header = "# Secrets of one service, sourced by its start script. Only its owner may read this file."
    lines = [header, f"export {SECRETS_VARIABLE}={secrets_id(service, secrets)}", *lines]
    return {secrets_path(folder, service.role): "\n".join(lines) + "\n"}


def secrets_id(service: Service, secrets: Mapping[str, str]) -> str:
    """The secrets are long and random, so that a digest gives nothing away; it stands beside them anyway."""
    named = [(s.variable, _value(service, s.secret, secrets)) for s in service.secrets]
    return hashlib.sha256(repr(named).encode()).hexdigest()[:16]


def _value(service: Service, name: str, secrets: Mapping[str, str]) -> str:
    try:
        return secrets[name]
    except KeyError:
        raise OrchestratorError(
            "secret_missing",
            f"{service.name} needs the secret {name!r}, and this stack has none of that name",
            remedy="this is a mistake in this tool: please report it",
            exit_code=EXIT_TOOL,
        ) from None
