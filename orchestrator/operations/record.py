"""What a stack's folder remembers: the intent (written before anything is started) and the proof (after `verify`).

A crash between the two leaves an intent without a matching proof: the next `up` goes the whole way again.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import msgspec

from orchestrator.engines.engine import RenderedFile
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Decision, Plan
from orchestrator.plan.spec import Spec
from orchestrator.result import Finding
from orchestrator.state import StackFolder, write_whole


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for and decided."""

    spec: Spec
    asked: tuple[str, ...] | None = None
    """Keys of the spec that flags asked for; None in a plan of a version that did not tell."""
    decision: Decision
    pins_hash: str
    tool_version: str
    decided_at: datetime


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """That exactly these files ran, wired and verified."""

    plan_hash: str
    files_hash: str
    verified_at: datetime
    findings: tuple[Finding, ...]


def hash_of_plan(plan: Plan) -> str:
    return hashlib.sha256(msgspec.json.encode(plan, order="deterministic")).hexdigest()[:16]


def hash_of_files(files: tuple[RenderedFile, ...]) -> str:
    return hashlib.sha256(msgspec.json.encode(files, order="deterministic")).hexdigest()[:16]


def write_intent(folder: StackFolder, intent: Intent) -> None:
    write_whole(folder.plan_file, msgspec.json.format(msgspec.json.encode(intent), indent=2))


def read_intent(folder: StackFolder) -> Intent | None:
    """None where no `up` ever got as far as a plan."""
    try:
        content = folder.plan_file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OrchestratorError(
            "state_unreadable",
            f"{folder.plan_file} cannot be read: {error.strerror}",
            remedy="give the folder to this user, or keep everything elsewhere: export ORCHESTRATOR_HOME=/path/there",
        ) from None
    try:
        return msgspec.json.decode(content, type=Intent)
    except msgspec.DecodeError as error:
        raise OrchestratorError(
            "state_damaged",
            f"{folder.plan_file} cannot be read: {error}",
            remedy=f"orchestrator up --stack {folder.name} --replan decides afresh; the data is not touched",
        ) from None


def existing_intent(folder: StackFolder) -> Intent:
    """For commands that need a stack to be there."""
    intent = read_intent(folder)
    if intent is None:
        from orchestrator.state import stack_names

        known = ", ".join(stack_names()) or "none yet"
        raise OrchestratorError(
            "no_stack",
            f"there is no stack {folder.name!r} (stacks: {known})",
            remedy=f"orchestrator up --stack {folder.name}",
        )
    return intent


def write_proof(
    folder: StackFolder, plan: Plan, files: tuple[RenderedFile, ...], findings: tuple[Finding, ...]
) -> None:
    proof = Proof(
        plan_hash=hash_of_plan(plan),
        files_hash=hash_of_files(files),
        verified_at=datetime.now(UTC),
        findings=findings,
    )
    write_whole(folder.record_file, msgspec.json.format(msgspec.json.encode(proof), indent=2))


def read_proof(folder: StackFolder) -> Proof | None:
    """None where the stack was never proven, or the proof cannot be read: it is then proven again."""
    try:
        return msgspec.json.decode(folder.record_file.read_bytes(), type=Proof)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def proves(proof: Proof | None, plan: Plan, files: tuple[RenderedFile, ...]) -> bool:
    return proof is not None and proof.plan_hash == hash_of_plan(plan) and proof.files_hash == hash_of_files(files)
