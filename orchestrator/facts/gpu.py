"""Every NVIDIA card through NVML. Each number that cannot be read is a value with a reason, never a traceback."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from orchestrator.facts.records import Gpu, GpuFacts, GpuProcess, PcieLink, Unreadable

REASONS = {
    "NVMLError_LibraryNotFound": ("no_library", "no NVIDIA driver library (libnvidia-ml.so.1) on this machine"),
    "NVMLError_DriverNotLoaded": ("no_driver", "the NVIDIA driver's kernel module is not loaded"),
    "NVMLError_LibRmVersionMismatch": (
        "version_mismatch",
        "the driver's library and its kernel module have different versions (an update without a restart)",
    ),
    "NVMLError_NoPermission": ("no_permission", "this user may not use the NVIDIA devices"),
    "NVMLError_GpuIsLost": ("gpu_lost", "the card fell off the bus; it needs a reset or a restart"),
    "NVMLError_ResetRequired": ("reset_required", "the card needs a reset before it can be used"),
    "NVMLError_NotSupported": ("not_supported", "the card does not tell this"),
    "NVMLError_FunctionNotFound": ("function_not_found", "the driver is too old to tell this"),
    "NVMLError_Timeout": ("timeout", "the driver did not answer in time"),
    "NVMLError_InUse": ("in_use", "the card is in use by something that excludes us"),
    "NVMLError_NoData": ("no_data", "the card has no value for this"),
    "NVMLError_IrqIssue": ("irq_issue", "the kernel reports an interrupt problem with the card"),
    "NVMLError_Uninitialized": ("uninitialized", "NVML was not initialised"),
    "NVMLError_InsufficientPower": ("insufficient_power", "the card's power cables are not attached"),
    "NVMLError_CorruptedInforom": ("corrupted_inforom", "the card's own configuration memory is damaged"),
    "NVMLError_OperatingSystem": ("operating_system", "the operating system blocks access to the card (cgroups?)"),
    "NVMLError_Memory": ("no_memory", "NVML had no memory left"),
    "NVMLError_GpuNotFound": ("gpu_not_found", "no such card"),
    "NVMLError_NotFound": ("not_found", "no such thing on this card"),
}
FUNCTION_NOT_FOUND = "NVMLError_FunctionNotFound"
COMPUTE_MODES = {0: "default", 1: "exclusive_thread", 2: "prohibited", 3: "exclusive_process"}
ARCHITECTURES = {
    2: "Kepler", 3: "Maxwell", 4: "Pascal", 5: "Volta", 6: "Turing", 7: "Ampere", 8: "Ada", 9: "Hopper",
    10: "Blackwell",
}  # fmt: skip
THROTTLES = {
    0x2: "applications_clocks",
    0x4: "software_power_cap",
    0x8: "hardware_slowdown",
    0x10: "sync_boost",
    0x20: "software_thermal",
    0x40: "hardware_thermal",
    0x80: "hardware_power_brake",
    0x100: "display_clocks",
}
"""NVML's clock event reasons; idle (0x1) is no throttling."""
HIDES_ALL = ("", "-1", "none", "NoDevFiles")
SMS_OF_MIG_ATTRIBUTE = "multiprocessorCount"


def read_gpus(environment: Mapping[str, str] = os.environ) -> GpuFacts:
    """All visible cards. May hang in a broken driver: the caller gives it a deadline (facts/read.py)."""
    if not library_found():
        return GpuFacts(error=Unreadable(code="no_library", reason=REASONS["NVMLError_LibraryNotFound"][1]))
    try:
        import pynvml as nvml
    except ImportError as error:
        return GpuFacts(error=Unreadable(code="no_binding", reason=f"the Python binding of NVML is missing: {error}"))
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return GpuFacts(error=unreadable(error))
    try:
        return _read(nvml, environment)
    except nvml.NVMLError as error:
        return GpuFacts(error=unreadable(error))
    finally:
        # The answer is already there: a driver that cannot say goodbye changes nothing.
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def library_found() -> bool:
    """The question that pynvml asks first; importing it costs 50 ms, on most machines without a card in vain."""
    from ctypes import CDLL

    try:
        CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def unreadable(error: Exception) -> Unreadable:
    code, reason = REASONS.get(type(error).__name__, ("nvml_error", str(error)))
    value = getattr(error, "value", None)
    return Unreadable(code=code, reason=f"{reason} (NVML {value})" if value is not None else reason)


def _read(nvml: Any, environment: Mapping[str, str]) -> GpuFacts:
    found: list[Gpu] = []
    faults: list[Unreadable] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            card = _card(nvml, handle, index)
        except nvml.NVMLError as error:
            faults.append(unreadable(error))
            continue
        # A card that is split and has no slice takes no work; it is told, so that the plan can say why not.
        found += (_slices(nvml, handle, card) or [card]) if card.mig_enabled else [card]
    visible, restriction = visible_gpus(found, environment)
    absent = absent_entries(found, environment)
    if faults and not visible:
        return GpuFacts(error=faults[0], driver=_driver(nvml), cuda=_cuda(nvml), visible=restriction, absent=absent)
    return GpuFacts(gpus=tuple(visible), driver=_driver(nvml), cuda=_cuda(nvml), visible=restriction, absent=absent)


class FieldReader:
    """Asks one card, field by field; what fails is kept by field name."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self.unreadable: dict[str, Unreadable] = {}

    def __call__(self, field: str, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except self._nvml.NVMLError as error:
            self.unreadable[field] = unreadable(error)
        except self._nvml.NVMLLibraryMismatchError:
            # No subclass of NVMLError: pynvml raises it where an older library lacks a newer call's version.
            self.unreadable[field] = Unreadable(code="function_not_found", reason=REASONS[FUNCTION_NOT_FOUND][1])
        except AttributeError:
            self.unreadable[field] = Unreadable(code="function_not_found", reason="the binding lacks this function")
        return None


def _card(nvml: Any, handle: Any, index: int) -> Gpu:
    """A lost card raises at its uuid: without one it cannot be given to anything."""
    uuid = nvml.nvmlDeviceGetUUID(handle)
    read = FieldReader(nvml)
    name = read("name", nvml.nvmlDeviceGetName, handle) or "unknown NVIDIA card"
    total, used, free, reserved = _memory(nvml, handle, read)
    mig = read("mig_enabled", nvml.nvmlDeviceGetMigMode, handle)
    ecc = read("ecc_enabled", nvml.nvmlDeviceGetEccMode, handle)
    throttles = read("throttle_reasons", nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle) or 0
    mode = read("compute_mode", nvml.nvmlDeviceGetComputeMode, handle)
    architecture = read("architecture", nvml.nvmlDeviceGetArchitecture, handle)
    return Gpu(
        index=index,
        uuid=uuid,
        name=name,
        total_bytes=total,
        used_bytes=used,
        free_bytes=free,
        reserved_bytes=reserved,
        unified_memory=total is None or "GH200" in name or "GB10" in name,
        compute_capability=read("compute_capability", nvml.nvmlDeviceGetCudaComputeCapability, handle),
        architecture=ARCHITECTURES.get(architecture) if architecture is not None else None,
        processes=_processes(nvml, handle, read),
        mig_enabled=bool(mig and mig[0]),
        compute_mode=COMPUTE_MODES.get(mode, "default") if mode is not None else "default",
        persistence=_truth(read("persistence", nvml.nvmlDeviceGetPersistenceMode, handle)),
        ecc_enabled=_truth(ecc[0]) if ecc else None,
        ecc_uncorrected=read("ecc_uncorrected", nvml.nvmlDeviceGetTotalEccErrors, handle, 1, 0) if ecc else None,
        temperature_c=read("temperature_c", nvml.nvmlDeviceGetTemperature, handle, 0),
        power_draw_w=_watt(read("power_draw_w", nvml.nvmlDeviceGetPowerUsage, handle)),
        power_limit_w=_watt(read("power_limit_w", nvml.nvmlDeviceGetEnforcedPowerLimit, handle)),
        power_default_w=_watt(read("power_default_w", nvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)),
        throttle_reasons=tuple(text for bit, text in THROTTLES.items() if throttles & bit),
        cuda_cores=read("cuda_cores", nvml.nvmlDeviceGetNumGpuCores, handle),
        max_sm_clock_mhz=read("max_sm_clock_mhz", nvml.nvmlDeviceGetMaxClockInfo, handle, 1),
        pcie=PcieLink(
            generation=read("pcie.generation", nvml.nvmlDeviceGetCurrPcieLinkGeneration, handle),
            width=read("pcie.width", nvml.nvmlDeviceGetCurrPcieLinkWidth, handle),
            max_generation=read("pcie.max_generation", nvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
            max_width=read("pcie.max_width", nvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
        ),
        unreadable=read.unreadable,
    )


def _memory(nvml: Any, handle: Any, read: FieldReader) -> tuple[int | None, int | None, int | None, int | None]:
    """(total, used, free, reserved). Version 2 keeps the driver's own part apart; older drivers count it as used."""
    first = read("memory", lambda: nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2))
    if first is not None:
        read.unreadable.pop("memory", None)
        return first.total, first.used, first.free, first.reserved
    second = read("memory", nvml.nvmlDeviceGetMemoryInfo, handle)
    if second is None:
        return None, None, None, None
    read.unreadable.pop("memory", None)
    return second.total, second.used, second.free, None


def _processes(nvml: Any, handle: Any, read: FieldReader) -> tuple[GpuProcess, ...]:
    """Compute and graphics; a pid that is both counts once. Inside a container NVML shows the host's pids, or none."""
    listed: dict[int, GpuProcess] = {}
    compute = read("processes", nvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
    graphics = read("graphics_processes", nvml.nvmlDeviceGetGraphicsRunningProcesses, handle) or []
    for process in (*graphics, *compute):
        listed[process.pid] = GpuProcess(
            pid=process.pid, name=_process_name(process.pid), used_bytes=process.usedGpuMemory or None
        )
    return tuple(listed.values())


def _process_name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:  # noqa: PTH123 - one short read, no Path needed
            return file.read().strip()
    except OSError:
        return "another container's or user's process"


def _slices(nvml: Any, handle: Any, card: Gpu) -> list[Gpu]:
    """The MIG slices of a card: each is a card of its own; the whole is not usable while MIG is on."""
    slices: list[Gpu] = []
    for position in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, position)
            uuid = nvml.nvmlDeviceGetUUID(part)
        except nvml.NVMLError:
            continue  # the position is empty
        read = FieldReader(nvml)
        total, used, free, reserved = _memory(nvml, part, read)
        attributes = read("sm_count", nvml.nvmlDeviceGetAttributes, part)
        slices.append(
            Gpu(
                index=card.index,
                uuid=uuid,
                name=read("name", nvml.nvmlDeviceGetName, part) or f"{card.name} MIG",
                total_bytes=total,
                used_bytes=used,
                free_bytes=free,
                reserved_bytes=reserved,
                compute_capability=card.compute_capability,
                architecture=card.architecture,
                processes=_processes(nvml, part, read),
                parent_uuid=card.uuid,
                compute_mode=card.compute_mode,
                ecc_enabled=card.ecc_enabled,
                temperature_c=card.temperature_c,
                power_limit_w=card.power_limit_w,
                throttle_reasons=card.throttle_reasons,
                sm_count=getattr(attributes, SMS_OF_MIG_ATTRIBUTE, None),
                max_sm_clock_mhz=card.max_sm_clock_mhz,
                pcie=card.pcie,
                unreadable=read.unreadable,
            )
        )
    return slices


def _truth(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _watt(milliwatt: int | None) -> float | None:
    return None if milliwatt is None else milliwatt / 1000


def _driver(nvml: Any) -> str | None:
    version = FieldReader(nvml)("driver", nvml.nvmlSystemGetDriverVersion)
    return None if version is None else str(version)


def _cuda(nvml: Any) -> str | None:
    """12040 → 12.4."""
    version = FieldReader(nvml)("cuda", nvml.nvmlSystemGetCudaDriverVersion_v2)
    return None if version is None else f"{version // 1000}.{version % 1000 // 10}"


def visible_gpus(gpus: list[Gpu], environment: Mapping[str, str]) -> tuple[list[Gpu], str | None]:
    """What CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES leave, and the restriction that applied.

    CUDA stops at the first entry that it does not know, as here. NVIDIA_VISIBLE_DEVICES is the container toolkit's:
    inside a container the cards are already fewer and numbered anew, so that only uuids, `none` and `void` still say
    something.
    """
    notes: list[str] = []
    toolkit = environment.get("NVIDIA_VISIBLE_DEVICES")
    if toolkit in ("none", "void"):
        gpus, notes = ([] if toolkit == "none" else gpus), [f"NVIDIA_VISIBLE_DEVICES={toolkit}"]
    elif toolkit and toolkit != "all" and all(part.startswith(("GPU-", "MIG-")) for part in toolkit.split(",")):
        gpus = [gpu for gpu in gpus if _chosen(gpu, toolkit.split(","))]
        notes.append(f"NVIDIA_VISIBLE_DEVICES={toolkit}")
    cuda = environment.get("CUDA_VISIBLE_DEVICES")
    if cuda is not None:
        kept: list[Gpu] = []
        for part in (entry.strip() for entry in cuda.split(",")):
            matching = [gpu for gpu in gpus if _named(gpu, part)]
            if not matching:
                break
            kept += [gpu for gpu in matching if gpu not in kept]
        notes.append(f"CUDA_VISIBLE_DEVICES={cuda}{_order_doubt(gpus, cuda, environment)}")
        gpus = kept
    return gpus, "; ".join(notes) or None


def absent_entries(gpus: list[Gpu], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Entries of CUDA_VISIBLE_DEVICES that name no card; not those that people write to hide every card."""
    entries = [entry.strip() for entry in environment.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return tuple(entry for entry in entries if entry not in HIDES_ALL and not any(_named(gpu, entry) for gpu in gpus))


def _order_doubt(gpus: list[Gpu], cuda: str, environment: Mapping[str, str]) -> str:
    """CUDA numbers the fastest card first unless it is told otherwise, NVML by bus: with unlike cards a number may mean
    another card to the server than to us."""
    by_number = any(part.strip().isdigit() for part in cuda.split(","))
    unlike = len({gpu.name for gpu in gpus}) > 1
    if not by_number or not unlike or environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID":
        return ""
    return " (numbered by bus here; CUDA numbers the fastest first: set CUDA_DEVICE_ORDER=PCI_BUS_ID)"


def _chosen(gpu: Gpu, uuids: list[str]) -> bool:
    return gpu.uuid in uuids or gpu.parent_uuid in uuids


def _named(gpu: Gpu, part: str) -> bool:
    """An index, or a uuid of which CUDA takes any unambiguous beginning."""
    if part.isdigit():
        return gpu.index == int(part)
    return bool(part) and (gpu.uuid.startswith(part) or (gpu.parent_uuid or "").startswith(part))
