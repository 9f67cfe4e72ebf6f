"""Every way to run a model on this machine, in order of preference. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from orchestrator.catalog.gpus import Card, match
from orchestrator.catalog.models import GgufFile, Model
from orchestrator.facts.records import Facts, Gpu, OwnModel
from orchestrator.plan.records import Backend, WeightsSource
from orchestrator.plan.roofline import mig_parent_share
from orchestrator.plan.shape import BYTES_OF_DTYPE, is_causal
from orchestrator.plan.situation import Situation
from orchestrator.plan.spec import Spec

QUANTISATIONS = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "f16")
"""Preference among GGUF files where none was asked for: the smallest that loses little (0.98-0.99 cosine measured)."""
BFLOAT16_FROM = (8, 0)
FLOAT_DTYPES = tuple(BYTES_OF_DTYPE)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    card: Model
    backend: Backend
    dtype: str
    weights_bytes: int
    weights_source: str
    """Where the number of bytes comes from."""
    source: WeightsSource | None
    """None: no place that has it can be reached, and it is not on this machine."""
    unreachable: str = ""
    cached: bool = False
    gpu: Gpu | None = None
    known: Card | None = None
    """The catalogue's entry for the card."""
    peak_share: float = 1.0
    """A MIG slice's part of the known card."""
    instructed: bool = False

    @property
    def name(self) -> str:
        place = f"GPU {self.gpu.index}" if self.gpu else "CPU"
        return f"{self.card.id}, {self.backend} {self.dtype}, {place}"

    @property
    def quantised(self) -> bool:
        return self.dtype not in FLOAT_DTYPES


def candidates(situation: Situation) -> Iterator[Candidate]:
    """Models first, then backends, then cards: a wider format on a lesser card beats a narrower one on the best."""
    spec, own = situation.spec, situation.own
    gpus = ranked_gpus(spec, situation.facts, situation.cards)
    for card in situation.wanted:
        for backend in _backends(spec, card, own, on_gpu=bool(gpus)):
            for gpu in gpus or (None,):
                yield _candidate(situation, card, backend, gpu)


def ranked_gpus(spec: Spec, facts: Facts, cards: tuple[Card, ...]) -> tuple[Gpu, ...]:
    """The cards to try, the better one first: faster by the catalogue, then more free memory. Never their sum."""
    if spec.gpu == "none":
        return ()
    chosen = [gpu for gpu in facts.gpu.gpus if spec.gpu is None or spec.gpu in (str(gpu.index), gpu.uuid)]

    def merit(gpu: Gpu) -> tuple[float, int, int]:
        known = match(gpu.name, gpu.total_bytes, cards)
        return (-(known.fp16_tflops_fp32acc_dense if known else 0.0), -(gpu.free_bytes or 0), gpu.index)

    return tuple(sorted(chosen, key=merit))


def _backends(spec: Spec, card: Model, own: OwnModel | None, *, on_gpu: bool) -> tuple[Backend, ...]:
    if spec.backend != "auto":
        return (spec.backend,)
    if own is not None:
        return ("llamacpp",) if own.format == "gguf" else ("vllm",)
    order: tuple[Backend, ...] = ("vllm", "ollama", "llamacpp")
    if not on_gpu and card.gguf_files:
        order = ("ollama", "llamacpp", "vllm")
    if spec.dtype is not None:
        order = tuple(name for name in order if (name == "vllm") == (spec.dtype in FLOAT_DTYPES))
    return tuple(name for name in order if _exists_for(name, card))


def _exists_for(backend: Backend, card: Model) -> bool:
    if backend == "ollama":
        return card.ollama.tag is not None
    return backend == "vllm" or bool(card.gguf_files)


def _candidate(situation: Situation, card: Model, backend: Backend, gpu: Gpu | None) -> Candidate:
    own = situation.own
    dtype = situation.spec.dtype or _dtype(card, backend, gpu, own)
    weights, basis = _weights(card, backend, dtype, own)
    source, cached, unreachable = _source(card, backend, dtype, situation.facts, own)
    known, share = _known(gpu, situation.cards)
    return Candidate(
        card=card,
        backend=backend,
        dtype=dtype,
        weights_bytes=weights,
        weights_source=basis,
        source=source,
        unreachable=unreachable,
        cached=cached,
        gpu=gpu,
        known=known,
        peak_share=share,
        instructed=own.instructed if own else "{task}" in card.query_prefix,
    )


def _known(gpu: Gpu | None, cards: tuple[Card, ...]) -> tuple[Card | None, float]:
    if gpu is None:
        return None, 1.0
    part = mig_parent_share(gpu.name)
    if part is None:
        return match(gpu.name, gpu.total_bytes, cards), 1.0
    whole = [card for card in cards if part[0] in card.nvml_names]
    return (whole[0], part[1]) if whole else (None, 1.0)


def _dtype(card: Model, backend: Backend, gpu: Gpu | None, own: OwnModel | None) -> str:
    """bfloat16 from compute capability 8.0 for models published in it, else float16 where the model is safe in it."""
    if backend != "vllm":
        return own.dtype if own else _quantisation(card, backend)
    if gpu is None:
        return "float32"
    has_bfloat16 = gpu.compute_capability is None or gpu.compute_capability >= BFLOAT16_FROM
    published_in_bfloat16 = card.fp16_safe is False or is_causal(card) is not False
    if has_bfloat16 and published_in_bfloat16:
        return "bfloat16"
    return "float32" if card.fp16_safe is False else "float16"


def _quantisation(card: Model, backend: Backend) -> str:
    if backend == "ollama":
        return card.ollama.quant or "unknown"
    sized = [name for name in QUANTISATIONS if _gguf_bytes(card.gguf_files.get(name)) is not None]
    return sized[0] if sized else "unknown"


def _gguf_bytes(file: GgufFile | None) -> int | None:
    if file is None:
        return None
    if file.bytes is not None:
        return file.bytes
    return int(file.approx_gb * 1e9) if file.approx_gb else None


def _weights(card: Model, backend: Backend, dtype: str, own: OwnModel | None) -> tuple[int, str]:
    """(0, why) where the size is not known."""
    if own is not None:
        return _own_weights(own, dtype)
    if backend == "vllm":
        return _float_weights(card, dtype)
    if backend == "ollama" and dtype == card.ollama.quant:
        if card.ollama.bytes is not None:
            return card.ollama.bytes, "vendor: exact size of the layer in the Ollama registry"
        if card.ollama.approx_bytes is not None:
            return card.ollama.approx_bytes, "vendor: rounded size on the Ollama library's page"
    file = card.gguf_files.get(dtype)
    size = _gguf_bytes(file)
    if file is None or size is None:
        return 0, "not known"
    exact = "vendor: exact size of the file on the hub" if file.bytes is not None else "estimate: rounded file size"
    return size, exact


def _float_weights(card: Model, dtype: str) -> tuple[int, str]:
    width = BYTES_OF_DTYPE.get(dtype)
    if card.params is None or width is None:
        return 0, "not known"
    if card.weights_gib_vllm_measured and width == 2:
        return int(card.weights_gib_vllm_measured * 2**30), "measured: vLLM's own start log"
    if card.safetensors_bytes and width == 4:
        return card.safetensors_bytes, "vendor: exact size of the weights file (float32)"
    return int(card.params * width * 1.0065), f"derived: {card.params:,} weights x {width} B, 0.65 % more as loaded"


def _own_weights(own: OwnModel, dtype: str) -> tuple[int, str]:
    stored, wanted = BYTES_OF_DTYPE.get(own.dtype), BYTES_OF_DTYPE.get(dtype)
    if own.format == "gguf" or stored is None or wanted is None or stored == wanted:
        return own.bytes, "measured: size of the weights as they are stored"
    return own.bytes * wanted // stored, f"derived: {own.bytes:,} B stored as {own.dtype}, loaded as {dtype}"


def _source(
    card: Model, backend: Backend, dtype: str, facts: Facts, own: OwnModel | None
) -> tuple[WeightsSource | None, bool, str]:
    """(where from, already here, why nowhere). What is here already counts first, then what can be reached."""
    options = _own_sources(own) if own is not None else _sources(card, backend, dtype)
    here = {model.key for model in facts.cached}
    for source in options:
        if source.kind in ("folder", "file") or source.key in here:
            return source, True, ""
    reach = {"hub": facts.sources.hub, "ollama": facts.sources.ollama, "pypi": facts.sources.pypi}
    refusals = []
    for source in options:
        if reach[source.kind].reachable:
            return source, False, ""
        refusals.append(f"{source.kind} ({reach[source.kind].reason})")
    if not options:
        return None, False, f"no source of {card.id} as {dtype} for {backend} is known"
    return None, False, f"not on this machine, and cannot be reached: {'; '.join(refusals)}"


def _own_sources(own: OwnModel) -> tuple[WeightsSource, ...]:
    return (WeightsSource(kind=own.kind, reference=own.reference, filename=own.filename),)


def _sources(card: Model, backend: Backend, dtype: str) -> tuple[WeightsSource, ...]:
    """A PyPI package comes before the hub: it is pinned by hash."""
    if backend == "ollama":
        tag = card.ollama.tag if dtype in (card.ollama.quant, "unknown") else None
        return (WeightsSource(kind="ollama", reference=tag),) if tag is not None else ()
    if backend == "llamacpp":
        file = card.gguf_files.get(dtype)
        if file is None or card.gguf_repo is None:
            return ()
        return (
            WeightsSource(
                kind="hub",
                reference=card.gguf_repo,
                revision=card.gguf_revision,
                filename=file.filename or gguf_filename(card.gguf_repo, dtype),
                sha256=file.sha256,
            ),
        )
    sources = []
    if card.pypi is not None:
        sources.append(WeightsSource(kind="pypi", reference=card.pypi.name, revision=card.pypi.version))
    if card.hf is not None:
        sources.append(WeightsSource(kind="hub", reference=card.hf))
    return tuple(sources)


def gguf_filename(repository: str, dtype: str) -> str:
    """`Qwen/Qwen3-Embedding-4B-GGUF` names its files `Qwen3-Embedding-4B-Q4_K_M.gguf`."""
    return f"{repository.rsplit('/', maxsplit=1)[-1].removesuffix('-GGUF')}-{dtype}.gguf"
