"""On what, and with what, a run was measured: the fields that must agree before two runs are compared."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import Any

import msgspec

from orchestrator.bench.records import Load, Run
from orchestrator.facts.records import Facts, Gpu
from orchestrator.plan.records import Plan

MEMORY_STEP = 2**30
"""Total memory is told to the GiB: kernels take a few megabytes more or less."""
LOAD_FIELDS = ("tokens", "batch", "arrival", "concurrency", "rate")
"""What makes a load another one; its duration, seed, time-out and workers do not."""


def fingerprint_of(
    facts: Facts,
    plan: Plan | None = None,
    *,
    plan_hash: str | None = None,
    packages: dict[str, str] | None = None,
    images: dict[str, str] | None = None,
    processor: str = "",
) -> dict[str, Any]:
    """`packages` are versions (native), `images` digests (Compose) of what serves. Pure."""
    fields: dict[str, Any] = {
        "tool": version("orchestrator"),
        "host.processor": processor,
        "host.architecture": facts.host.architecture,
        "host.cores": facts.host.cores,
        "host.physical_cores": facts.host.physical_cores,
        "host.memory_gib": round(facts.host.memory_total_bytes / MEMORY_STEP),
        "host.kernel": facts.host.kernel,
    }
    if plan is not None:
        fields |= _of_plan(plan, plan_hash)
        gpu = next((gpu for gpu in facts.gpu.gpus if gpu.uuid == plan.device.uuid), None)
        if gpu is not None:
            fields |= _of_gpu(gpu, facts)
    fields |= {f"package.{name}": text for name, text in (packages or {}).items()}
    fields |= {f"image.{name}": text for name, text in (images or {}).items()}
    return fields


def _of_plan(plan: Plan, plan_hash: str | None) -> dict[str, Any]:
    source = plan.weights.source
    return {
        "plan": plan_hash,
        "engine": plan.engine,
        "backend": f"{plan.backend} ({plan.backend_build})",
        "model": plan.model,
        "model.revision": source.revision,
        "weights": source.sha256 or source.key,
        "weights.dtype": plan.weights.dtype,
        "device": plan.device.kind,
    }


def _of_gpu(gpu: Gpu, facts: Facts) -> dict[str, Any]:
    return {
        # Hashed: a report may be published, a serial number need not.
        "gpu.id": hashlib.sha256(gpu.uuid.encode()).hexdigest()[:12],
        "gpu.name": gpu.name,
        "gpu.driver": facts.gpu.driver,
        "gpu.max_sm_clock_mhz": gpu.max_sm_clock_mhz,
        "gpu.power_limit_w": gpu.power_limit_w,
        "gpu.ecc": gpu.ecc_enabled,
    }


def processor_name(cpuinfo: str) -> str:
    """From the text of /proc/cpuinfo; empty where the kernel does not tell (ARM)."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return " ".join(value.split())
    return ""


def unlike(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, ...]:
    """`gpu.driver: '580.95' against '570.12'`, for every field that differs or that only one side has."""
    return tuple(
        f"{field}: {one.get(field)!r} against {other.get(field)!r}"
        for field in sorted({*one, *other})
        if one.get(field) != other.get(field)
    )


def unlike_loads(one: Load, other: Load) -> tuple[str, ...]:
    def fields(load: Load) -> dict[str, Any]:
        return {f"load.{name}": value for name, value in msgspec.structs.asdict(load).items() if name in LOAD_FIELDS}

    return unlike(fields(one), fields(other))


def unlike_runs(one: Run, other: Run) -> tuple[str, ...]:
    """Machine, software, model and load. Empty: the two may be compared."""
    return (*unlike(one.fingerprint, other.fingerprint), *unlike_loads(one.load, other.load))
