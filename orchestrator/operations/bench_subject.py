"""What is measured: a running stack with all that is known of it, or any endpoint of which nothing is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.bench.records import Api, Endpoint, Goal, Limits, MeasuredPeak
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Plan

if TYPE_CHECKING:
    from orchestrator.bench.telemetry import Source
    from orchestrator.facts.records import Facts
    from orchestrator.operations.stack import Stack

UNKNOWN_TYPE = "auto"
"""An endpoint does not tell how its weights are stored: the tolerance of 16 bit."""
ASK_TIMEOUT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Subject:
    endpoint: Endpoint
    base: Path | None
    """Whose `bench/` folder keeps the runs; None: the tool's own."""
    repeat_floor: float
    """Lowest cosine of one text embedded twice that passes as the same."""
    max_length: int | None
    target: Goal
    """What the stack's preset asks for."""
    limits: Limits
    fingerprint: dict[str, Any]
    sources: tuple[Source, ...]
    notes: tuple[str, ...] = ()
    measure_peak: Callable[[], MeasuredPeak | str] = field(default=lambda: "nothing is known of the device")


def subject_at(url: str, model: str, key: str, api: Api | None) -> Subject:
    """An endpoint without a stack: the machine is described, but it need not be the one that serves."""
    from orchestrator.bench.endpoint import endpoint_at
    from orchestrator.bench.telemetry import sources_of
    from orchestrator.verify.precision import tolerance_of

    endpoint = endpoint_at(url, model, key, api, ASK_TIMEOUT_S)
    sources, notes = sources_of(gpu_uuid=None, server_pid=None, server=None)
    return Subject(
        endpoint=endpoint,
        base=None,
        repeat_floor=tolerance_of(UNKNOWN_TYPE).repeat_floor,
        max_length=None,
        target=Goal(),
        limits=Limits(peak_basis="an endpoint does not tell its model's size nor its device"),
        fingerprint={**_fingerprint(_facts(), None), "endpoint.model": model},
        sources=tuple(sources),
        notes=notes,
    )


def subject_of(name: str) -> Subject:
    from orchestrator.bench.server_metrics import server_source
    from orchestrator.bench.telemetry import sources_of
    from orchestrator.operations.record import existing_intent
    from orchestrator.operations.secrets import read_secrets
    from orchestrator.operations.stack import existing_stack
    from orchestrator.verify.precision import tolerance_of

    stack = existing_stack(name)
    plan = stack.plan
    pid = _running_pid(stack)
    key = read_secrets(stack.folder).get("embeddings_api_key", "")
    url = stack.url("embeddings")
    target = existing_intent(stack.folder).spec.target
    goal = Goal(docs_per_s=target.docs_per_s, tokens_per_doc=target.tokens_per_doc)
    facts = _facts()
    sources, notes = sources_of(
        gpu_uuid=plan.device.uuid if plan.device.kind == "gpu" else None,
        server_pid=pid,
        server=server_source(plan.backend, url, plan.served_name, key),
    )
    return Subject(
        endpoint=Endpoint(url=url, model=plan.served_name, key=key),
        base=stack.folder.path,
        repeat_floor=tolerance_of(plan.weights.dtype).repeat_floor,
        max_length=plan.max_length,
        target=goal,
        limits=_limits(plan, facts, goal),
        fingerprint=_fingerprint(facts, stack),
        sources=tuple(sources),
        notes=notes,
        measure_peak=lambda: _measure_peak(stack),
    )


def with_peak(subject: Subject) -> Subject:
    """`--measure-peak`: before the load, while the device has nothing else to do."""
    from dataclasses import replace

    measured = subject.measure_peak()
    if isinstance(measured, str):
        return replace(subject, notes=(*subject.notes, f"the achievable peak was not measured: {measured}"))
    return replace(subject, limits=msgspec.structs.replace(subject.limits, measured=measured))


def _running_pid(stack: Stack) -> int | None:
    running = next((each for each in stack.engine.observe() if each.role == "embeddings"), None)
    if running is None or running.state != "running":
        raise OrchestratorError(
            "not_running",
            f"the embedding server of stack {stack.plan.stack} does not run",
            remedy=f"start it: orchestrator up --stack {stack.plan.stack}; or name an endpoint: --url URL --model NAME",
        )
    return running.pid


def _facts() -> Facts:
    from orchestrator.facts.read import read_facts

    return read_facts(offline=True, engine="native")


def _limits(plan: Plan, facts: Facts, goal: Goal) -> Limits:
    from orchestrator.bench.ceiling import limits_of_plan
    from orchestrator.catalog.gpus import cards
    from orchestrator.catalog.models import models
    from orchestrator.plan.choose import ALL_FAMILY

    gpu = next((gpu for gpu in facts.gpu.gpus if gpu.uuid == plan.device.uuid), None)
    family = tuple(models()[name] for name in ALL_FAMILY) if plan.card.id in ALL_FAMILY else ()
    return limits_of_plan(plan, gpu, goal, cards(), family)


def _fingerprint(facts: Facts, stack: Stack | None) -> dict[str, Any]:
    from orchestrator.bench.fingerprint import fingerprint_of, processor_name
    from orchestrator.operations.record import hash_of_plan

    try:
        processor = processor_name(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        processor = ""
    if stack is None:
        return fingerprint_of(facts, processor=processor)
    service = stack.service("embeddings")
    served = {service.name: service.version if stack.plan.engine == "native" else service.image}
    return fingerprint_of(
        facts,
        stack.plan,
        plan_hash=hash_of_plan(stack.plan),
        packages=served if stack.plan.engine == "native" else None,
        images=served if stack.plan.engine != "native" else None,
        processor=processor,
    )


def _measure_peak(stack: Stack) -> MeasuredPeak | str:
    from orchestrator.bench.peak import measure_peak
    from orchestrator.engines.environments import environment_folder

    service = stack.service("embeddings")
    running = next((each for each in stack.engine.observe() if each.role == "embeddings"), None)
    if stack.plan.engine == "compose" and stack.plan.backend == "vllm":
        return measure_peak(stack.plan, None, running.container if running else None)
    has_torch = stack.plan.backend == "vllm" and service.program.environment is not None
    python = environment_folder(service.program.environment) / "bin/python" if has_torch else None  # type: ignore[arg-type]
    return measure_peak(stack.plan, python)
