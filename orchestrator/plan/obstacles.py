"""Why a candidate cannot run here, whatever its size: source, card, driver, engine, program. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from orchestrator.facts.records import Facts
from orchestrator.plan.candidates import FLOAT_DTYPES, Candidate
from orchestrator.plan.records import EngineName
from orchestrator.plan.shape import kv_bytes_per_token

VLLM_CAPABILITY = (7, 5)
"""Vendor: vLLM 0.32.0 is built for CUDA 13, which has no code for anything older than Turing (catalog/pins.toml)."""
VLLM_DRIVER = 580
"""Vendor: the driver branch that CUDA 13.0 needs (catalog/pins.toml)."""
GGUF_CAPABILITY = (5, 0)
"""Vendor: Ollama's and llama.cpp's CUDA builds start at Maxwell."""

Obstacle = tuple[str, str]
"""(code, reason)"""


def obstacle(candidate: Candidate, facts: Facts, engine: EngineName) -> Obstacle | None:
    """The first thing in the way, the most fundamental first."""
    for question in _QUESTIONS:
        found = question(candidate, facts, engine)
        if found is not None:
            return found
    return None


def _format(candidate: Candidate, facts: Facts, engine: EngineName) -> Obstacle | None:
    source = candidate.source
    stored_as_gguf = source is not None and (source.filename or source.reference).lower().endswith(".gguf")
    if candidate.backend == "vllm" and (stored_as_gguf or candidate.quantised):
        return "format_unsupported", "vLLM serves 16 and 32-bit weights here; a GGUF file needs llama.cpp or Ollama"
    if candidate.backend == "llamacpp" and source is not None and not stored_as_gguf:
        return "format_unsupported", "llama.cpp needs a GGUF file; these are safetensors"
    if candidate.backend == "ollama" and source is not None and source.kind in ("folder", "file"):
        return (
            "format_unsupported",
            "Ollama takes models from its registry here; serve a file with --backend llamacpp",
        )
    return None


def _source(candidate: Candidate, facts: Facts, engine: EngineName) -> Obstacle | None:
    return ("source_unreachable", candidate.unreachable) if candidate.source is None else None


def _card_mode(candidate: Candidate, facts: Facts, engine: EngineName) -> Obstacle | None:
    gpu = candidate.gpu
    if gpu is None:
        return None
    if gpu.compute_mode == "prohibited":
        return "gpu_prohibited", f"GPU {gpu.index} is in compute mode `prohibited`: it takes no work"
    if gpu.compute_mode.startswith("exclusive") and gpu.processes:
        holders = ", ".join(f"{process.name} ({process.pid})" for process in gpu.processes[:3])
        return "gpu_exclusive", f"GPU {gpu.index} is in an exclusive compute mode and {holders} has it"
    if gpu.mig_enabled and gpu.parent_uuid is None:
        return "gpu_mig", f"GPU {gpu.index} is split by MIG; only its slices take work, and none is visible"
    return None


def _capability(candidate: Candidate, facts: Facts, engine: EngineName) -> Obstacle | None:
    gpu = candidate.gpu
    if gpu is None or gpu.compute_capability is None:
        return None
    least = VLLM_CAPABILITY if candidate.backend == "vllm" else GGUF_CAPABILITY
    if gpu.compute_capability < least:
        have, need = (".".join(map(str, pair)) for pair in (gpu.compute_capability, least))
        return "compute_capability", f"{gpu.name} has compute capability {have}; this build needs {need}"
    return None


def _driver(candidate: Candidate, facts: Facts, engine: EngineName) -> Obstacle | None:
    driver = facts.gpu.driver
    if candidate.gpu is None or candidate.backend != "vllm" or not driver:
        return None
    branch = re.match(r"\d+", driver)
    if branch and int(branch[0]) < VLLM_DRIVER:
        return "driver_too_old", f"vLLM's build for CUDA 13 needs driver {VLLM_DRIVER} or newer; here is {driver}"
    return None


def _dtype(candidate: Candidate, facts: Facts, engine: EngineName) -> Obstacle | None:
    card, gpu = candidate.card, candidate.gpu
    if candidate.backend != "vllm" and candidate.dtype in FLOAT_DTYPES and candidate.dtype != "float16":
        return "dtype_unavailable", f"{candidate.backend} serves GGUF quantisations, not {candidate.dtype}"
    if candidate.dtype == "float16" and card.fp16_safe is False:
        return "dtype_unsafe", f"{card.id} gives NaN in float16 (its maintainers say so); use bfloat16, float32 or GGUF"
    lacks = gpu is not None and gpu.compute_capability is not None and gpu.compute_capability < (8, 0)
    if candidate.dtype == "bfloat16" and lacks:
        return "dtype_unavailable", f"{gpu.name if gpu else ''} has no bfloat16 (compute capability below 8.0)"
    return None


def _shape(candidate: Candidate, facts: Facts, engine: EngineName) -> Obstacle | None:
    if candidate.weights_bytes <= 0:
        return "unknown_size", f"the size of {candidate.card.id} as {candidate.dtype} is not known"
    if kv_bytes_per_token(candidate.card) is None:
        return "unknown_shape", f"the catalogue does not have the shape that {candidate.card.id}'s cache depends on"
    return None


def _obtainable(candidate: Candidate, facts: Facts, engine: EngineName) -> Obstacle | None:
    """Natively, the program must be here or be installable from PyPI; Compose brings images."""
    if engine == "compose":
        return None
    missing = {"ollama": _no_ollama, "llamacpp": _no_llamacpp, "vllm": _no_vllm}[candidate.backend](candidate, facts)
    return ("program_missing", missing) if missing else None


def _no_ollama(candidate: Candidate, facts: Facts) -> str | None:
    missing = facts.programs.ollama is None
    return "`ollama` is not installed on this machine, and PyPI does not carry it" if missing else None


def _no_llamacpp(candidate: Candidate, facts: Facts) -> str | None:
    programs = facts.programs
    if programs.llama_server is not None:
        return None
    if programs.cmake is None or programs.compiler is None:
        return "no `llama-server` here, and no cmake and C++ compiler to build it"
    if candidate.gpu is not None:
        return "no `llama-server` here; the one that can be built from PyPI computes on the CPU only"
    return None


def _no_vllm(candidate: Candidate, facts: Facts) -> str | None:
    if facts.programs.python is None:
        return "no CPython 3.11 here, which the locked environments were made for"
    if facts.host.architecture != "x86_64":
        return f"the locked environments are for x86_64; this machine is {facts.host.architecture}"
    return None


def _engine_gpu(candidate: Candidate, facts: Facts, engine: EngineName) -> Obstacle | None:
    if candidate.gpu is None or engine != "compose" or facts.docker.gpu:
        return None
    return "engine_without_gpu", "Docker cannot hand a GPU to a container: install the NVIDIA container toolkit"


def _disk(candidate: Candidate, facts: Facts, engine: EngineName) -> Obstacle | None:
    """Weights that must be fetched need room where models live (the first folder that the facts measured)."""
    if candidate.cached or not facts.host.disk:
        return None
    space = facts.host.disk[0]
    need = candidate.weights_bytes * 1.05
    if space.free_bytes < need:
        return "disk_full", f"{space.path} has {space.free_bytes / 1e9:.1f} GB free, the weights need {need / 1e9:.1f}"
    return None


_QUESTIONS: tuple[Callable[[Candidate, Facts, EngineName], Obstacle | None], ...] = (
    _format,
    _source,
    _card_mode,
    _capability,
    _driver,
    _dtype,
    _shape,
    _engine_gpu,
    _obtainable,
    _disk,
)
