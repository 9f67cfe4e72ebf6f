"""What the machine does while the load runs. Never fails a run: what cannot be read is a note.

Each source is read by a thread of its own, so that a slow `/metrics` cannot hold up the card's power readings.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from orchestrator.bench.records import Series

GPU_EVERY_S = 0.2
"""NVML averages power over 25 to 100 ms on current cards and utilisation over up to a second (vendor)."""
PROCESS_EVERY_S = 0.5
SERVER_EVERY_S = 1.0
"""Rendering `/metrics` costs the server a few milliseconds (estimate): at one a second it measures, not loads."""
GIVE_UP_AFTER = 3
"""A source that fails this often in a row is left alone, with a note."""
STOP_WAIT_S = 3.0

Reading = dict[str, float]


class Source(Protocol):
    """Something that can be read again and again."""

    name: str
    every_s: float
    units: dict[str, str]
    """Series name → unit, for everything that `read` may return."""

    def read(self) -> Reading:
        """What is there now; a name that is missing could not be read. May raise: the sampler notes it."""


class Sampler:
    """`with Sampler(sources) as sampler: ...`; then `sampler.series(zero)`.

    Enter it some seconds before the load begins: what is seen then is the machine at rest, and Joules need it.
    """

    def __init__(self, sources: Sequence[Source], clock: Callable[[], float] = time.monotonic) -> None:
        self._sources = list(sources)
        self._clock = clock
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._seen: dict[str, list[tuple[float, float]]] = {}
        self._notes: list[str] = []

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._watch, args=(s,), daemon=True) for s in self._sources]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_WAIT_S)  # daemons: one that hangs in a driver cannot hold the run

    def series(self, zero: float) -> tuple[Series, ...]:
        """Everything seen, in seconds from `zero` (the end of the warm-up on the sampler's clock)."""
        units = {name: unit for source in self._sources for name, unit in source.units.items()}
        return tuple(
            Series(
                name=name,
                unit=units[name],
                time_s=np.array([when - zero for when, _ in seen]),
                value=np.array([value for _, value in seen]),
            )
            for name, seen in sorted(self._seen.items())
        )

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def _watch(self, source: Source) -> None:
        failures = 0
        due = self._clock()
        while not self._stop.is_set():
            try:
                reading = source.read()
            except Exception as error:
                failures += 1
                if failures == GIVE_UP_AFTER:
                    self._notes.append(f"{source.name} was not read: {_in_words(error)}")
                    return
            else:
                failures = 0
                now = self._clock()
                for name, value in reading.items():
                    self._seen.setdefault(name, []).append((now, float(value)))
            due = max(due + source.every_s, self._clock())
            self._stop.wait(due - self._clock())


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


class GpuSource:
    """One card through NVML. What a card does not tell is left out; `notes_of` says so once."""

    every_s = GPU_EVERY_S
    units = {  # noqa: RUF012 - read only
        "gpu.utilisation": "share",
        "gpu.memory": "bytes",
        "gpu.power": "W",
        "gpu.sm_clock": "MHz",
        "gpu.memory_clock": "MHz",
        "gpu.temperature": "°C",
        "gpu.throttle": "bits",
        "gpu.energy": "J",
    }

    def __init__(self, uuid: str) -> None:
        import pynvml

        self.name = f"the card {uuid}"
        self._nvml: Any = pynvml
        pynvml.nvmlInit()
        self._card = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        self._readers: dict[str, Callable[[], float]] = {
            "gpu.utilisation": lambda: self._nvml.nvmlDeviceGetUtilizationRates(self._card).gpu / 100,
            "gpu.memory": lambda: self._nvml.nvmlDeviceGetMemoryInfo(self._card).used,
            "gpu.power": lambda: self._nvml.nvmlDeviceGetPowerUsage(self._card) / 1000,
            "gpu.sm_clock": lambda: self._nvml.nvmlDeviceGetClockInfo(self._card, self._nvml.NVML_CLOCK_SM),
            "gpu.memory_clock": lambda: self._nvml.nvmlDeviceGetClockInfo(self._card, self._nvml.NVML_CLOCK_MEM),
            "gpu.temperature": lambda: self._nvml.nvmlDeviceGetTemperature(self._card, self._nvml.NVML_TEMPERATURE_GPU),
            "gpu.throttle": lambda: self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons(self._card),
            "gpu.energy": lambda: self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._card) / 1000,
        }
        self.unreadable: dict[str, str] = {}
        """Series name → why the card does not tell it; not asked again."""

    def read(self) -> Reading:
        from orchestrator.facts.gpu import unreadable

        reading: Reading = {}
        for name, reader in list(self._readers.items()):
            try:
                reading[name] = float(reader())
            except (self._nvml.NVMLError, self._nvml.NVMLLibraryMismatchError, AttributeError) as error:
                self.unreadable[name] = unreadable(error).reason
                del self._readers[name]
        if not self._readers:
            raise RuntimeError("; ".join(sorted(set(self.unreadable.values()))))
        return reading


class ProcessSource:
    """The embedding server: its process and all its children (vLLM has an engine process of its own)."""

    name = "the server's process"
    every_s = PROCESS_EVERY_S
    units = {"server.cpu": "cores", "server.rss": "bytes"}  # noqa: RUF012 - read only

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before: tuple[float, dict[int, float]] | None = None

    def read(self) -> Reading:
        import psutil

        from orchestrator.facts.usage import resident_bytes

        parent = psutil.Process(self._pid)
        spent: dict[int, float] = {}
        for process in (parent, *parent.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue  # it ended while we counted
            spent[process.pid] = times.user + times.system
        now = time.monotonic()
        reading: Reading = {}
        resident = resident_bytes(self._pid)
        if resident is not None:
            reading["server.rss"] = resident
        if self._before is not None:
            then, before = self._before
            used = sum(value - before.get(pid, value) for pid, value in spent.items())
            reading["server.cpu"] = max(used, 0.0) / (now - then)
        self._before = (now, spent)
        return reading


class HostSource:
    """The whole machine: what else runs on it shows here."""

    name = "the host"
    every_s = PROCESS_EVERY_S
    units = {"host.cpu": "cores", "host.memory": "bytes"}  # noqa: RUF012 - read only

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None

    def read(self) -> Reading:
        import psutil

        times, memory = psutil.cpu_times(), psutil.virtual_memory()
        # Guest time is inside user time, waiting for a disk is idle.
        idle = times.idle + getattr(times, "iowait", 0.0)
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        busy, now = sum(times) - idle - guests, time.monotonic()
        reading: Reading = {"host.memory": float(memory.total - memory.available)}
        if self._before is not None:
            then, before = self._before
            reading["host.cpu"] = max(busy - before, 0.0) / (now - then)
        self._before = (now, busy)
        return reading


def sources_of(
    *, gpu_uuid: str | None, server_pid: int | None, server: Source | None
) -> tuple[list[Source], tuple[str, ...]]:
    """Everything that can be watched here, and why not what cannot."""
    sources: list[Source] = [HostSource()]
    notes: list[str] = []
    if gpu_uuid is not None:
        try:
            sources.append(GpuSource(gpu_uuid))
        except Exception as error:
            from orchestrator.facts.gpu import unreadable

            notes.append(f"the card was not watched: {unreadable(error).reason}")
    if server_pid is not None:
        sources.append(ProcessSource(server_pid))
    if server is not None:
        sources.append(server)
    return sources, tuple(notes)
