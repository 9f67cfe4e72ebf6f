"""`.complete.json`: written last, so a model folder that has one is whole. `facts` reads its key, path and bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from orchestrator.plan.records import WeightsSource
from orchestrator.state import write_whole

MARKER = ".complete.json"
PARTS = ".parts"
"""Where unfinished downloads of this model lie, each named by the digest it will have."""
BLOCK_BYTES = 4 * 1024 * 1024


class KeptFile(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    """Relative to the model's folder."""
    bytes: int
    sha256: str


class Complete(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    path: str
    """What an embedding server loads, relative to the folder: `.`, or one GGUF file."""
    bytes: int
    source: WeightsSource
    revision: str | None
    """The commit, version or digest that was really fetched, also where the source named a branch."""
    files: tuple[KeptFile, ...]
    completed_at: str


def read_complete(folder: Path) -> Complete | None:
    """The marker, if there is a readable one. An unreadable marker is as good as none: the fetch starts again."""
    try:
        return msgspec.json.decode((folder / MARKER).read_bytes(), type=Complete)
    except (OSError, msgspec.DecodeError):
        return None


def is_whole(folder: Path, complete: Complete) -> bool:
    """Every file is there with its size: the quick question of every `up`. `verify_files` also reads the bytes."""
    return all(_size(folder / file.path) == file.bytes for file in complete.files)


def write_complete(
    folder: Path, source: WeightsSource, *, path: str, revision: str | None, files: tuple[KeptFile, ...]
) -> Complete:
    complete = Complete(
        key=source.key,
        path=path,
        bytes=sum(file.bytes for file in files),
        source=source,
        revision=revision,
        files=files,
        completed_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_whole(folder / MARKER, msgspec.json.format(msgspec.json.encode(complete)))
    return complete


def sha256_of(path: Path, seen: Callable[[int], None] = lambda count: None) -> str:
    """The file's digest; `seen` is told the bytes read so far."""
    digest, count = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            count += len(block)
            seen(count)
    return digest.hexdigest()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
