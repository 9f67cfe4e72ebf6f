"""`docker compose`, called by argument list; its failure becomes ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

from orchestrator.errors import OrchestratorError

EVIDENCE_LINES = 20


def compose_argv(project: str, rendered: Path, *words: str) -> list[str]:
    """Project, file and environment file are named, so that COMPOSE_* variables of the user's shell change nothing."""
    environment = rendered / ".env"
    return [
        *("docker", "compose", "--progress", "plain"),
        *("--project-name", project),
        *("--project-directory", str(rendered)),
        *("--file", str(rendered / "compose.yaml")),
        *(("--env-file", str(environment)) if environment.exists() else ()),
        *words,
    ]


def run_compose(argv: list[str]) -> str:
    """Its standard output. Exit codes differ between versions (facts/docker 3.2): only zero means anything."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError:
        raise OrchestratorError(
            "docker_cli_missing",
            "there is no `docker` program on PATH",
            remedy="install Docker with its Compose plugin, or run the stack without Docker: --engine native",
        ) from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or done.stdout.strip().splitlines()
        raise OrchestratorError(
            "compose_failed",
            f"docker compose: {_last_words(lines)}",
            evidence="\n".join(lines[-EVIDENCE_LINES:]),
        )
    return done.stdout


def _last_words(lines: list[str]) -> str:
    """The error stands last; Compose says some of them twice."""
    return lines[-1].strip() if lines else "ended with an error and said nothing"
