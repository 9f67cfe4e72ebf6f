"""`up`: from a bare machine to a verified stack. Converges from any state that an earlier run left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.operations.alone import alone
from orchestrator.operations.calibration import record_measurement
from orchestrator.operations.changes import changes_of, is_settled
from orchestrator.operations.guard import guard
from orchestrator.operations.planning import Decided, decide, refuse_dangerous_change
from orchestrator.operations.proving import prove
from orchestrator.operations.ready import readiness
from orchestrator.operations.record import write_intent, write_proof
from orchestrator.operations.report import stack_data
from orchestrator.operations.secrets import ensure_secrets
from orchestrator.operations.stack import Stack, stack_of
from orchestrator.operations.wiring import rewire
from orchestrator.plan.spec import Spec
from orchestrator.progress import Progress
from orchestrator.result import Finding, Result
from orchestrator.state import StackFolder


@dataclass(frozen=True, kw_only=True)
class UpRequest:
    spec: Spec
    asked: tuple[str, ...] = ()
    """Keys that flags asked for (operations/request.py): the next `up` recalls them."""
    replan: bool = False
    lock_timeout_s: float = 600.0


def up(request: UpRequest, progress: Progress, show: Callable[[Decided], None]) -> Result:
    """Bring the stack up, wire it and prove it. `show` is given the plan as soon as it is decided."""
    folder = StackFolder(request.spec.stack)
    with alone(folder, "up", request.lock_timeout_s, progress):
        progress.step("plan")
        decided = decide(request.spec, folder, replan=request.replan, asked=request.asked)
        stack = stack_of(decided.decision.plan, folder)
        if decided.kept and is_settled(stack):
            return _result(stack, decided, findings=(), changed=False)
        show(decided)
        refuse_dangerous_change(folder, decided)
        guards = guard(stack, decided, progress)
        write_intent(folder, decided.intent)
        _start(stack, progress)
        findings = prove(stack, progress)
        write_proof(folder, stack.plan, stack.files, findings)
        record_measurement(stack)
        return _result(stack, decided, findings=(*guards, *findings), changed=True)


def rehearse(request: UpRequest) -> tuple[Decided, Result]:
    """`up --dry-run`: the plan and what would change. Writes nothing."""
    folder = StackFolder(request.spec.stack)
    decided = decide(request.spec, folder, replan=request.replan, asked=request.asked)
    stack = stack_of(decided.decision.plan, folder)
    return decided, Result(command="up", data={**decided_data(decided), "changes": changes_of(stack)})


def decided_data(decided: Decided) -> dict[str, object]:
    decision = decided.decision
    return {
        "plan": decision.plan,
        "rejected": decision.rejected,
        "throughput": decision.throughput,
        "kept": decided.kept,
    }


def _start(stack: Stack, progress: Progress) -> None:
    from orchestrator.models.fetch import fetch

    secrets = ensure_secrets(stack.folder)
    if stack.plan.weights.source.kind != "ollama":
        progress.step(f"fetch {stack.plan.model}")
        fetch(stack.plan.weights.source, stack.plan.weights.bytes, progress)
    progress.step(f"prepare {', '.join(service.name for service in stack.services)}")
    stack.engine.prepare(stack.services, progress)
    progress.step(f"start on {stack.plan.engine}")
    ready = readiness(stack, secrets, progress)
    stack.engine.apply(stack.services, stack.files, secrets, progress, ready)
    for service in stack.services:
        ready(service)
    if stack.has("webui"):
        progress.step("wire Open WebUI")
        rewire(stack, progress)


def _result(stack: Stack, decided: Decided, *, findings: tuple[Finding, ...], changed: bool) -> Result:
    data = {**stack_data(stack), **decided_data(decided), "changed": changed}
    return Result(command="up", data=data, findings=findings)
