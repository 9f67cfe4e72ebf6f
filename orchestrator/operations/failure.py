"""A start that failed: the service's own last words, without secrets, and the matched cause."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.doctor.causes import match_cause
from orchestrator.errors import OrchestratorError
from orchestrator.operations.secrets import read_secrets
from orchestrator.operations.stack import Stack
from orchestrator.plan.records import Role

TAIL_LINES = 25
CAUSE_LINES = 200
"""The cause stands well above the last line in vLLM's logs (facts/embedding-servers.md 1.9)."""


def start_failure(stack: Stack, role: Role, reason: str) -> OrchestratorError:
    lines = stack.engine.logs(role, CAUSE_LINES)
    cause = match_cause("\n".join(lines))
    name = stack.service(role).name
    remedy = f"orchestrator logs {role} --stack {stack.plan.stack} shows more"
    if cause is not None:
        remedy = " ".join((f"{cause.cause}: {cause.remedy}", *cause.commands))
    return OrchestratorError(
        "start_failed",
        f"{name} ({role}) did not become ready: {reason}",
        remedy=remedy,
        evidence=redact("\n".join(lines[-TAIL_LINES:]), read_secrets(stack.folder).values()),
        data={"service": name, "role": role, "cause": cause.code if cause else None},
    )


def redact(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if len(secret) >= 8:
            text = text.replace(secret, "<secret>")
    return text
