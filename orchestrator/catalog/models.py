"""The models that the planner knows (`models.yaml`), as records. Values keep their source and if it is verified."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from orchestrator.catalog.files import read_yaml


class GgufFile(msgspec.Struct, frozen=True, kw_only=True):
    bytes: int | None = None
    """Exact size; None where only `approx_gb` is known."""
    approx_gb: float | None = None
    filename: str | None = None
    sha256: str | None = None
    bpw: float | None = None


class OllamaTag(msgspec.Struct, frozen=True, kw_only=True):
    tag: str | None = None
    quant: str | None = None
    bytes: int | None = None
    approx_bytes: int | None = None
    """From the rounded size on the library's page, where the exact one is not known."""
    blob: str | None = None


class PypiPackage(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str


class Matryoshka(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes that a vector may be cut to: any in [min, max], or one of `dims`."""

    kind: str
    min: int | None = None
    max: int | None = None
    dims: tuple[int, ...] = ()

    def allows(self, dimension: int) -> bool:
        if self.dims:
            return dimension in self.dims
        return (self.min or 1) <= dimension <= (self.max or dimension)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    hf: str | None = None
    license: str | None = None
    tier: str | None = None
    multilingual: bool = False
    params: int | None = None
    embedding_params: int | None = None
    non_embedding_params: int | None = None
    gemm_params: int | None = None
    layers: int | None = None
    hidden: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    intermediate: int | None = None
    vocab: int | None = None
    ctx: int
    """Tokens that the model card promises, special tokens included."""
    dim: int
    """Size of a vector as the model makes it."""
    mrl: Matryoshka | None = None
    pooling: str | None = None
    bidirectional: bool | None = None
    kv_bytes_per_token_f16: int | None = None
    fp16_safe: bool | str | None = None
    dtype_required: str | None = None
    query_prefix: str = ""
    """Put before a query, with `{task}` still to be filled in where the model is instructed."""
    document_prefix: str = ""
    safetensors_bytes: int | None = None
    """Exact size of the weights file where it was seen."""
    weights_gib_vllm_measured: float | None = None
    gguf_repo: str | None = None
    gguf_revision: str | None = None
    gguf_files: dict[str, GgufFile] = {}
    ollama: OllamaTag = OllamaTag()
    pypi: PypiPackage | None = None
    architectures: tuple[str, ...] = ()
    vllm_flags: tuple[str, ...] = ()
    verified: bool = False
    unverified: tuple[str, ...] = ()
    sources: dict[str, Any] = {}


@cache
def models() -> dict[str, Model]:
    """Every model of the catalogue by id, in the file's order."""
    raw = read_yaml("models.yaml")
    return {entry["id"]: _model(entry, raw) for entry in raw["models"]}


def _model(entry: dict[str, Any], shared: dict[str, Any]) -> Model:
    merged = {**shared[entry["inherits"]], **entry} if "inherits" in entry else dict(entry)
    vllm = merged.get("vllm") or {}
    merged["architectures"] = vllm.get("architectures") or []
    merged["vllm_flags"] = vllm.get("flags") or []
    if "query_format" in merged:
        # "Instruct: {task}\nQuery:{query}" → the prefix that stands before the query.
        merged["query_prefix"] = merged["query_format"].replace("{query}", "")
    merged["ollama"] = _ollama(merged.get("ollama") or {})
    known = {field: merged[field] for field in Model.__struct_fields__ if merged.get(field) is not None}
    return msgspec.convert(known, Model)


def _ollama(entry: dict[str, Any]) -> dict[str, Any]:
    match = re.fullmatch(r"~?(\d+(?:\.\d+)?) (MB|GB)", str(entry.get("size") or ""))
    if match is None:
        return entry
    return {**entry, "approx_bytes": int(float(match[1]) * {"MB": 10**6, "GB": 10**9}[match[2]])}
