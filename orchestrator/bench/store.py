"""A run on disk: `run.json` for what is told, `requests.npz` for what was counted. Columnar, compressed, checked."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from orchestrator.bench.records import (
    ClientReport,
    Endpoint,
    Failure,
    Goal,
    Limits,
    Load,
    Requests,
    Run,
    Series,
    Sweep,
    Wrong,
)
from orchestrator.errors import OrchestratorError
from orchestrator.state import home, write_whole

SCHEMA = "orchestrator/bench-run/v1"
SWEEP_SCHEMA = "orchestrator/bench-sweep/v1"
RUN_FILE = "run.json"
COLUMNS_FILE = "requests.npz"
SWEEP_FILE = "sweep.json"
COLUMNS: dict[str, str] = {
    "intended_s": "float64",
    "sent_s": "float64",
    "done_s": "float64",
    "outcome": "uint8",
    "status": "int16",
    "documents": "int32",
    "tokens_sent": "int64",
    "tokens_counted": "int64",
    "received_bytes": "int64",
    "worker": "int16",
}
"""Every column of `Requests` and its type."""


class SeriesHead(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    unit: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """`run.json`."""

    schema: str
    tool_version: str
    endpoint: Endpoint
    load: Load
    started_at: str
    client: ClientReport
    dimension: int
    tokens_per_doc: float
    wrongs: tuple[Wrong, ...]
    telemetry: tuple[SeriesHead, ...]
    fingerprint: dict[str, Any]
    goal: Goal
    limits: Limits
    notes: tuple[str, ...]
    columns_sha256: str
    failures: tuple[Failure, ...] = ()


class SweepIndex(msgspec.Struct, frozen=True, kw_only=True):
    """`sweep.json`."""

    schema: str
    started_at: str
    points: tuple[str, ...]
    """Folders of runs, beside this file."""


def new_run_folder(base: Path | None = None, now: datetime | None = None) -> Path:
    """`<stack>/bench/<timestamp>`, or under `$ORCHESTRATOR_HOME/bench` for an endpoint without a stack. Creates it."""
    root = (base if base is not None else home()) / "bench"
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    for attempt in range(1000):
        folder = root / (stamp if attempt == 0 else f"{stamp}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise OrchestratorError(
        "run_folder", f"{root} has a thousand runs of this second", remedy="name a folder that is free"
    )


def newest_run_folder(base: Path | None = None) -> Path:
    """The last whole run or sweep under a stack's folder (or `$ORCHESTRATOR_HOME`)."""
    root = (base if base is not None else home()) / "bench"
    whole = [path.parent for name in (RUN_FILE, SWEEP_FILE) for path in root.glob(f"*/{name}")]
    if not whole:
        raise OrchestratorError(
            "no_run",
            f"nothing was measured yet: no run under {root}",
            remedy="orchestrator bench measures; or name the folder of a run",
        )
    return max(whole, key=lambda folder: (folder.stat().st_mtime, folder.name))


def write_run(run: Run, folder: Path) -> None:
    columns = _columns(run)
    told = Told(
        schema=SCHEMA,
        tool_version=version("orchestrator"),
        endpoint=msgspec.structs.replace(run.endpoint, key=""),
        load=run.load,
        started_at=run.started_at,
        client=run.client,
        dimension=run.dimension,
        tokens_per_doc=run.tokens_per_doc,
        wrongs=run.wrongs,
        telemetry=tuple(SeriesHead(name=series.name, unit=series.unit) for series in run.telemetry),
        fingerprint=run.fingerprint,
        goal=run.goal,
        limits=run.limits,
        notes=run.notes,
        columns_sha256=hashlib.sha256(columns).hexdigest(),
        failures=run.failures,
    )
    write_whole(folder / COLUMNS_FILE, columns)
    # Last: a folder with run.json is whole.
    write_whole(folder / RUN_FILE, msgspec.json.format(msgspec.json.encode(told), indent=2))


def read_run(path: Path) -> Run:
    """From a run's folder, or its `run.json`."""
    folder = path.parent if path.name == RUN_FILE else path
    told = _told(folder)
    arrays = _arrays(folder, told.columns_sha256)
    missing = [name for name in (*COLUMNS, *_series_names(told)) if name not in arrays]
    if missing:
        raise _unreadable(folder, f"{COLUMNS_FILE} lacks {', '.join(missing)}")
    lengths = {len(arrays[name]) for name in COLUMNS}
    if len(lengths) != 1:
        raise _unreadable(folder, f"the columns of {COLUMNS_FILE} have different lengths")
    return Run(
        endpoint=told.endpoint,
        load=told.load,
        started_at=told.started_at,
        requests=Requests(**{name: arrays[name] for name in COLUMNS}),
        client=told.client,
        dimension=told.dimension,
        tokens_per_doc=told.tokens_per_doc,
        wrongs=told.wrongs,
        failures=told.failures,
        telemetry=tuple(
            Series(
                name=head.name,
                unit=head.unit,
                time_s=arrays[f"telemetry.{index}.time_s"],
                value=arrays[f"telemetry.{index}.value"],
            )
            for index, head in enumerate(told.telemetry)
        ),
        fingerprint=told.fingerprint,
        goal=told.goal,
        limits=told.limits,
        notes=told.notes,
    )


def write_sweep(sweep: Sweep, folder: Path) -> None:
    names = tuple(f"point-{index:03}" for index in range(len(sweep.points)))
    for name, run in zip(names, sweep.points, strict=True):
        write_run(run, folder / name)
    index = SweepIndex(schema=SWEEP_SCHEMA, started_at=sweep.started_at, points=names)
    write_whole(folder / SWEEP_FILE, msgspec.json.format(msgspec.json.encode(index), indent=2))


def read_sweep(folder: Path) -> Sweep:
    try:
        index = msgspec.json.decode((folder / SWEEP_FILE).read_bytes(), type=SweepIndex)
    except (OSError, msgspec.DecodeError) as error:
        raise _unreadable(folder, f"{SWEEP_FILE}: {error}") from None
    if index.schema != SWEEP_SCHEMA:
        raise _unreadable(folder, f"{SWEEP_FILE} says {index.schema!r}, this version reads {SWEEP_SCHEMA!r}")
    if any(Path(name).name != name for name in index.points) or not index.points:
        raise _unreadable(folder, f"{SWEEP_FILE} names no folders beside it")
    return Sweep(points=tuple(read_run(folder / name) for name in index.points), started_at=index.started_at)


def is_sweep(folder: Path) -> bool:
    return (folder / SWEEP_FILE).exists()


def _columns(run: Run) -> bytes:
    arrays = {name: np.asarray(getattr(run.requests, name), dtype=kind) for name, kind in COLUMNS.items()}
    for index, series in enumerate(run.telemetry):
        arrays[f"telemetry.{index}.time_s"] = series.time_s
        arrays[f"telemetry.{index}.value"] = series.value
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _series_names(told: Told) -> list[str]:
    return [f"telemetry.{index}.{part}" for index in range(len(told.telemetry)) for part in ("time_s", "value")]


def _told(folder: Path) -> Told:
    file = folder / RUN_FILE
    try:
        content = file.read_bytes()
    except OSError as error:
        raise _unreadable(folder, f"there is no readable {RUN_FILE} ({error.strerror})") from None
    try:
        schema = json.loads(content).get("schema")
    except (ValueError, AttributeError):
        raise _unreadable(folder, f"{RUN_FILE} is no JSON object") from None
    if schema != SCHEMA:
        raise _unreadable(folder, f"{RUN_FILE} says schema {schema!r}, this version reads {SCHEMA!r}")
    try:
        return msgspec.json.decode(content, type=Told)
    except msgspec.DecodeError as error:
        raise _unreadable(folder, f"{RUN_FILE}: {error}") from None


def _arrays(folder: Path, sha256: str) -> dict[str, np.ndarray[Any, Any]]:
    try:
        content = (folder / COLUMNS_FILE).read_bytes()
    except OSError as error:
        raise _unreadable(folder, f"there is no readable {COLUMNS_FILE} ({error.strerror})") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _unreadable(folder, f"{COLUMNS_FILE} is not the file that {RUN_FILE} was written with")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, KeyError) as error:
        raise _unreadable(folder, f"{COLUMNS_FILE}: {error}") from None


def _unreadable(folder: Path, reason: str) -> OrchestratorError:
    return OrchestratorError(
        "run_unreadable",
        f"{folder} is not a whole run of `orchestrator bench`: {reason}",
        remedy="name a folder that `orchestrator bench` wrote (its `run_dir`); measure again where it is damaged",
        evidence=str(folder),
    )
