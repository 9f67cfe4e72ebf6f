"""What makes a card slow, unsteady or about to fail. Asked of the planned card; of all where there is no plan."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.doctor.cards import NO_CARD_PLANNED, asked_cards, label, planned_card
from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed, warned
from orchestrator.doctor.context import Context
from orchestrator.doctor.size import MIB, gib
from orchestrator.facts.gpu_health import CardHealth, free_bytes, read_health
from orchestrator.facts.kernel_log import Xid, xids
from orchestrator.facts.records import Gpu, PcieLink, Unreadable

READINGS = 3
SPACING_S = 1.0
"""Two seconds in all, so that a whole `doctor` stays below five; a training loop or a model that is being loaded moves
within one."""
SWING_BYTES = 256 * MIB
"""Proposal (facts/doctor-checks.md 17). A CUDA context alone takes more: no job that comes or goes is smaller."""
HARDWARE_XIDS = {
    46: "the card stopped processing",
    48: "a double-bit memory error",
    61: "the card's own controller failed",
    62: "the card's own controller halted",
    64: "bad memory could not be put aside",
    74: "an NVLink error",
    79: "the card fell off the bus",
    92: "many single-bit memory errors",
    94: "a memory error, contained",
    95: "a memory error, not contained",
    119: "the card's system processor did not answer",
    120: "the card's system processor failed",
    140: "a memory error that was not recovered",
}
"""Vendor: NVIDIA's list of Xid errors (docs.nvidia.com/deploy/xid-errors). Those that a program's own fault causes (13,
31, 43, 45, ...) and the plain record of a page put aside (63) are no fault of the card."""
HOT = ("software_thermal", "hardware_thermal", "hardware_slowdown", "hardware_power_brake")
"""Clock reasons that say too hot, or too little power at the socket. The power cap itself is how every card works at
full load."""
LOW_POWER = 0.7
"""Proposal (facts/doctor-checks.md 22): below this share of its default limit a card is slowed on purpose."""
BUSY_PERCENT = 50
"""A card at rest lowers its link's generation to save power; at work it does not."""
PERSISTENCE_SOCKET = Path("/run/nvidia-persistenced/socket")


def each_card(judge: Callable[[Context, Gpu], Answer]) -> Callable[[Context], Answer]:
    """The worst answer of the cards that are asked, with what was read of all."""

    def answer(context: Context) -> Answer:
        cards = asked_cards(context)
        if isinstance(cards, str):
            return not_applicable(cards)
        answers = [judge(context, gpu) for gpu in cards]
        for verdict in ("bad", "warn", "pass"):
            found = next((one for one in answers if one.verdict == verdict), None)
            if found is not None:
                return (
                    found if verdict != "pass" else passed("; ".join(one.evidence for one in answers if one.evidence))
                )
        return answers[0]

    return answer


def vram_stable(context: Context) -> Answer:
    gpu = planned_card(context)
    if gpu is None:
        return not_applicable(NO_CARD_PLANNED)
    if gpu.unified_memory or gpu.free_bytes is None:
        return not_applicable("this card tells no memory of its own")
    found: list[int] = []
    for reading in range(READINGS):
        if reading:
            time.sleep(SPACING_S)
        now = free_bytes(gpu.uuid)
        if isinstance(now, Unreadable):
            return not_applicable(f"the card's memory cannot be read again: {now.reason}")
        found.append(now)
    return steady_answer(found)


def steady_answer(found: list[int]) -> Answer:
    evidence = "free: " + ", ".join(map(gib, found))
    swing = max(found) - min(found)
    if swing <= SWING_BYTES:
        return passed(evidence)
    return bad(
        evidence,
        f"the card's free memory moved by {gib(swing)} within seconds: another job is at work on it, so that what is "
        "planned now may not be free when the server starts",
        "see who it is, and wait for it or stop it:",
        "nvidia-smi",
    )


@each_card
def ecc_xid(_context: Context, gpu: Gpu) -> Answer:
    health = read_health(gpu.parent_uuid or gpu.uuid)
    return faults_answer(gpu, health if isinstance(health, CardHealth) else CardHealth(), xids())


def faults_answer(gpu: Gpu, health: CardHealth, log: tuple[Xid, ...] | Unreadable) -> Answer:
    logged = [xid for xid in log if _is_of(xid, health.bus)] if not isinstance(log, Unreadable) else []
    faults = list(dict.fromkeys(f"Xid {xid.code}: {HARDWARE_XIDS[xid.code]}" for xid in logged))
    if gpu.ecc_uncorrected:
        faults.append(f"{gpu.ecc_uncorrected} uncorrected memory errors")
    if health.retired_pages:
        faults.append(f"{health.retired_pages} memory pages put aside after double-bit errors")
    if health.remap_pending:
        faults.append("memory rows wait to be put aside until the card is reset")
    if health.remap_failed:
        faults.append("bad memory rows could not be put aside: no spare is left")
    ecc = "not told" if gpu.ecc_uncorrected is None else gpu.ecc_uncorrected
    unread = f"; kernel log: {log.reason}" if isinstance(log, Unreadable) else ""
    if not faults:
        return passed(f"{label(gpu)}: uncorrected errors {ecc}, no fault in the kernel's log{unread}"[:400])
    return bad(
        f"{label(gpu)}: {'; '.join(faults)}{unread}",
        f"{label(gpu)} reports faults of its hardware: {'; '.join(faults)}",
        "reset it while nothing uses it, or restart; where the faults return, have the card tested and replaced (RMA):",
        f"sudo nvidia-smi --gpu-reset -i {gpu.index}",
        f"nvidia-smi -q -d ECC,PAGE_RETIREMENT,ROW_REMAPPER -i {gpu.index}",
    )


def _is_of(xid: Xid, bus: str | None) -> bool:
    return xid.code in HARDWARE_XIDS and (bus is None or xid.bus.lower().startswith(bus))


@each_card
def throttle(_context: Context, gpu: Gpu) -> Answer:
    evidence = f"{label(gpu)}: {gpu.temperature_c} °C, {', '.join(gpu.throttle_reasons) or 'not slowed'}" + (
        f", limit {gpu.power_limit_w:.0f} of {gpu.power_default_w:.0f} W"
        if gpu.power_limit_w and gpu.power_default_w
        else ""
    )
    hot = [reason for reason in gpu.throttle_reasons if reason in HOT]
    if hot:
        return bad(
            evidence,
            f"{label(gpu)} slows itself down ({', '.join(hot)}): it is too hot or gets too little power",
            "see to its cooling, dust and power cables; a measurement taken now is not what the card can do:",
            f"nvidia-smi -q -d TEMPERATURE,POWER,PERFORMANCE -i {gpu.index}",
        )
    if gpu.power_limit_w and gpu.power_default_w and gpu.power_limit_w < LOW_POWER * gpu.power_default_w:
        return bad(
            evidence,
            f"{label(gpu)} is limited to {gpu.power_limit_w:.0f} W of {gpu.power_default_w:.0f} W: it computes slower",
            "set its default limit again, if that was not meant:",
            f"sudo nvidia-smi -i {gpu.index} --power-limit={gpu.power_default_w:.0f}",
        )
    return passed(evidence)


@each_card
def mode(context: Context, gpu: Gpu) -> Answer:
    holders = ", ".join(f"{process.name} (pid {process.pid})" for process in gpu.processes)
    kept = gpu.persistence is not False or bool(gpu.processes) or PERSISTENCE_SOCKET.exists()
    evidence = f"{label(gpu)}: compute mode {gpu.compute_mode}, persistence {_on(gpu.persistence)}" + (
        f", used by {holders}" if holders else ""
    )
    open_to_all = ("let several programs use it:", f"sudo nvidia-smi -i {gpu.index} --compute-mode=DEFAULT")
    if gpu.compute_mode == "prohibited":
        return bad(evidence, f"{label(gpu)} is in compute mode `prohibited`: it takes no work", *open_to_all)
    if gpu.compute_mode.startswith("exclusive") and holders and not context.own_embedder_runs:
        return bad(evidence, f"{label(gpu)} takes one program at a time, and {holders} has it", *open_to_all)
    if not kept:
        return warned(
            evidence,
            f"nothing keeps the driver of {label(gpu)} loaded: each start waits for it, and set limits are lost",
            "keep it loaded:",
            "sudo systemctl enable --now nvidia-persistenced",
            f"sudo nvidia-smi -i {gpu.index} --persistence-mode=1",
        )
    return passed(evidence)


@each_card
def pcie(_context: Context, gpu: Gpu) -> Answer:
    health = read_health(gpu.parent_uuid or gpu.uuid)
    busy = health.busy_percent if isinstance(health, CardHealth) else None
    return link_answer(gpu, gpu.pcie, busy)


def link_answer(gpu: Gpu, link: PcieLink, busy_percent: int | None) -> Answer:
    if not (link.width and link.max_width and link.generation and link.max_generation):
        return not_applicable(f"{label(gpu)} does not tell its link (a virtual machine, or no PCIe at all)")
    works = busy_percent is not None and busy_percent >= BUSY_PERCENT
    generation = link.generation if works else link.max_generation
    evidence = (
        f"{label(gpu)}: generation {link.generation} of {link.max_generation}, x{link.width} of x{link.max_width}, "
        f"{f'{busy_percent} % busy' if busy_percent is not None else 'at rest or not told'}"
    )
    if 2 * _bandwidth(generation, link.width) >= _bandwidth(link.max_generation, link.max_width):
        return passed(evidence)
    return bad(
        evidence,
        f"{label(gpu)} has less than half of its connection: weights load slower, and large batches may wait",
        "seat it in a slot of full width, without a riser or an adapter, and look at the slot's setting in the BIOS:",
        f"nvidia-smi -q -i {gpu.index} | grep -A 12 'GPU Link Info'",
    )


def _bandwidth(generation: int, width: int) -> int:
    """Each generation doubles the one before; generation 1 with one lane is 1."""
    return width << (generation - 1)


def _on(value: bool | None) -> str:
    return "not told" if value is None else "on" if value else "off"


VRAM_STABLE = Check(
    id="gpu.vram.stable",
    area="gpu",
    question="Does the card's free memory stay as it is?",
    reads=(f"NVML: free memory, {READINGS} times in {SPACING_S * (READINGS - 1):g} s",),
    needs=("gpu.present",),
    severity="warn",
    stage="plan",
    timeout_s=8.0,
    answer=vram_stable,
)
ECC_XID = Check(
    id="gpu.ecc_xid",
    area="gpu",
    question="Is the card free of hardware faults?",
    reads=("NVML: uncorrected memory errors, pages and rows put aside", "Xid reports in the kernel's log (/dev/kmsg)"),
    needs=("gpu.nvml",),
    severity="warn",
    answer=ecc_xid,
)
THROTTLE = Check(
    id="gpu.throttle",
    area="gpu",
    question="Does the card run at its full clock and power?",
    reads=("NVML: clock reasons, temperature, power limit and its default",),
    needs=("gpu.nvml",),
    severity="warn",
    answer=throttle,
)
MODE = Check(
    id="gpu.mode",
    area="gpu",
    question="Does the card take work from this stack, and stay ready for it?",
    reads=("NVML: compute mode, persistence mode, processes", str(PERSISTENCE_SOCKET)),
    needs=("gpu.nvml",),
    severity="fail",
    answer=mode,
)
PCIE = Check(
    id="gpu.pcie",
    area="gpu",
    question="Is the card connected with at least half of what it can use?",
    reads=("NVML: generation and width of the link, now and at most", "NVML: utilisation"),
    needs=("gpu.nvml",),
    severity="warn",
    answer=pcie,
)
CHECKS = (VRAM_STABLE, ECC_XID, THROTTLE, MODE, PCIE)
