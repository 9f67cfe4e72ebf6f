"""Plans written by hand, one per kind of stack, for the tests of what is made from a plan."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.catalog.models import Model, models
from orchestrator.plan.records import Backend, Device, Memory, Plan, Retrieval, Weights, WeightsSource

GIB = 2**30
GPU_UUID = "GPU-5d2a8f10-3c4b-4e6f-9a7b-1c2d3e4f5a6b"
TASK_PREFIX = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"


def plan_of(backend: Backend = "vllm", *, gpu: bool = False, stack: str = "default", **changes: Any) -> Plan:
    """Qwen3-Embedding 4B on a card, all-MiniLM-L6-v2 on the CPU."""
    card: Model = models()["qwen3-embedding-4b" if gpu else "all-minilm-l6-v2"]
    plan = Plan(
        stack=stack,
        roles=("embeddings", "vectors", "webui"),
        model=card.id,
        card=card,
        served_name=card.id,
        dimension=card.dim,
        backend=backend,
        backend_build="cuda" if gpu else "cpu",
        weights=_weights(backend, card),
        device=Device(kind="gpu", uuid=GPU_UUID, name="NVIDIA GeForce RTX 3060", index=0)
        if gpu
        else Device(kind="cpu", uuid=None, name="2 cores"),
        engine="compose",
        max_length=2048 if gpu else 256,
        batched_tokens=4096,
        parallel=64 if backend == "vllm" else 4,
        gpu_memory_share=0.8 if gpu and backend == "vllm" else None,
        threads=2,
        memory=Memory(need_bytes=9 * GIB, free_bytes=11 * GIB, margin_bytes=2 * GIB, terms=()),
        backend_args=_backend_args(backend, gpu),
        listen="127.0.0.1",
        ports={"webui": 3000, "embeddings": 8001, "vectors": 8002},
        query_prefix=TASK_PREFIX if gpu else "",
        document_prefix="",
        retrieval=Retrieval(),
        reasons={
            "model": "the default model" if gpu else "no GPU, and no model hub answers",
            "backend": f"{backend} was asked for",
            "device": "the only one" if gpu else "no GPU was found",
            "max_length": "what fits beside the weights" if gpu else "the model's own limit",
        },
        decided_by={},
    )
    return msgspec.structs.replace(plan, **changes)


def _weights(backend: Backend, card: Model) -> Weights:
    if backend == "ollama":
        source = WeightsSource(kind="ollama", reference=f"{card.id}:q8_0")
        return Weights(format="gguf", dtype="Q8_0", bytes=4 * GIB, source=source)
    if backend == "llamacpp":
        source = WeightsSource(kind="file", reference=f"/models/{card.id}-f16.gguf")
        return Weights(format="gguf", dtype="F16", bytes=46_226_496, source=source)
    source = WeightsSource(kind="folder", reference=f"/models/{card.id}")
    return Weights(format="safetensors", dtype="float32", bytes=90_868_376, source=source)


def _backend_args(backend: Backend, gpu: bool) -> dict[str, str | int | float | bool]:
    if backend == "vllm":
        args: dict[str, str | int | float | bool] = {
            "--runner": "pooling",
            "--dtype": "bfloat16" if gpu else "float32",
            "--max-model-len": 2048 if gpu else 256,
            "--max-num-batched-tokens": 4096,
            "--max-num-seqs": 64,
        }
        share = {"--gpu-memory-utilization": 0.8 if gpu else 0.2}
        return args | share | ({} if gpu else {"--enforce-eager": True})
    if backend == "llamacpp":
        return {"-c": 1024, "-np": 4, "-b": 256, "-ub": 256, "-t": 2, "-tb": 2}
    return {"num_ctx": 2048, "num_batch": 2048, "OLLAMA_NUM_PARALLEL": 1}
