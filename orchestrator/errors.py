"""The one exception type. Raised at the door where the fact was seen, caught once in `cli/main.py`."""

from __future__ import annotations

from typing import Any

EXIT_OK = 0
EXIT_VERDICT = 1
"""A check, a target, a verification or a start failed."""
EXIT_USAGE = 2
EXIT_TOOL = 3
"""The tool itself failed."""
EXIT_INTERRUPTED = 130


class OrchestratorError(Exception):
    """Something that a person can act on.

    `code` is stable and machine-readable (`no_plan`, `port_taken`); `remedy` says what to do, with the exact
    command where there is one; `evidence` is what was read (a log tail, an answer), never a secret.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        remedy: str = "",
        evidence: str = "",
        exit_code: int = EXIT_VERDICT,
        data: dict[str, object] | None = None,
        findings: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.evidence = evidence
        self.exit_code = exit_code
        self.data = data or {}
        """What the command still has to show, for example the rejected candidates of `no_plan`."""
        self.findings = findings
        """`result.Finding` records that the command had gathered when it failed."""


def usage_error(field: str, value: object, message: str, remedy: str) -> OrchestratorError:
    """Bad input: names the field, the value and the remedy; exits 2; nothing was changed."""
    return OrchestratorError(
        "usage",
        f"{field}: {message} (got {value!r})",
        remedy=remedy,
        evidence=f"{field}={value!r}",
        exit_code=EXIT_USAGE,
    )


def not_written(option: str, path: object, error: OSError) -> OrchestratorError:
    """A file that the user asked for, where it cannot be."""
    return OrchestratorError(
        "not_written",
        f"{option}: {path} cannot be written: {error.strerror or error}",
        remedy=f"name a file that you may write: {option} FILE",
        evidence=f"errno {error.errno}",
    )
