"""The verbs that look at a stack or repair its wiring: `status`, `verify`, `wire`, `logs`."""

from __future__ import annotations

import msgspec

from orchestrator.doctor.causes import match_cause
from orchestrator.errors import EXIT_OK, EXIT_VERDICT
from orchestrator.operations.alone import alone
from orchestrator.operations.failure import redact
from orchestrator.operations.proving import examine
from orchestrator.operations.report import stack_data
from orchestrator.operations.secrets import read_secrets
from orchestrator.operations.stack import existing_stack
from orchestrator.operations.wiring import rewire
from orchestrator.plan.records import Role
from orchestrator.progress import Progress
from orchestrator.result import Result
from orchestrator.state import StackFolder


def status(name: str) -> Result:
    data = stack_data(existing_stack(name))
    healthy = all(service["healthy"] for service in data["services"].values())
    return Result(command="status", data=data, exit_code=EXIT_OK if healthy else EXIT_VERDICT)


def verify(name: str, progress: Progress, *, lock_timeout_s: float) -> Result:
    """Under the stack's lock: a second run would take this one's traces for leftovers and remove them."""
    stack = existing_stack(name)
    with alone(StackFolder(name), "verify", lock_timeout_s, progress):
        progress.step("verify the vectors")
        findings = examine(stack, progress)
    wrong = any(finding.verdict in ("fail", "error") for finding in findings)
    return Result(
        command="verify",
        data={"stack": name, "model": stack.plan.model, "dimension": stack.plan.dimension},
        findings=findings,
        exit_code=EXIT_VERDICT if wrong else EXIT_OK,
    )


def wire(name: str, progress: Progress, *, lock_timeout_s: float) -> Result:
    stack = existing_stack(name)
    with alone(StackFolder(name), "wire", lock_timeout_s, progress):
        progress.step("wire Open WebUI")
        report = rewire(stack, progress)
    changed = [msgspec.to_builtins(change) for change in report.changed]
    return Result(command="wire", data={"stack": name, "changed": changed})


def logs(name: str, roles: tuple[Role, ...], lines: int) -> Result:
    stack = existing_stack(name)
    secrets = read_secrets(stack.folder).values()
    shown = {}
    for role in roles or stack.plan.roles:
        tail = [redact(line, secrets) for line in stack.engine.logs(role, lines)]
        cause = match_cause("\n".join(tail))
        shown[role] = {"lines": tail, "cause": msgspec.to_builtins(cause) if cause else None}
    return Result(command="logs", data={"stack": name, "logs": shown})


def follow_logs(name: str, roles: tuple[Role, ...], lines: int) -> int:
    stack = existing_stack(name)
    return stack.engine.follow(roles or stack.plan.roles, lines)
