"""Weights that the user brings: a Hugging Face folder or a GGUF file. Read only; nothing is copied or changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchestratorError

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"
GGUF_MAGIC = b"GGUF"
GGUF_VERSIONS = (2, 3)
"""What llama.cpp reads; version 1 is refused by it (gguf-py/gguf/constants.py: GGUF_VERSION = 3)."""
WEIGHT_PATTERNS = ("*.safetensors", "pytorch_model*.bin")
HEADER_LIMIT_BYTES = 100_000_000
"""The safetensors library refuses longer headers."""


def model_folder(path: Path) -> Path:
    """`path`, if an embedding server can load it: config.json and whole weights."""
    if not path.is_dir():
        raise _invalid(path, "there is no such folder" if not path.exists() else "it is not a folder")
    config = path / "config.json"
    if not config.is_file():
        raise _invalid(path, "it has no config.json")
    _check_json(config)
    weights = sorted(file for pattern in WEIGHT_PATTERNS for file in path.glob(pattern))
    if not weights:
        raise _invalid(path, f"it has no weights ({', '.join(WEIGHT_PATTERNS)})")
    _check_shards(path)
    for file in weights:
        check_weight_file(file)
    return path


def gguf_file(path: Path) -> Path:
    if not path.is_file():
        raise _invalid(path, "there is no such file")
    check_weight_file(path)
    with path.open("rb") as file:
        head = file.read(8)
    if head[:4] != GGUF_MAGIC:
        raise _invalid(path, f"it does not begin with {GGUF_MAGIC.decode()} but with {head[:4]!r}")
    version = int.from_bytes(head[4:8], "little")
    if version not in GGUF_VERSIONS:
        raise _invalid(path, f"GGUF version {version}; llama.cpp reads {' and '.join(map(str, GGUF_VERSIONS))}")
    return path


def check_weight_file(path: Path) -> None:
    """Not a Git LFS pointer, and a safetensors file has exactly the bytes that its own header promises."""
    with path.open("rb") as file:
        head = file.read(max(len(LFS_POINTER), 8))
        if head.startswith(LFS_POINTER):
            raise _invalid(
                path,
                "it is a Git LFS pointer, not the weights",
                f"fetch the real file: cd {path.parent} && git lfs pull",
            )
        if path.suffix != ".safetensors":
            return
        length = int.from_bytes(head[:8], "little")
        if len(head) < 8 or not 2 <= length <= HEADER_LIMIT_BYTES:
            raise _invalid(path, "it is no safetensors file")
        file.seek(8)
        header = file.read(length)
    promised = 8 + length + _data_bytes(path, header)
    actual = path.stat().st_size
    if actual != promised:
        raise _invalid(path, f"it is cut off: {actual} bytes of the {promised} that its header promises")


def _data_bytes(path: Path, header: bytes) -> int:
    try:
        tensors = json.loads(header)
        return max((entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _invalid(path, f"its safetensors header cannot be read ({error})") from error


def _check_shards(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    shards = set((_check_json(index).get("weight_map") or {}).values())
    missing = sorted(name for name in shards if not (folder / name).is_file())
    if missing:
        raise _invalid(folder, f"{len(missing)} of {len(shards)} weight files are missing: {', '.join(missing[:3])}")


def _check_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _invalid(path, f"it is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise _invalid(path, "it is no JSON object")
    return content


def _invalid(path: Path, reason: str, remedy: str = "") -> OrchestratorError:
    return OrchestratorError(
        "invalid_weights",
        f"{path}: {reason}",
        remedy=remedy or "copy the model again, whole, or name another with --model",
        evidence=f"{path}: {reason}",
    )
