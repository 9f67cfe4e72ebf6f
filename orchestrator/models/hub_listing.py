"""What a repository of the Hugging Face hub holds, and which of it an embedding server needs."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

import msgspec

from orchestrator.errors import OrchestratorError
from orchestrator.models.hub_refusal import refusal
from orchestrator.plan.records import WeightsSource

WANTED = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.py")
"""Weights, configuration, tokenizer; code only ever runs where the plan says --trust-remote-code."""
PICKLED = ("pytorch_model*.bin",)
"""Asked for only where a repository has no safetensors (BAAI/bge-m3)."""
UNWANTED = ("consolidated*.safetensors", "README*", "LICENSE*", "training_args*")
LISTING_TIMEOUT_S = 30
UNWANTED_FOLDERS = {"onnx", "openvino", "coreml", "gguf", "original", "assets", "imgs"}


class HubFile(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    bytes: int
    sha256: str | None
    """Of the content, for files that the hub keeps in LFS or Xet."""
    git_sha1: str | None
    """Git's blob id, for the others: sha1 over a short head and the content."""

    @property
    def digest(self) -> str:
        return self.sha256 or self.git_sha1 or self.path.replace("/", "--")


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    revision: str
    """The commit."""
    files: tuple[HubFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def endpoint() -> str:
    """Read at each call: huggingface_hub fixes it when it is imported."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def needed_files(source: WeightsSource) -> Listing:
    """Ask the hub. Raises with a remedy where it refuses or does not answer."""
    from huggingface_hub import HfApi

    try:
        info = HfApi(endpoint=endpoint(), library_name="orchestrator").model_info(
            source.reference, revision=source.revision, files_metadata=True, timeout=LISTING_TIMEOUT_S
        )
    except Exception as error:  # the transport's types changed with huggingface_hub: requests, httpx, httpx2
        raise refusal(error, source, endpoint()) from error
    listing = Listing(
        revision=str(info.sha), files=tuple(_wanted(tuple(_file(entry) for entry in info.siblings or ()), source))
    )
    _refuse_useless(listing, source)
    return listing


def _wanted(files: tuple[HubFile, ...], source: WeightsSource) -> list[HubFile]:
    if source.filename is not None:
        return [file for file in files if file.path == source.filename]
    kept = [file for file in files if _matches(file.path, WANTED)]
    if not any(file.path.endswith(".safetensors") for file in kept):
        kept += [file for file in files if _matches(file.path, PICKLED)]
    return sorted(kept, key=lambda file: file.bytes)


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    parts = PurePosixPath(path)
    return (
        not parts.is_absolute()
        and ".." not in parts.parts
        and not UNWANTED_FOLDERS.intersection(parts.parts[:-1])
        and not parts.name.startswith(".")
        and not any(fnmatch(parts.name, pattern) for pattern in UNWANTED)
        and any(fnmatch(parts.name, pattern) for pattern in patterns)
    )


def _file(sibling: Any) -> HubFile:
    lfs = sibling.lfs
    return HubFile(
        path=sibling.rfilename,
        bytes=int((lfs.size if lfs else sibling.size) or 0),
        sha256=lfs.sha256 if lfs else None,
        git_sha1=None if lfs else sibling.blob_id,
    )


def _refuse_useless(listing: Listing, source: WeightsSource) -> None:
    if source.filename is not None:
        if not listing.files:
            raise OrchestratorError(
                "hub_no_such_file",
                f"{source.reference} has no file {source.filename} at {listing.revision}",
                remedy=f"see its files: {endpoint()}/{source.reference}/tree/{listing.revision}",
            )
        offered = listing.files[0].sha256
        if source.sha256 and offered and offered != source.sha256:
            raise OrchestratorError(
                "wrong_weights",
                f"{source.reference}/{source.filename} is not the pinned file: the hub offers sha256 {offered}",
                remedy="its owner replaced it: pin the revision that had it, or choose another file or model",
                evidence=f"pinned {source.sha256}, offered {offered}",
            )
        return
    names = {file.path for file in listing.files}
    weights = [name for name in names if name.endswith((".safetensors", ".bin"))]
    if "config.json" not in names or not weights:
        missing = "config.json" if "config.json" not in names else "safetensors or pytorch_model.bin weights"
        raise OrchestratorError(
            "hub_no_model",
            f"{source.reference} at {listing.revision} has no {missing}",
            remedy="name a repository with a model in Hugging Face format, or a GGUF file of it with --model PATH",
        )
