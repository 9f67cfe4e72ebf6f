"""What only a diagnosis asks of a card; a plan needs none of it (facts/gpu.py has what it needs)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import msgspec

from orchestrator.facts.gpu import FieldReader, library_found, unreadable
from orchestrator.facts.records import Unreadable

T = TypeVar("T")
DOUBLE_BIT = 1
"""NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR"""


class CardHealth(msgspec.Struct, frozen=True, kw_only=True):
    bus: str | None = None
    """PCI address as the kernel's log writes it: `0000:01:00`."""
    retired_pages: int | None = None
    """After double-bit errors: older cards' way of putting bad memory aside."""
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    """Ampere and later put bad rows aside; a failure means that there is no spare row left."""
    busy_percent: int | None = None
    unreadable: dict[str, Unreadable] = {}


def read_health(uuid: str) -> CardHealth | Unreadable:
    """Of a whole card; a MIG slice is asked for by its parent's uuid."""

    def read(nvml: Any, handle: Any) -> CardHealth:
        ask = FieldReader(nvml)
        pci = ask("bus", nvml.nvmlDeviceGetPciInfo, handle)
        pages = ask("retired_pages", nvml.nvmlDeviceGetRetiredPages, handle, DOUBLE_BIT)
        rows = ask("remap", nvml.nvmlDeviceGetRemappedRows, handle)
        use = ask("busy_percent", nvml.nvmlDeviceGetUtilizationRates, handle)
        return CardHealth(
            bus=f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}" if pci is not None else None,
            retired_pages=len(pages) if pages is not None else None,
            remap_pending=bool(rows[2]) if rows is not None else None,
            remap_failed=bool(rows[3]) if rows is not None else None,
            busy_percent=int(use.gpu) if use is not None else None,
            unreadable=ask.unreadable,
        )

    return _of_card(uuid, read)


def free_bytes(uuid: str) -> int | Unreadable:
    """Now, of a card or a MIG slice."""
    return _of_card(uuid, lambda nvml, handle: int(nvml.nvmlDeviceGetMemoryInfo(handle).free))


def _of_card(uuid: str, read: Callable[[Any, Any], T]) -> T | Unreadable:
    if not library_found():
        return Unreadable(code="no_library", reason="no NVIDIA driver library on this machine")
    import pynvml as nvml

    try:
        with _session(nvml):
            return read(nvml, nvml.nvmlDeviceGetHandleByUUID(uuid))
    except nvml.NVMLError as error:
        return unreadable(error)


@contextmanager
def _session(nvml: Any) -> Iterator[None]:
    """NVML counts its users: threads that come and go together do not end each other's."""
    nvml.nvmlInit()
    try:
        yield
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()
