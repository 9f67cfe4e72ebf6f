"""The wheels of one lock, on this disk, each checked against its hash. What is there is not downloaded again."""

from __future__ import annotations

import hashlib
import shutil
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from orchestrator.engines.locks import Lock, Requirement
from orchestrator.engines.pip import Job, bytes_under, kill_abandoned, pip_environment, run_side_by_side
from orchestrator.errors import OrchestratorError
from orchestrator.progress import Progress

WORKERS = 4
"""Measured on 2 cores, 60 packages: one pip 38 s, four side by side 21 s; pip reads index pages on one core."""
BATCH = 14
"""Packages per pip run. A killed download loses at most what its WORKERS batches had; pip's cache may have it."""


def fill(folder: Path, lock: Lock, python: Path, progress: Progress) -> None:
    """`folder/*.whl` are whole files, moved there in one step; unfinished ones lie in folders beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    kill_abandoned(folder)
    for abandoned in (*folder.glob("batch-*"), folder / "tmp"):
        shutil.rmtree(abandoned, ignore_errors=True)
    missing = missing_from(folder, lock)
    kept = len(lock.requirements) - len(missing)
    if kept:
        progress.note(f"{kept} of {len(lock.requirements)} packages of {lock.name} are already here")
    ordinary = [wanted for wanted in missing if not _is_elsewhere(wanted, lock)]
    special = [wanted for wanted in missing if _is_elsewhere(wanted, lock)]
    download = _Download(folder, lock, python, progress, kept)
    download.run([ordinary[start : start + BATCH] for start in range(0, len(ordinary), BATCH)])
    for wanted in special:
        _fetch_from_elsewhere(download, wanted, lock, progress)
    shutil.rmtree(folder / "tmp", ignore_errors=True)


def missing_from(folder: Path, lock: Lock) -> list[Requirement]:
    """By content, not by name: a file that is not what was pinned counts for nothing."""
    present = {_sha256_of(path) for path in folder.glob("*.whl")}
    return [wanted for wanted in lock.requirements if not wanted.sha256 & present]


class _Download:
    """pip runs for batches of one lock, with the progress of all of them together."""

    def __init__(self, folder: Path, lock: Lock, python: Path, progress: Progress, kept: int) -> None:
        self.folder = folder
        self.lock = lock
        self.python = python
        self.progress = progress
        self.kept = kept

    def run(self, batches: list[list[Requirement]], extra: tuple[str, ...] = ()) -> None:
        run_side_by_side(
            [self._job(batch, extra) for batch in batches],
            pip_environment(self.folder),
            self.folder,
            workers=WORKERS,
            look=self._tell,
        )

    def _job(self, batch: list[Requirement], extra: tuple[str, ...]) -> Job:
        own = Path(mkdtemp(dir=self.folder, prefix="batch-"))
        wanted = own / "requirements.txt"
        wanted.write_text("\n".join(requirement.text for requirement in batch) + "\n", encoding="utf-8")
        command = (
            *(str(self.python), "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
            *("--no-input", "--disable-pip-version-check", "--progress-bar", "off", *extra),
            *("--requirement", str(wanted), "--dest", str(own)),
        )
        return Job(command=command, then=partial(self._keep, own))

    def _keep(self, batch: Path) -> None:
        for wheel in batch.glob("*.whl"):
            wheel.replace(self.folder / wheel.name)
            self.kept += 1
        shutil.rmtree(batch)

    def _tell(self) -> None:
        total = len(self.lock.requirements)
        self.progress.advance(f"{self.lock.name}: packages downloaded", self.kept, total)
        self.progress.advance(f"{self.lock.name}: downloaded", bytes_under(self.folder, _has_come_down), None, "bytes")


def _is_elsewhere(wanted: Requirement, lock: Lock) -> bool:
    return lock.needs_wheel is not None and lock.needs_wheel.startswith(f"{wanted.name}-{wanted.version}-")


def _fetch_from_elsewhere(download: _Download, wanted: Requirement, lock: Lock, progress: Progress) -> None:
    """PyPI has no such file. The user's own configuration comes first; then, said aloud, the project's own page."""
    try:
        download.run([[wanted]])
    except OrchestratorError as error:
        if error.code not in ("package_not_found", "network"):
            raise
        if lock.extra_index_url is None:
            raise _nowhere(wanted, lock, error.evidence) from None
    else:
        return
    progress.note(f"{wanted.name} {wanted.version} is not in your package index; asking {lock.extra_index_url}")
    try:
        download.run([[wanted]], ("--extra-index-url", lock.extra_index_url))
    except OrchestratorError as error:
        raise _nowhere(wanted, lock, error.evidence) from None


def _nowhere(wanted: Requirement, lock: Lock, evidence: str) -> OrchestratorError:
    return OrchestratorError(
        "package_not_found",
        f"{lock.name} needs {wanted.name} {wanted.version}, which PyPI does not have and pip did not find elsewhere",
        remedy=f"put {lock.needs_wheel} into a folder and name it: PIP_FIND_LINKS=FOLDER; or name an index that has"
        " it: PIP_EXTRA_INDEX_URL=URL",
        evidence=evidence,
    )


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _has_come_down(name: str) -> bool:
    return not name.endswith(".log")
