"""Stores what a verified start measured, one line each, and shows it (`plan --history`)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from orchestrator import state
from orchestrator.plan.calibration import Measurement, compare, measurement_of
from orchestrator.plan.records import Plan
from orchestrator.result import Result

KEPT = 200
"""Lines; older ones fall out."""


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


def record_measurement(plan: Plan, pid: int | None) -> Measurement | None:
    """After a verified start: what the embedding server holds now. None where it cannot be read."""
    if pid is None:
        return None
    from orchestrator.facts.usage import gpu_bytes, resident_bytes

    if plan.device.kind == "gpu" and plan.device.uuid:
        measured, method = gpu_bytes(pid, plan.device.uuid), "NVML per process"
    else:
        measured, method = resident_bytes(pid), "RSS"
    if measured is None:
        return None
    measurement = measurement_of(plan, measured, method, datetime.now(UTC).isoformat(timespec="seconds"))
    lines = [msgspec.json.encode(one) for one in (*read_measurements(), measurement)][-KEPT:]
    state.write_whole(measurements_file(), b"\n".join(lines) + b"\n")
    return measurement


def history_result() -> Result:
    history = compare(read_measurements())
    return Result(command="plan", data={"history": history, "measurements": read_measurements()})
