"""The envelope that every command returns. Nothing below the CLI prints it."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from orchestrator.errors import EXIT_OK, OrchestratorError

SCHEMA = "orchestrator/v1"

OF_A_STACK = re.compile(r"\borchestrator (?:up|down|wire|verify|status|logs|lock)\b(?! --(?:stack|help))")
"""Those of our commands that work on one stack, where they do not name one yet."""

Verdict = Literal["pass", "warn", "fail", "skip", "error", "fixed"]


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    text: str = ""
    commands: tuple[str, ...] = ()

    def for_stack(self, name: str) -> Remedy:
        """Probes and causes know no stack's name: what they advise must not start or change another one."""
        if name == "default":
            return self

        def named(text: str) -> str:
            return OF_A_STACK.sub(lambda found: f"{found[0]} --stack {name}", text)

        return Remedy(text=named(self.text), commands=tuple(map(named, self.commands)))


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One answered question: a probe of `verify`, a guard of `up`, a check of `doctor`."""

    id: str
    verdict: Verdict
    question: str
    evidence: str = ""
    """The value that was read, not an opinion on it."""
    reason: str = ""
    remedy: Remedy = Remedy()
    docs: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str
    remedy: str = ""
    evidence: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a command has to say. `ok` and `exit_code` agree: 0 if and only if ok."""

    command: str
    data: dict[str, Any] = {}
    findings: tuple[Finding, ...] = ()
    error: Problem | None = None
    exit_code: int = EXIT_OK

    @property
    def ok(self) -> bool:
        return self.exit_code == EXIT_OK


def envelope(result: Result) -> dict[str, Any]:
    """The one object that `--json` prints."""
    return {
        "schema": SCHEMA,
        "command": result.command,
        "ok": result.ok,
        "exit_code": result.exit_code,
        "data": msgspec.to_builtins(result.data),
        "findings": msgspec.to_builtins(result.findings),
        "error": msgspec.to_builtins(result.error),
    }


def failed(command: str, error: OrchestratorError) -> Result:
    return Result(
        command=command,
        data=dict(error.data),
        findings=error.findings,
        error=Problem(code=error.code, message=error.message, remedy=error.remedy, evidence=error.evidence),
        exit_code=error.exit_code,
    )
