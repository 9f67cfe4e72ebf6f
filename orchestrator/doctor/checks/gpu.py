"""The planned card: there, visible, free, and able to run the planned server. Asked only where a plan uses a card."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable

from orchestrator.doctor.cards import NO_CARD_PLANNED, label, planned_card
from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed, warned
from orchestrator.doctor.checks.docker import images_of
from orchestrator.doctor.context import Context
from orchestrator.doctor.require_cuda import judge
from orchestrator.doctor.size import gib
from orchestrator.facts.driver_files import driver_versions, nvidia_cards
from orchestrator.facts.records import Unreadable
from orchestrator.plan.obstacles import GGUF_CAPABILITY, VLLM_CAPABILITY
from orchestrator.plan.records import Plan

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
    "reset_required": ("reset the card while nothing uses it:", ("sudo nvidia-smi --gpu-reset",)),
    "no_permission": ("this user may not use the cards: see who may", ("ls -l /dev/nvidia*",)),
    "timeout": ("the driver hangs: see the kernel's messages, then restart", ("sudo dmesg | grep -i nvrm | tail",)),
}
VLLM_ARCHITECTURES = ((7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (11, 0), (12, 0))
"""Vendor: torch_cuda_arch_list of docker/Dockerfile in the sdist of vLLM 0.32.0, which says to add no PTX to it: a card
runs what was built for its own major number and a minor one not above its own (CUDA's rule), and nothing else."""
CUDA_NEEDED = {"vllm": (13, 0), "llamacpp": (12, 8)}
"""Vendor: CUDA 13.0.3 in vLLM 0.32.0's Dockerfile; CUDA 12.8.1 in llama.cpp's (catalog/pins.toml)."""
OLLAMA_DRIVER = 531
"""Vendor: Ollama's page on GPUs (docs/gpu.md)."""
BFLOAT16 = (8, 0)
"""Vendor: `Bfloat16 is only supported on GPUs with compute capability of at least 8.0` is how vLLM refuses it."""
SHARED_MEMORY = re.compile(r"Orin|Xavier|Thor|Tegra|nvgpu|GB10|GH200|GB200", re.IGNORECASE)
"""Machines that are known to have one memory for the processor and the card: no reading of NVML is missed there."""
DOCKER_ANSWER_S = 3.0


def nvml(context: Context) -> Answer:
    """A machine without any card is no broken one; a driver that is there and does not answer is."""
    gpu = context.facts.gpu
    if context.plan is not None and context.plan.device.kind == "gpu":
        return _nvml_answers(context) if gpu.error is None else _nvml_broken(gpu.error, bad)
    if context.spec.gpu == "none":
        return not_applicable("the CPU was asked for")
    return _nvml_answers(context) if gpu.error is None else _nvml_not_needed(context, gpu.error)


def _nvml_not_needed(context: Context, error: Unreadable) -> Answer:
    """No plan, or one for the CPU: a driver that is broken is worth a word, and none at all is as it should be."""
    if error.code == "no_library":
        cards = nvidia_cards()
        if not cards:
            return not_applicable("no NVIDIA driver and no NVIDIA card here")
        return warned(
            f"NVIDIA cards at {', '.join(cards)}, no driver",
            "this machine has an NVIDIA card that nothing can use, because its driver is not installed",
            f"install NVIDIA's driver ({DRIVER_PAGE}); or say that the CPU is meant:",
            context.up_with("--gpu none"),
        )
    if context.plan is not None and driver_versions().differ:
        return not_applicable("host.reboot has said that the driver needs a restart")
    return _nvml_broken(error, bad if context.plan is None else warned)


def _nvml_answers(context: Context) -> Answer:
    gpu = context.facts.gpu
    return passed(f"driver {gpu.driver}, CUDA {gpu.cuda}, {len(gpu.gpus)} cards")


def _nvml_broken(error: Unreadable, verdict: Callable[..., Answer]) -> Answer:
    text, commands = NVML_REMEDIES.get(error.code, ("see what the driver itself says:", ("nvidia-smi",)))
    return verdict(f"{error.code}: {error.reason}", error.reason, text, *commands)


def visible(context: Context) -> Answer:
    gpu = context.facts.gpu
    absent = f"CUDA_VISIBLE_DEVICES names {', '.join(gpu.absent)}, which no card here is" if gpu.absent else ""
    here = "; ".join(f"{label(card)} {card.uuid}" for card in gpu.gpus) or "none"
    evidence = f"visible: {here}" + (f" (restricted by {gpu.visible})" if gpu.visible else "")
    correct = ("name a card that is here, or none:", "nvidia-smi -L", "unset CUDA_VISIBLE_DEVICES")
    if context.plan is not None and context.plan.device.kind == "gpu":
        uuid = context.plan.device.uuid
        slices = [card for card in gpu.gpus if card.parent_uuid == uuid]
        if slices:
            return bad(
                evidence,
                f"{context.plan.device.name} has been split by MIG since it was planned: only its slices take work",
                "plan for one of its slices:",
                context.up_with("--replan", f"--gpu {slices[0].uuid}"),
            )
        card = planned_card(context)
        if card is not None and card.mig_enabled:
            return bad(
                evidence,
                f"MIG is on for {label(card)}, and it has no slice: it takes no work",
                "make slices and plan for one, or turn MIG off:",
                f"sudo nvidia-smi mig -i {card.index} -lgip",
                f"sudo nvidia-smi -i {card.index} --multi-instance-gpu=0",
            )
        if gpu.absent and card is None:
            return bad(evidence, absent, *correct)
    if gpu.absent:
        return warned(evidence, absent, *correct)
    if context.plan is not None and context.plan.device.kind != "gpu":
        return not_applicable(NO_CARD_PLANNED)
    return passed(evidence)


def present(context: Context) -> Answer:
    device = context.planned.device
    if device.kind != "gpu":
        return not_applicable(NO_CARD_PLANNED)
    gpus = context.facts.gpu.gpus
    found = planned_card(context)
    if found is not None:
        return passed(f"GPU {found.index}, {found.name}, {found.uuid}")
    here = "; ".join(f"GPU {gpu.index} {gpu.name} {gpu.uuid}" for gpu in gpus) or "none"
    restricted = context.facts.gpu.visible
    evidence = f"visible: {here}" + (f" (restricted by {restricted})" if restricted else "")
    return bad(
        evidence,
        f"the planned card {device.name} ({device.uuid}) is not among the visible ones",
        "bring it back (unset CUDA_VISIBLE_DEVICES?), or plan again with what is here:",
        context.up_with("--replan"),
    )


def memory_source(context: Context) -> Answer:
    gpu = planned_card(context)
    if gpu is None:
        return not_applicable(NO_CARD_PLANNED)
    if gpu.total_bytes is not None:
        return passed(f"{gpu.name} tells {gib(gpu.total_bytes)}")
    why = gpu.unreadable.get("memory")
    evidence = f"{gpu.name}: {why.reason if why else 'NVML tells no memory'}"
    if SHARED_MEMORY.search(gpu.name):
        return passed(f"{evidence}; it shares the machine's memory, whose free part counts")
    return bad(
        evidence,
        f"{gpu.name} does not tell its memory; the machine's free RAM was taken for it",
        "say how much the card has:",
        context.up_with("--replan", "--vram 8GiB"),
    )


def vram_free(context: Context) -> Answer:
    plan, gpu = context.planned, planned_card(context)
    if gpu is None:
        return not_applicable(NO_CARD_PLANNED)
    if gpu.free_bytes is None or gpu.unified_memory:
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
    plan, gpu = context.planned, planned_card(context)
    if gpu is None:
        return not_applicable(NO_CARD_PLANNED)
    if gpu.compute_capability is None:
        return not_applicable("the card does not tell its compute capability")
    have = _dotted(gpu.compute_capability)
    least = VLLM_CAPABILITY if plan.backend == "vllm" else GGUF_CAPABILITY
    other = ("let another server run on it, or the CPU:", context.up_with("--backend ollama"))
    built = ", ".join(map(_dotted, VLLM_ARCHITECTURES)) if plan.backend == "vllm" else f"{_dotted(least)} and newer"
    evidence = f"{gpu.name}: {have}; {plan.backend} is built for {built}"
    if gpu.compute_capability < least:
        reason = f"{gpu.name} (compute capability {have}) is older than what {plan.backend} is built for"
        return bad(evidence, f"{reason} ({_dotted(least)})", *other, context.up_with("--gpu none"))
    if plan.backend == "vllm" and not _runs_binaries(gpu.compute_capability):
        reason = f"{gpu.name} (compute capability {have}) is newer than anything that the pinned vLLM is built for"
        return bad(evidence, reason, *other, context.up_with("--gpu none"))
    return passed(evidence)


def _runs_binaries(capability: tuple[int, int]) -> bool:
    return any(major == capability[0] and minor <= capability[1] for major, minor in VLLM_ARCHITECTURES)


def dtype(context: Context) -> Answer:
    plan, gpu = context.planned, planned_card(context)
    if gpu is None:
        return not_applicable(NO_CARD_PLANNED)
    asked = plan.weights.dtype
    capability = gpu.compute_capability
    evidence = f"{plan.model} as {asked} on {gpu.name} ({_dotted(capability) if capability else 'capability unknown'})"
    if asked == "bfloat16" and capability is not None and capability < BFLOAT16:
        return bad(
            evidence,
            f"{gpu.name} has no bfloat16 (compute capability {_dotted(capability)}, {_dotted(BFLOAT16)} is needed)",
            "plan float32, or a GGUF quantisation:",
            context.up_with("--replan", "--dtype float32"),
            context.up_with("--replan", "--backend llamacpp"),
        )
    if asked == "float16" and plan.card.fp16_safe is False:
        return bad(
            evidence,
            f"{plan.model} gives NaN in float16 (its maintainers say so)",
            "plan bfloat16 where the card has it, float32, or a GGUF quantisation:",
            context.up_with("--replan", "--dtype bfloat16"),
            context.up_with("--replan", "--backend llamacpp"),
        )
    return passed(evidence)


def driver_cuda(context: Context) -> Answer:
    plan, gpu = context.planned, context.facts.gpu
    if plan.device.kind != "gpu":
        return not_applicable(NO_CARD_PLANNED)
    if plan.engine == "native" and plan.backend != "vllm":
        return not_applicable(f"this machine's own {plan.backend} runs, whose build is not known here")
    requirement = _requirement(plan) or _known_requirement(plan)
    evidence = f"driver {gpu.driver}, CUDA {gpu.cuda}; needed: {requirement}"
    verdict = judge(requirement, cuda=gpu.cuda, driver=gpu.driver)
    if verdict == "holds":
        return passed(evidence)
    remedy = f"install a newer driver ({DRIVER_PAGE}), or let a server run that needs less:"
    commands = ("nvidia-smi --query-gpu=driver_version --format=csv", context.up_with("--replan", "--backend ollama"))
    if verdict == "for_some_brands":
        reason = f"driver {gpu.driver} runs the pinned {plan.backend} on some kinds of cards only (data-centre ones)"
        return warned(evidence, reason, remedy, *commands)
    return bad(evidence, f"driver {gpu.driver} is older than the pinned {plan.backend} needs", remedy, *commands)


def _known_requirement(plan: Plan) -> str:
    if plan.backend == "ollama":
        return f"driver>={OLLAMA_DRIVER}"
    return f"cuda>={_dotted(CUDA_NEEDED[plan.backend])}"


def _requirement(plan: Plan) -> str | None:
    """What the image itself says, where it is already here."""
    if plan.engine != "compose":
        return None
    references = [image for name, image in images_of(plan).items() if name not in ("chroma", "open-webui")]
    command = ["docker", "image", "inspect", "--format", "{{json .Config.Env}}", *references]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOCKER_ANSWER_S, check=False)
        variables = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    named = (variable.partition("=") for variable in variables or [])
    return next((value for name, _, value in named if name == "NVIDIA_REQUIRE_CUDA" and value), None)


def _dotted(pair: tuple[int, int]) -> str:
    return ".".join(map(str, pair))


NVML = Check(
    id="gpu.nvml",
    area="gpu",
    question="Does the NVIDIA driver answer, where there is a card?",
    reads=("NVML: init, driver version, device count", "NVIDIA cards on the PCI bus"),
    needs=("host.reboot",),
    severity="fail",
    answer=nvml,
)
VISIBLE = Check(
    id="gpu.visible",
    area="gpu",
    question="Does what restricts the cards name cards that are there?",
    reads=("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVML: uuid of every card and MIG slice"),
    needs=("gpu.nvml",),
    severity="fail",
    answer=visible,
)
PRESENT = Check(
    id="gpu.present",
    area="gpu",
    question="Is the planned card there and visible?",
    reads=("NVML: uuid of every card", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
    needs=("gpu.nvml", "gpu.visible"),
    severity="fail",
    stage="plan",
    answer=present,
)
MEMORY_SOURCE = Check(
    id="gpu.memory.source",
    area="gpu",
    question="Does the card tell its own memory?",
    reads=("NVML: memory information",),
    needs=("gpu.present",),
    severity="warn",
    stage="plan",
    answer=memory_source,
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
DTYPE = Check(
    id="gpu.dtype",
    area="gpu",
    question="Can the card compute in the planned type, and the model bear it?",
    reads=("NVML: compute capability", "the plan's dtype", "the catalogue's word on float16"),
    needs=("gpu.cc",),
    severity="fail",
    stage="plan",
    answer=dtype,
)
DRIVER_CUDA = Check(
    id="gpu.driver.cuda",
    area="gpu",
    question="Is the driver new enough for the CUDA that the planned server is built with?",
    reads=("NVML: driver and CUDA version", "NVIDIA_REQUIRE_CUDA of the image, or what is known of the pinned build"),
    needs=("gpu.present",),
    severity="fail",
    stage="plan",
    answer=driver_cuda,
)
CHECKS = (NVML, VISIBLE, PRESENT, MEMORY_SOURCE, VRAM_FREE, COMPUTE_CAPABILITY, DTYPE, DRIVER_CUDA)
