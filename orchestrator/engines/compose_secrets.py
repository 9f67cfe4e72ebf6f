"""Secrets on their way into containers: one 0600 file per service, which the service's own shell reads. Pure.

Neither compose.yaml nor `docker inspect` holds a value. Compose does not notice when such a file changes (facts/docker
3.4): a hash of each goes into `.env`, from there into a label, and a changed label has the container made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from orchestrator.engines.engine import RenderedFile
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Role
from orchestrator.services.service import Service

WRAPPER = 'set -a; . /run/secrets/{role}.env; set +a; exec "$@"'


def secret_files(services: tuple[Service, ...], secrets: Mapping[str, str]) -> tuple[RenderedFile, ...]:
    """What must lie beside compose.yaml for `docker compose up`: secrets/ROLE.env, and .env with their hashes."""
    with_secrets = [service for service in services if service.secrets]
    files = [
        RenderedFile(path=f"secrets/{service.role}.env", text=_lines(service, secrets), mode=0o600)
        for service in with_secrets
    ]
    hashes = "".join(f"{secrets_variable(s.role)}={secrets_hash(s, secrets)}\n" for s in with_secrets)
    header = "# Hashes of secrets/*.env: a container is made again when its own changes.\n"
    return (*files, RenderedFile(path=".env", text=header + hashes, mode=0o600))


def secrets_hash(service: Service, secrets: Mapping[str, str]) -> str:
    """Empty without secrets. Every file holds a random key of 256 bits, so that the hash gives away nothing."""
    return hashlib.sha256(_lines(service, secrets).encode()).hexdigest()[:16] if service.secrets else ""


def secrets_variable(role: Role) -> str:
    return f"SECRETS_OF_{role.upper()}"


def _lines(service: Service, secrets: Mapping[str, str]) -> str:
    missing = [entry.secret for entry in service.secrets if entry.secret not in secrets]
    if missing:
        raise OrchestratorError("secret_missing", f"{service.name} needs the secret {missing[0]}, which was not made")
    return "".join(f"{entry.variable}={_quoted(secrets[entry.secret])}\n" for entry in service.secrets)


def _quoted(value: str) -> str:
    """For a POSIX shell: inside single quotes every character is itself, but for the quote."""
    return "'" + value.replace("'", "'\\''") + "'"
