"""Stores what a verified start measured, one line each, and shows it (`plan --history`)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from orchestrator import state
from orchestrator.errors import OrchestratorError
from orchestrator.facts.records import Facts
from orchestrator.plan.calibration import MeasuredTerm, Measurement, compare, measurement_of
from orchestrator.plan.records import Plan
from orchestrator.result import Result

if TYPE_CHECKING:
    from orchestrator.engines.engine import Running
    from orchestrator.operations.stack import Stack

KEPT = 200
"""Lines; older ones fall out."""
LOG_LINES = 5000
"""A start of vLLM writes about 150; the rest is what came after it."""
BUFFERS = ("compute buffer", "output buffer")
"""The plan's two words for what llama.cpp lists as compute and output buffers."""


def measurements_file() -> Path:
    return state.home() / "measurements.jsonl"


def read_measurements() -> tuple[Measurement, ...]:
    """A line that cannot be read (another version's) is passed over: it is a hint, not state."""
    try:
        lines = measurements_file().read_bytes().splitlines()
    except OSError:
        return ()
    found = []
    for line in lines:
        try:
            found.append(msgspec.json.decode(line, type=Measurement))
        except msgspec.DecodeError:
            continue
    return tuple(found)


def experience_of(facts: Facts) -> tuple[Measurement, ...]:
    """What earlier runs measured here; nothing for a machine that is only described."""
    return () if facts.simulated else read_measurements()


def record_measurement(stack: Stack) -> Measurement | None:
    """After a verified start: what the embedding server holds now, and what it tells of single terms itself.

    None where its use cannot be read. Never raises: a stack that is proven does not fail for want of a statistic.
    """
    try:
        return _record(stack)
    except (OrchestratorError, OSError):
        return None


def _record(stack: Stack) -> Measurement | None:
    running = next((one for one in stack.engine.observe() if one.role == "embeddings"), None)
    terms = told_terms(stack.plan, stack.engine.logs("embeddings", LOG_LINES))
    if stack.plan.backend == "ollama":
        terms += _told_by_ollama(stack)
    used = _used(stack.plan, running, terms)
    if used is None:
        return None
    when = datetime.now(UTC).isoformat(timespec="seconds")
    measurement = measurement_of(stack.plan, used[0], used[1], when, terms)
    lines = [msgspec.json.encode(one) for one in (*read_measurements(), measurement)][-KEPT:]
    state.write_whole(measurements_file(), b"\n".join(lines) + b"\n")
    return measurement


def _used(plan: Plan, running: Running | None, terms: tuple[MeasuredTerm, ...]) -> tuple[int, str] | None:
    """(bytes, what was read): the processes, else their container, else what Ollama says of its model."""
    from orchestrator.facts import usage

    uuid = plan.device.uuid if plan.device.kind == "gpu" else None
    pid = running.pid if running else None
    if pid is not None:
        held = usage.gpu_bytes(pid, uuid) if uuid else usage.resident_bytes(pid)
        if held is not None:
            return held, "NVML per process" if uuid else "RSS"
    container = running.container if running else None
    if container is not None and uuid is None and (held := usage.container_bytes(container)) is not None:
        return held, "the container's memory"
    by_name = {term.name: term for term in terms}
    model = by_name.get("size_vram" if uuid else "size")
    return (model.measured_bytes, "Ollama /api/ps") if model is not None else None


def told_terms(plan: Plan, lines: list[str]) -> tuple[MeasuredTerm, ...]:
    """The log's numbers beside the plan's terms of the same name."""
    from orchestrator.facts.server_log import kv_tokens_told, memory_told
    from orchestrator.plan.shape import BYTES_OF_DTYPE, kv_bytes_per_token

    program = "vLLM" if plan.backend == "vllm" else "llama.cpp"
    told = [
        MeasuredTerm(
            name=one.name,
            measured_bytes=one.bytes,
            predicted_bytes=_predicted(plan, one.name),
            method=f"{program}'s log: {one.text}",
        )
        for one in memory_told(lines)
    ]
    tokens = kv_tokens_told(lines)
    per_token = kv_bytes_per_token(plan.card, BYTES_OF_DTYPE.get(plan.weights.dtype, 2))
    if tokens and per_token and not any(one.name == "kv cache" for one in told):
        told.append(
            MeasuredTerm(
                name="kv cache",
                measured_bytes=tokens * per_token,
                predicted_bytes=_predicted(plan, "kv cache"),
                method=f"vLLM's log: KV cache size: {tokens:,} tokens, of {per_token} B",
            )
        )
    return tuple(told)


def _predicted(plan: Plan, name: str) -> int | None:
    wanted = {"weights file": ("weights",), "buffers": BUFFERS, "weights and context": ("weights", "cuda context")}
    names = wanted.get(name, (name,))
    found = [term.bytes for term in plan.memory.terms if term.name in names]
    return sum(found) if found else None


def _told_by_ollama(stack: Stack) -> tuple[MeasuredTerm, ...]:
    """The whole model as Ollama's scheduler counts it: weights, cache and buffers."""
    from orchestrator.clients.ollama import OllamaClient

    with OllamaClient(stack.url("embeddings")) as client:
        loaded = client.loaded(stack.plan.served_name)
    if loaded is None:
        return ()
    predicted = sum(t.bytes for t in stack.plan.memory.terms if t.name in ("weights", "kv cache", *BUFFERS))
    sizes = {"size": loaded.size, "size_vram": loaded.size_vram}
    return tuple(
        MeasuredTerm(name=name, measured_bytes=size, predicted_bytes=predicted, method=f"Ollama /api/ps: {name}")
        for name, size in sizes.items()
        if size > 0
    )


def history_result() -> Result:
    measurements = read_measurements()
    return Result(command="plan", data={"history": compare(measurements), "measurements": measurements})
