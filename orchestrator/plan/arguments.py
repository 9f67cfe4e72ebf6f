"""The embedding server's settings as its own flags, and why each has its value. Pure."""

from __future__ import annotations

import json

from orchestrator.catalog.models import Model
from orchestrator.plan.candidates import Candidate
from orchestrator.plan.fit import Fit
from orchestrator.plan.memory import KV_BLOCK_CPU, kv_tokens
from orchestrator.plan.shape import BYTES_OF_DTYPE, is_causal, kv_bytes_per_token

Setting = str | int | float | bool

SHUTDOWN_TIMEOUT_S = 30
"""vLLM's default 0 kills requests in flight (facts/embedding-servers.md 1.10)."""
ALL_LAYERS = 999
"""More than any model has: llama.cpp puts every layer on the card."""
POOLING_OF_LLAMACPP = {"last_token": "last", "last": "last", "mean": "mean", "cls": "cls"}


def arguments_of(candidate: Candidate, fit: Fit, threads: int) -> dict[str, Setting]:
    if candidate.backend == "vllm":
        return _vllm(candidate, fit)
    if candidate.backend == "llamacpp":
        return _llamacpp(candidate, fit, threads)
    load = fit.load
    settings: dict[str, Setting] = {"num_ctx": load.max_length, "num_batch": load.batched_tokens, "num_gpu": ALL_LAYERS}
    if candidate.gpu is None:
        settings |= {"num_gpu": 0, "num_thread": threads}
    return settings


def reasons_of_arguments(candidate: Candidate, fit: Fit) -> dict[str, str]:
    """Only for settings that are in the plan and not obvious."""
    causal = is_causal(candidate.card) is not False
    batch = (
        "bounds the activations of one step; long inputs are prefilled in pieces"
        if causal
        else "bounds the activations of one step; holds the longest input whole, this model cannot be fed in pieces"
    )
    least = fit.load.max_length
    texts = {
        "--runner": "an embedding model: nothing is generated",
        "--dtype": "see `dtype` above",
        "--max-model-len": f"see `max length` above; a longer input is refused, never cut at {least}",
        "--max-num-seqs": "inputs in flight: more than any batch of this size holds costs nothing",
        "--shutdown-timeout": "vLLM's default 0 kills requests in flight (measured)",
        "--hf-overrides": "lets vectors be cut (Matryoshka): vLLM answers 400 to `dimensions` without it",
        "-np": "slots that work at the same time",
        "-b": "as large as the physical batch",
        "-ngl": "all layers on the card" if candidate.gpu else "no card: none on it",
        "-t": "see `threads` above",
        "-tb": "see `threads` above",
        "num_gpu": "all layers on the card" if candidate.gpu else "no card: none on it",
        "num_thread": "see `threads` above",
        "--max-num-batched-tokens": batch,
        "--gpu-memory-utilization": _share_reason(candidate, fit),
        "--enforce-eager": _eager_reason(candidate),
        "--kv-cache-memory-bytes": "given in bytes: the NUMA node that a share would be taken of changes its size",
        "-c": f"{fit.load.parallel} slots x {fit.load.max_length} tokens: each slot holds the longest input whole",
        "-ub": "the longest input must fit one physical batch; a larger one is slower on a CPU (measured)",
        "--pooling": "as the model was trained; a GGUF header may lack it",
        "num_ctx": "the longest input; beyond it Ollama would cut",
        "num_batch": "as large as the context: Ollama cuts an input that is longer than one batch",
    }
    return {name: text for name, text in texts.items() if name in arguments_of(candidate, fit, 1)}


def _share_reason(candidate: Candidate, fit: Fit) -> str:
    if candidate.gpu is None:
        return (
            f"{fit.share} of the memory node that vLLM starts on, despite the flag's name; "
            "the smallest share that covers the need, so that the start-up check holds"
        )
    return f"the smallest safe share of the card: {fit.share} covers the need and is free now"


def _eager_reason(candidate: Candidate) -> str:
    if candidate.gpu is None:
        return "compiling costs 18 to 33 s at every start (measured) and needs a C++ compiler on the machine"
    return "CUDA graphs would need 0.7 GiB more than is free"


def _vllm(candidate: Candidate, fit: Fit) -> dict[str, Setting]:
    load, card = fit.load, candidate.card
    settings: dict[str, Setting] = {
        "--runner": "pooling",
        "--dtype": load.dtype,
        "--max-model-len": load.max_length,
        "--max-num-batched-tokens": load.batched_tokens,
        "--max-num-seqs": load.parallel,
        "--shutdown-timeout": SHUTDOWN_TIMEOUT_S,
    }
    per_token = kv_bytes_per_token(card, BYTES_OF_DTYPE[load.dtype]) or 0
    if candidate.gpu is None and per_token:
        settings["--kv-cache-memory-bytes"] = kv_tokens(load, KV_BLOCK_CPU) * per_token
    elif fit.share is not None:
        settings["--gpu-memory-utilization"] = fit.share
    if not load.graphs:
        settings["--enforce-eager"] = True
    return settings | _model_flags(card)


def _model_flags(card: Model) -> dict[str, Setting]:
    """The model's own flags from the catalogue, with the Matryoshka sizes joined into its overrides."""
    flags: dict[str, Setting] = {}
    overrides: dict[str, object] = {}
    words = list(card.vllm_flags)
    while words:
        word = words.pop(0)
        value: Setting = words.pop(0) if words and not words[0].startswith("--") else True
        if word == "--hf-overrides":
            overrides |= json.loads(str(value))
        else:
            flags[word] = value
    if card.mrl is not None:
        overrides["is_matryoshka"] = True
        if card.mrl.dims:
            overrides["matryoshka_dimensions"] = sorted({*card.mrl.dims, card.dim})
    if overrides:
        flags["--hf-overrides"] = json.dumps(overrides, separators=(",", ":"))
    return flags


def _llamacpp(candidate: Candidate, fit: Fit, threads: int) -> dict[str, Setting]:
    load, card = fit.load, candidate.card
    settings: dict[str, Setting] = {
        "-c": load.max_length * load.parallel,
        "-np": load.parallel,
        "-b": load.batched_tokens,
        "-ub": load.batched_tokens,
        "-ngl": 0 if candidate.gpu is None else ALL_LAYERS,
        "-t": threads,
        "-tb": threads,
    }
    pooling = POOLING_OF_LLAMACPP.get(card.pooling or "")
    return settings | ({"--pooling": pooling} if pooling else {})
