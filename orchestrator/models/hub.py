"""Weights from the Hugging Face hub: only the needed files, one commit, resumed after any interruption."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import IO, Any

from orchestrator.errors import OrchestratorError
from orchestrator.models.complete import BLOCK_BYTES, PARTS, Complete, KeptFile, sha256_of, write_complete
from orchestrator.models.disk import need_space
from orchestrator.models.hub_listing import HubFile, Listing, endpoint, needed_files
from orchestrator.models.hub_refusal import refusal
from orchestrator.plan.records import WeightsSource
from orchestrator.progress import Progress


def fetch_from_hub(source: WeightsSource, folder: Path, progress: Progress) -> Complete:
    listing = needed_files(source)
    progress.note(f"{source.reference} at {listing.revision[:12]}: {len(listing.files)} files")
    parts = folder / PARTS
    parts.mkdir(parents=True, exist_ok=True)
    have = sum(_present(folder, file) or _partial(parts, file) for file in listing.files)
    need_space(folder, listing.bytes - have)
    kept, before = [], 0
    for file in listing.files:
        tally = Tally(source.reference, before, listing.bytes, progress)
        kept.append(_fetch_file(source, listing, file, folder, tally))
        before += file.bytes
    _forget_others(folder, listing)
    return write_complete(folder, source, path=source.filename or ".", revision=listing.revision, files=tuple(kept))


class Tally:
    """Bytes of the whole model, told to the progress as one file after the other grows."""

    def __init__(self, what: str, before: int, total: int, progress: Progress) -> None:
        self.what, self.before, self.total, self.progress = what, before, total, progress

    def at(self, bytes_of_this_file: int) -> None:
        self.progress.advance(self.what, self.before + bytes_of_this_file, self.total, "bytes")


class Counted:
    """A part file that tells how far it is. huggingface_hub writes to it, and rewinds where a server cannot resume."""

    def __init__(self, file: IO[bytes], tally: Tally) -> None:
        self._file, self._tally = file, tally

    def write(self, block: bytes) -> int:
        count = self._file.write(block)
        self._tally.at(self._file.tell())
        return count

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def truncate(self, size: int | None = None) -> int:
        return self._file.truncate(size)


def _fetch_file(source: WeightsSource, listing: Listing, file: HubFile, folder: Path, tally: Tally) -> KeptFile:
    target = folder / file.path
    if _present(folder, file) and _digest(target, file) == file.digest:
        tally.at(file.bytes)
        return _kept(target, file)
    part = folder / PARTS / file.digest
    _download(source, listing.revision, file, part, tally)
    actual = _digest(part, file)
    if actual != file.digest and (file.sha256 or file.git_sha1):
        part.unlink()
        raise OrchestratorError(
            "download_corrupt",
            f"{source.reference}/{file.path} arrived with other content than the hub lists; it was removed",
            remedy="run it again; if it happens twice, a proxy or mirror in between serves wrong bytes (HF_ENDPOINT)",
            evidence=f"listed {file.digest}, arrived {actual}",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)
    return _kept(target, file)


def _download(source: WeightsSource, revision: str, file: HubFile, part: Path, tally: Tally) -> None:
    """Append what is missing. Kept on any failure: the part is named by its digest, so it can only be that content.

    huggingface_hub 2.x itself no longer resumes across processes (huggingface_hub#4228 made its temporary file
    process-unique and removes it on failure), so its own `http_get` is called with a part file that we keep.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers, disable_progress_bars  # type: ignore[attr-defined]

    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if _partial(part.parent, file) > file.bytes:
        part.unlink()
    url = hf_hub_url(source.reference, file.path, revision=revision, endpoint=endpoint())
    with part.open("ab") as opened:
        counted: Any = Counted(opened, tally)
        tally.at(opened.tell())
        try:
            http_get(
                url,
                counted,
                resume_size=opened.tell(),
                headers=build_hf_headers(library_name="orchestrator"),
                expected_size=file.bytes,
            )
        except Exception as error:  # see hub_listing: the transport's types are huggingface_hub's affair
            raise refusal(error, source, endpoint()) from error


def _digest(path: Path, file: HubFile) -> str:
    if file.sha256:
        return sha256_of(path)
    if not file.git_sha1:
        return file.digest
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as opened:
        while block := opened.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _kept(target: Path, file: HubFile) -> KeptFile:
    return KeptFile(path=file.path, bytes=file.bytes, sha256=file.sha256 or sha256_of(target))


def _present(folder: Path, file: HubFile) -> int:
    """The file's bytes if it is in place, else 0."""
    path = folder / file.path
    return file.bytes if path.is_file() and path.stat().st_size == file.bytes else 0


def _partial(parts: Path, file: HubFile) -> int:
    path = parts / file.digest
    return path.stat().st_size if path.is_file() else 0


def _forget_others(folder: Path, listing: Listing) -> None:
    """What is of no file of this commit: left by a fetch that broke off before a moving revision moved on.

    A shard too many would be loaded with the others.
    """
    wanted = {folder / file.path for file in listing.files}
    for path in folder.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()
    (folder / PARTS).rmdir()
