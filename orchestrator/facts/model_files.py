"""A user's own model, read from its configuration or header: a folder, a GGUF file, or a repository on the hub.

Nothing but the small files and the first bytes of the large ones is read; no weights are fetched.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.catalog.models import Matryoshka, Model
from orchestrator.errors import OrchestratorError
from orchestrator.facts.gguf_header import FILE_TYPES, POOLING, IncompleteError, NotGgufError, read_header
from orchestrator.facts.records import OwnModel

FIRST_READ_BYTES = 4 * 2**20
LARGEST_HEADER_BYTES = 64 * 2**20
"""A vocabulary of 250,000 words with scores takes about 10 MB."""
DTYPE_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
CAUSAL_ARCHITECTURES = ("ForCausalLM", "Qwen2Model", "Qwen3Model", "MistralModel", "LlamaModel")
POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last_token",
}
HUB_TIMEOUT_S = 10.0

ReadText = Callable[[str], str | None]
"""A file of the model by its name; None where there is no such file."""


def own_model(reference: str, known: set[str]) -> OwnModel | None:
    """The user's own model behind `--model`, or None where the name is the catalogue's (`known`) or nobody's."""
    path = Path(reference).expanduser()
    if reference in known:
        return None
    if path.suffix.lower() == ".gguf":
        return read_gguf_file(path)
    if path.is_dir():
        return read_folder(path)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", reference) and not reference.startswith((".", "/")):
        return read_repository(reference)
    if "/" in reference or reference.startswith("."):
        raise _unreadable(reference, "there is no such folder or file")
    return None


def read_gguf_file(path: Path) -> OwnModel:
    try:
        with path.open("rb") as file:
            header = _grow(lambda size: (file.seek(0), file.read(size))[1])
        size = path.stat().st_size
    except OSError as error:
        raise _unreadable(str(path), error.strerror or str(error)) from error
    except NotGgufError as error:
        raise _unreadable(str(path), str(error)) from error
    return OwnModel(
        card=card_of_gguf(header, path.stem),
        format="gguf",
        kind="file",
        reference=str(path.absolute()),
        dtype=FILE_TYPES.get(header.get("general.file_type", -1), "GGUF"),
        bytes=size,
    )


def _grow(read: Callable[[int], bytes]) -> dict[str, Any]:
    """Parse the first megabytes, and more of them while the header does not end."""
    size = FIRST_READ_BYTES
    while True:
        data = read(size)
        try:
            return read_header(data)
        except IncompleteError:
            if len(data) < size or size >= LARGEST_HEADER_BYTES:
                raise NotGgufError("the header does not end: the file is cut off or damaged") from None
            size *= 4


def card_of_gguf(header: dict[str, Any], name: str) -> Model:
    """llama.cpp's keys stand under the architecture's name (`bert.context_length`)."""
    architecture = str(header.get("general.architecture", ""))

    def key(suffix: str) -> Any:
        return header.get(f"{architecture}.{suffix}")

    hidden, heads, layers = key("embedding_length"), key("attention.head_count"), key("block_count")
    context = key("context_length")
    if not all(isinstance(value, int) for value in (hidden, layers, context)):
        raise _unreadable(name, "its header lacks the context length, the layers or the vector's size")
    kv_heads = key("attention.head_count_kv")
    pooling = POOLING.get(key("pooling_type") if key("pooling_type") is not None else -1)
    causal = key("attention.causal")
    encoder = causal is False or "bert" in architecture
    return Model(
        id=served_id(name),
        layers=layers,
        hidden=hidden,
        heads=heads if isinstance(heads, int) else None,
        kv_heads=kv_heads if isinstance(kv_heads, int) else heads if isinstance(heads, int) else None,
        head_dim=key("attention.key_length") or (hidden // heads if isinstance(heads, int) else None),
        intermediate=key("feed_forward_length") if isinstance(key("feed_forward_length"), int) else None,
        vocab=_length(header.get("tokenizer.ggml.tokens")),
        ctx=context,
        dim=hidden,
        pooling=pooling or ("mean" if encoder else "last_token"),
        bidirectional=encoder,
        architectures=(architecture,),
        sources={"metadata": "header of the GGUF file"},
    )


def _length(value: Any) -> int | None:
    return value if isinstance(value, int) else len(value) if isinstance(value, list) else None


def read_folder(folder: Path) -> OwnModel:
    def read(name: str) -> str | None:
        try:
            return (folder / name).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(str(folder / name), str(error)) from error

    weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not weights:
        raise _unreadable(str(folder), "it holds no weights (*.safetensors)")
    dtype = _stored_dtype(weights[0])
    card = card_of_config(read, folder.name, str(folder))
    dtype, size = dtype or _config_dtype(read) or "float32", sum(file.stat().st_size for file in weights)
    return OwnModel(
        card=_with_params(card, dtype, size),
        format="safetensors",
        kind="folder",
        reference=str(folder.absolute()),
        dtype=dtype,
        bytes=size,
    )


def _with_params(card: Model, dtype: str, size: int) -> Model:
    """Weights counted from the file's size; the embedding table from the vocabulary."""
    params = size // (4 if dtype == "float32" else 2)
    return msgspec.structs.replace(card, params=params, embedding_params=(card.vocab or 0) * (card.hidden or 0))


def _stored_dtype(file: Path) -> str | None:
    """Of the first floating tensor in a safetensors header."""
    if file.suffix != ".safetensors":
        return None
    with file.open("rb") as opened:
        head = opened.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= LARGEST_HEADER_BYTES:
            raise _unreadable(str(file), "it is no safetensors file")
        header = opened.read(length)
    try:
        tensors = json.loads(header)
        found = (DTYPE_NAMES.get(tensor["dtype"]) for name, tensor in tensors.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(str(file), f"its header cannot be read ({error})") from error
    return next((dtype for dtype in found if dtype), None)


def card_of_config(read: ReadText, name: str, where: str) -> Model:
    """config.json, and sentence-transformers' files where there are any."""
    config = _json(read("config.json"), f"{where}/config.json")
    if not config:
        raise _unreadable(where, "it has no config.json")
    hidden = config.get("hidden_size") or config.get("n_embd") or config.get("dim")
    layers = config.get("num_hidden_layers") or config.get("n_layer") or config.get("n_layers")
    heads = config.get("num_attention_heads") or config.get("n_head") or config.get("n_heads")
    context = config.get("max_position_embeddings") or config.get("n_positions")
    if not (isinstance(hidden, int) and isinstance(layers, int) and isinstance(context, int)):
        raise _unreadable(f"{where}/config.json", "it lacks hidden_size, num_hidden_layers or max_position_embeddings")
    sentence = _json(read("sentence_bert_config.json"), where)
    architectures = tuple(config.get("architectures") or ())
    causal = any(part in architecture for architecture in architectures for part in CAUSAL_ARCHITECTURES)
    longest = sentence.get("max_seq_length")
    # RoBERTa counts positions from pad_token_id + 1: two of its positions are no tokens.
    offset = 2 if config.get("model_type") in ("roberta", "xlm-roberta", "camembert") else 0
    return Model(
        id=served_id(name),
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or (hidden // heads if heads else None),
        intermediate=config.get("intermediate_size"),
        vocab=config.get("vocab_size"),
        ctx=min(context - offset, longest) if isinstance(longest, int) else context - offset,
        dim=_output_size(read, where) or hidden,
        mrl=_matryoshka(config, hidden),
        pooling=_pooling(read, where) or ("last_token" if causal else "cls"),
        bidirectional=not causal,
        architectures=architectures,
        query_prefix=_prompt(read, where, "query"),
        document_prefix=_prompt(read, where, "document") or _prompt(read, where, "passage"),
        params=None,
        sources={"metadata": "config.json"},
    )


def _pooling(read: ReadText, where: str) -> str | None:
    """From the folder that modules.json names; 1_Pooling is the usual one."""
    flags = _json(read("1_Pooling/config.json"), where)
    return next((kind for flag, kind in POOLING_FLAGS.items() if flags.get(flag)), None)


def _output_size(read: ReadText, where: str) -> int | None:
    dense = _json(read("2_Dense/config.json"), where).get("out_features")
    pooled = _json(read("1_Pooling/config.json"), where).get("word_embedding_dimension")
    return dense if isinstance(dense, int) else pooled if isinstance(pooled, int) else None


def _matryoshka(config: dict[str, Any], hidden: int) -> Matryoshka | None:
    sizes = config.get("matryoshka_dimensions")
    if isinstance(sizes, list) and all(isinstance(size, int) for size in sizes):
        return Matryoshka(kind="list", dims=tuple(sizes))
    return Matryoshka(kind="range", min=1, max=hidden) if config.get("is_matryoshka") else None


def _prompt(read: ReadText, where: str, name: str) -> str:
    prompts = _json(read("config_sentence_transformers.json"), where).get("prompts") or {}
    text = prompts.get(name) if isinstance(prompts, dict) else None
    return text if isinstance(text, str) else ""


def _config_dtype(read: ReadText) -> str | None:
    config = _json(read("config.json"), "config.json")
    dtype = config.get("torch_dtype") or config.get("dtype")
    return dtype if dtype in DTYPE_NAMES.values() else None


def _json(text: str | None, where: str) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        content = json.loads(text)
    except ValueError as error:
        raise _unreadable(where, f"it is no JSON ({error})") from error
    return content if isinstance(content, dict) else {}


def read_repository(repository: str) -> OwnModel:
    """Small files whole, large ones by a range request. Uses the hub that HF_ENDPOINT names, and HF_TOKEN if set."""
    import httpx

    from orchestrator.facts.network import hub_endpoint

    headers = _authorisation()
    try:
        with httpx.Client(timeout=HUB_TIMEOUT_S, follow_redirects=True, headers=headers) as client:
            return _from_hub(client, f"{hub_endpoint()}", repository)
    except httpx.HTTPError as error:
        raise _unreadable(repository, f"the hub cannot be asked ({type(error).__name__})") from error


def _authorisation() -> dict[str, str]:
    import os

    token = os.environ.get("HF_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _from_hub(client: Any, hub: str, repository: str) -> OwnModel:
    listed = client.get(f"{hub}/api/models/{repository}", params={"blobs": "true"})
    if listed.status_code in (401, 403, 404):
        raise _unreadable(repository, f"the hub answers {listed.status_code}: no such repository, or it needs HF_TOKEN")
    listed.raise_for_status()
    sizes = {file["rfilename"]: file.get("size") or 0 for file in listed.json().get("siblings", [])}

    def read(name: str) -> str | None:
        if name not in sizes:
            return None
        answer = client.get(f"{hub}/{repository}/resolve/main/{name}")
        answer.raise_for_status()
        text: str = answer.text
        return text

    safetensors = [name for name in sizes if name.endswith(".safetensors") and "/" not in name]
    if not safetensors:
        return _gguf_from_hub(client, hub, repository, sizes)
    card = msgspec.structs.replace(card_of_config(read, repository.rpartition("/")[2], repository), hf=repository)
    dtype, size = _config_dtype(read) or "float32", sum(sizes[name] for name in safetensors)
    return OwnModel(
        card=_with_params(card, dtype, size),
        format="safetensors",
        kind="hub",
        reference=repository,
        dtype=dtype,
        bytes=size,
    )


def _gguf_from_hub(client: Any, hub: str, repository: str, sizes: dict[str, int]) -> OwnModel:
    """The file that the planner would prefer: Q4_K_M, then Q8_0, then the smallest."""
    files = sorted((name for name in sizes if name.endswith(".gguf")), key=lambda name: (_rank(name), sizes[name]))
    if not files:
        raise _unreadable(repository, "it holds neither safetensors nor GGUF weights")
    name = files[0]

    def first(size: int) -> bytes:
        answer = client.get(f"{hub}/{repository}/resolve/main/{name}", headers={"Range": f"bytes=0-{size - 1}"})
        answer.raise_for_status()
        content: bytes = answer.content[:size]
        return content

    try:
        header = _grow(first)
    except NotGgufError as error:
        raise _unreadable(f"{repository}/{name}", str(error)) from error
    return OwnModel(
        card=card_of_gguf(header, Path(name).stem),
        format="gguf",
        kind="hub",
        reference=repository,
        filename=name,
        dtype=FILE_TYPES.get(header.get("general.file_type", -1), "GGUF"),
        bytes=sizes[name],
    )


def _rank(name: str) -> int:
    order = ("q4_k_m", "q8_0")
    return next((rank for rank, quant in enumerate(order) if quant in name.lower()), len(order))


def served_id(name: str) -> str:
    """A name that fits URLs, headers and Compose files."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.") or "model"


def _unreadable(where: str, reason: str) -> OrchestratorError:
    return OrchestratorError(
        "model_unreadable",
        f"{where}: {reason}",
        remedy="give the path of a whole model folder or GGUF file, a hub repository, or a name from the catalogue",
        evidence=f"{where}: {reason}",
    )
