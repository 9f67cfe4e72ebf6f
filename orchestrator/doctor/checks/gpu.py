"""The planned card: there, free, and able to run the planned server. Asked only where a plan uses a card."""

from __future__ import annotations

from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed
from orchestrator.doctor.context import Context
from orchestrator.doctor.size import gib
from orchestrator.facts.records import Gpu
from orchestrator.plan.obstacles import GGUF_CAPABILITY, VLLM_CAPABILITY

NO_CARD_PLANNED = "the plan uses no GPU"
DRIVER_PAGE = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/"
NVML_REMEDIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "no_library": (f"install NVIDIA's driver ({DRIVER_PAGE}), or plan for the CPU:", ("orchestrator up --gpu none",)),
    "no_driver": (
        "load the kernel module; if that fails, install the driver again:",
        ("sudo modprobe nvidia",),
    ),
    "version_mismatch": ("the driver was updated under a running kernel module: restart the machine", ("sudo reboot",)),
    "gpu_lost": (
        "restart the machine; if it happens again, check the card's power and seat",
        ("sudo reboot",),
    ),
    "no_permission": ("this user may not use the cards: see who may", ("ls -l /dev/nvidia*",)),
    "timeout": ("the driver hangs: see the kernel's messages, then restart", ("sudo dmesg | grep -i nvrm | tail",)),
}


def nvml(context: Context) -> Answer:
    if not _uses_a_card(context):
        return not_applicable(NO_CARD_PLANNED)
    gpu = context.facts.gpu
    if gpu.error is None:
        return passed(f"driver {gpu.driver}, CUDA {gpu.cuda}, {len(gpu.gpus)} cards")
    text, commands = NVML_REMEDIES.get(gpu.error.code, ("see what the driver itself says:", ("nvidia-smi",)))
    return bad(f"{gpu.error.code}: {gpu.error.reason}", gpu.error.reason, text, *commands)


def present(context: Context) -> Answer:
    device = context.planned.device
    gpus = context.facts.gpu.gpus
    found = _card(context)
    if found is not None:
        return passed(f"GPU {found.index}, {found.name}, {found.uuid}")
    here = "; ".join(f"GPU {gpu.index} {gpu.name} {gpu.uuid}" for gpu in gpus) or "none"
    visible = context.facts.gpu.visible
    evidence = f"visible: {here}" + (f" (restricted by {visible})" if visible else "")
    return bad(
        evidence,
        f"the planned card {device.name} ({device.uuid}) is not among the visible ones",
        "bring it back (unset CUDA_VISIBLE_DEVICES?), or plan again with what is here:",
        context.up_with("--replan"),
    )


def vram_free(context: Context) -> Answer:
    plan, gpu = context.planned, _card(context)
    if gpu is None or gpu.free_bytes is None or gpu.unified_memory:
        return not_applicable("this card tells no memory of its own (unified memory): plan.fit asks for RAM instead")
    need = plan.memory.need_bytes
    free = gpu.free_bytes + context.facts.reclaimable_bytes.get(gpu.uuid, 0)
    holders = ", ".join(
        f"{process.name} (pid {process.pid}, {gib(process.used_bytes or 0)})" for process in gpu.processes
    )
    evidence = (
        f"{gib(free)} free of {gib(gpu.total_bytes or 0)}, needed {gib(need)}; held by {holders or 'nobody named'}"
    )
    if free >= need:
        return passed(evidence)
    if context.own_embedder_runs:
        return passed(f"{evidence}; this stack's own embedding server is running on it")
    return bad(
        evidence,
        f"{gpu.name} has {gib(free)} free and the plan needs {gib(need)}; held by {holders or 'a process not shown'}",
        "stop what holds it, or plan again with what is free now:",
        context.up_with("--replan"),
    )


def compute_capability(context: Context) -> Answer:
    plan, gpu = context.planned, _card(context)
    if gpu is None or gpu.compute_capability is None:
        return not_applicable("the card does not tell its compute capability")
    least = VLLM_CAPABILITY if plan.backend == "vllm" else GGUF_CAPABILITY
    have, need = (".".join(map(str, pair)) for pair in (gpu.compute_capability, least))
    evidence = f"{gpu.name}: {have}; {plan.backend} is built for {need} and newer"
    if gpu.compute_capability >= least:
        return passed(evidence)
    return bad(
        evidence,
        f"{gpu.name} (compute capability {have}) is older than what {plan.backend} is built for ({need})",
        "let another server run on it, or the CPU:",
        context.up_with("--backend ollama"),
        context.up_with("--gpu none"),
    )


def _uses_a_card(context: Context) -> bool:
    """Without a plan the question is open: then it is asked."""
    return context.plan is None or context.plan.device.kind == "gpu"


def _card(context: Context) -> Gpu | None:
    uuid = context.planned.device.uuid
    return next((gpu for gpu in context.facts.gpu.gpus if gpu.uuid == uuid), None)


NVML = Check(
    id="gpu.nvml",
    area="gpu",
    question="Does the NVIDIA driver answer?",
    reads=("NVML: init, driver version, device count",),
    severity="fail",
    answer=nvml,
)
PRESENT = Check(
    id="gpu.present",
    area="gpu",
    question="Is the planned card there and visible?",
    reads=("NVML: uuid of every card", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
    needs=("gpu.nvml",),
    severity="fail",
    stage="plan",
    answer=present,
)
VRAM_FREE = Check(
    id="gpu.vram.free",
    area="gpu",
    question="Is the memory that the plan needs free on the card?",
    reads=("NVML: free memory, processes with their memory",),
    needs=("gpu.present",),
    severity="fail",
    stage="plan",
    answer=vram_free,
)
COMPUTE_CAPABILITY = Check(
    id="gpu.cc",
    area="gpu",
    question="Is the embedding server built for this card?",
    reads=("NVML: compute capability", "what the pinned build supports"),
    needs=("gpu.present",),
    severity="fail",
    stage="plan",
    answer=compute_capability,
)
CHECKS = (NVML, PRESENT, VRAM_FREE, COMPUTE_CAPABILITY)
