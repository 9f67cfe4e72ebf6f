"""What the user asked for: a preset from `stacks/`, then flags. None means: let the plan decide."""

from __future__ import annotations

from typing import Literal

import msgspec

from orchestrator.plan.records import Backend, EngineName, Retrieval, Role

DEFAULT_MODEL = "qwen3-embedding-4b"
EMBEDDED_MODEL = "all-minilm-l6-v2"
"""Small, English, Apache-2.0, on PyPI: what runs where there is no GPU and no model hub answers."""
DEFAULT_PORTS: dict[Role, int] = {"webui": 3000, "embeddings": 8001, "vectors": 8002}


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    docs_per_s: float = 800.0
    tokens_per_doc: int = 32


class Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stack as asked for. Field names are the keys of `stacks/*.yaml` and of the flags."""

    stack: str = "default"
    services: tuple[Role, ...] = ("embeddings", "vectors", "webui")
    model: str | None = None
    """A catalogue id, a Hugging Face repository, a path (folder or .gguf), `auto` (a smaller model of the family
    is allowed), or None: the default model, and the embedded one where there is neither GPU nor hub."""
    backend: Backend | Literal["auto"] = "auto"
    engine: EngineName | Literal["auto"] = "auto"
    gpu: str | None = None
    """Index or uuid; `none` = plan for the CPU."""
    vram_bytes: int | None = None
    dtype: str | None = None
    max_length: int | None = None
    batched_tokens: int | None = None
    dimension: int | None = None
    listen: str = "127.0.0.1"
    ports: dict[Role, int] = {}
    task: str = "Given a web search query, retrieve relevant passages that answer the query"
    retrieval: Retrieval = Retrieval()
    target: Target = Target()
