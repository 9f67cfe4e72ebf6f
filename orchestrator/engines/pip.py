"""The door to pip: run it, watch it, and say in our words why it refused. Its own configuration is honoured."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from orchestrator.engines.leftovers import environment_of, kill
from orchestrator.errors import OrchestratorError

INSTALL_VARIABLE = "ORCHESTRATOR_INSTALL"
"""In the environment of everything that installs or builds: the folder that it does it for."""
LOOK_EVERY_S = 0.5
EVIDENCE_LINES = 8


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    code: str
    message: str
    remedy: str


NETWORK = "check the network, HTTPS_PROXY and `pip config list`; what has come down is kept: run it again"
SPACE = "free some space, or set ORCHESTRATOR_HOME to a folder on a larger disk; then run it again"
MIRROR = "a mirror may be stale: see `pip config list`, or name another index (PIP_INDEX_URL)"
REFUSALS = tuple(
    Refusal(text=text, code=code, message=message, remedy=remedy)
    for text, code, message, remedy in (
        ("No space left on device", "disk_full", "the disk is full", SPACE),
        ("Disk quota exceeded", "disk_full", "the disk quota is used up", SPACE),
        (
            "DO NOT MATCH THE HASHES",
            "hash_mismatch",
            "the package index serves another file than the pinned one",
            "a mirror is stale or altered: see `pip config list`, or name another index (PIP_INDEX_URL)",
        ),
        ("Connection broken", "network", "the connection to the package index broke", NETWORK),
        ("after connection broken by", "network", "the package index cannot be reached", NETWORK),
        ("Max retries exceeded", "network", "the package index cannot be reached", NETWORK),
        ("Read timed out", "network", "the package index does not answer in time", NETWORK),
        ("SSLError", "network", "the package index's certificate is not trusted", NETWORK),
        ("HTTP error", "network", "the package index refuses", NETWORK),
        ("No matching distribution found", "package_not_found", "the package index has no such file", MIRROR),
        ("Permission denied", "permission", "a folder cannot be written", "see the evidence for its path"),
    )
)
"""In the order of what decides: an index that cannot be reached also has `No matching distribution`."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a program, and what to do once it has succeeded."""

    command: tuple[str, ...]
    then: Callable[[], None] = lambda: None


class Running(msgspec.Struct, frozen=True, kw_only=True):
    job: Job
    process: subprocess.Popen[bytes]
    output: Path


def pip_environment(folder: Path) -> dict[str, str]:
    """As the user has it: mirrors, proxies, certificates and find-links reach pip; temporary files go to our disk."""
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1", INSTALL_VARIABLE: str(folder)}


def offline_environment(folder: Path) -> dict[str, str]:
    """For what is installed from our own wheelhouse: no setting of the user's (`user`, `target`) may move it."""
    kept = {name: value for name, value in pip_environment(folder).items() if not name.startswith("PIP_")}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1"}


def run_side_by_side(
    jobs: list[Job], environment: Mapping[str, str], folder: Path, *, workers: int, look: Callable[[], None]
) -> None:
    """Run pip jobs, `workers` at a time; `look` is called now and then. The first that fails stops the others."""
    waiting, running = list(jobs), list[Running]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(_start(waiting.pop(0), environment, folder))
            with suppress(subprocess.TimeoutExpired):
                running[0].process.wait(LOOK_EVERY_S)
            for one in [one for one in running if one.process.poll() is not None]:
                _finish(one)
                running.remove(one)
            look()
    finally:
        for one in running:
            one.process.kill()
            one.process.wait()
            one.output.unlink(missing_ok=True)


def kill_abandoned(folder: Path) -> None:
    """What an installer that was killed left running would write into the folder that we are about to use."""
    import psutil

    own = psutil.Process()
    kill(
        [p for p in psutil.process_iter() if p != own and environment_of(p).get(INSTALL_VARIABLE) == str(folder)],
    )


def refusal(output: str) -> OrchestratorError:
    lines = [line for line in output.strip().splitlines() if "is ignored: it is neither" not in line]
    evidence = "\n".join(lines[-EVIDENCE_LINES:])
    for known in REFUSALS:
        if known.text in output:
            return OrchestratorError(known.code, known.message, remedy=known.remedy, evidence=evidence)
    return OrchestratorError(
        "install_failed", "pip failed; its last lines are the evidence", remedy=NETWORK, evidence=evidence
    )


def _start(job: Job, environment: Mapping[str, str], folder: Path) -> Running:
    handle, name = tempfile.mkstemp(dir=folder, prefix=".pip-", suffix=".log")
    with os.fdopen(handle, "wb") as output:
        process = subprocess.Popen(
            job.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=dict(environment)
        )
    return Running(job=job, process=process, output=Path(name))


def _finish(one: Running) -> None:
    output = one.output.read_text(encoding="utf-8", errors="replace")
    one.output.unlink()
    if one.process.returncode != 0:
        raise refusal(output)
    one.job.then()


def bytes_under(folder: Path, counts: Callable[[str], bool]) -> int:
    """Of the files whose names count. They and their folders come and go while pip works: `os.walk` passes over what

    has gone, `Path.rglob` raises (seen: FileNotFoundError for one of pip's temporary folders)."""
    total = 0
    for place, _folders, names in os.walk(folder):
        for name in filter(counts, names):
            with suppress(OSError):
                total += (Path(place) / name).stat().st_size
    return total
