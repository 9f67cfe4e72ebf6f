"""From a Spec to a Decision: the recorded one where nothing changed, else a fresh one from the machine's own facts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from orchestrator.errors import OrchestratorError
from orchestrator.facts.records import Facts
from orchestrator.operations.deciding import decision_for
from orchestrator.operations.record import Intent, read_intent
from orchestrator.plan.records import Decision
from orchestrator.plan.spec import Spec
from orchestrator.state import StackFolder


@dataclass(frozen=True, kw_only=True)
class Decided:
    intent: Intent
    kept: bool
    """The decision of an earlier `up`, because neither the request nor the pins changed."""
    facts: Facts | None
    """None where the decision was kept: nothing had to be read."""

    @property
    def decision(self) -> Decision:
        return self.intent.decision


def decide(spec: Spec, folder: StackFolder, *, replan: bool, asked: tuple[str, ...] = ()) -> Decided:
    """`asked`: the keys that flags asked for, remembered for the next `up`."""
    recorded = None if replan else read_intent(folder)
    if recorded is not None and recorded.spec == spec and recorded.pins_hash == pins_hash():
        return Decided(intent=recorded, kept=True, facts=None)
    facts = facts_for(spec, folder)
    intent = Intent(
        spec=spec,
        asked=asked,
        decision=decision_for(spec, facts),
        pins_hash=pins_hash(),
        tool_version=version("orchestrator"),
        decided_at=datetime.now(UTC),
    )
    return Decided(intent=intent, kept=False, facts=facts)


def facts_for(spec: Spec, folder: StackFolder, *, offline: bool = False) -> Facts:
    from orchestrator.facts.read import read_facts

    return read_facts(offline=offline, engine=spec.engine, reclaimable_bytes=_held_by_this_stack(folder))


def _held_by_this_stack(folder: StackFolder) -> dict[str, int]:
    """What a running embedding server of this stack would give back: its memory is not taken by a stranger."""
    try:
        before = read_intent(folder)
    except OrchestratorError:
        before = None
    if before is None:
        return {}
    from orchestrator.facts.usage import gpu_bytes, resident_bytes
    from orchestrator.operations.stack import engine_of

    plan = before.decision.plan
    try:
        running = engine_of(plan.engine, folder).observe()
    except OrchestratorError:  # its engine does not answer: then nothing of it is counted
        return {}
    pid = next((each.pid for each in running if each.role == "embeddings" and each.pid), None)
    if pid is None:
        return {}
    uuid = plan.device.uuid
    held = {"host": resident_bytes(pid)} | ({uuid: gpu_bytes(pid, uuid)} if uuid else {})
    return {where: count for where, count in held.items() if count}


def pins_hash() -> str:
    from importlib.resources import files

    folder = files("orchestrator.catalog")
    content = (folder / "pins.toml").read_bytes() + (folder / "models.yaml").read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]


def refuse_dangerous_change(folder: StackFolder, decided: Decided) -> None:
    """A stack with data keeps its engine (the data lives there) and its model (old vectors would become garbage)."""
    before = read_intent(folder)
    if before is None:
        return
    old, new = before.decision.plan, decided.decision.plan
    fresh = (
        "use another stack (--stack NAME), or remove this one with its data first: "
        f"orchestrator down --stack {old.stack} --volumes"
    )
    if old.engine != new.engine:
        raise OrchestratorError(
            "engine_change",
            f"stack {old.stack} lives on the {old.engine} engine and its data with it; the plan now says {new.engine}",
            remedy=f"keep it with --engine {old.engine}; or {fresh}",
        )
    if (old.model, old.dimension) != (new.model, new.dimension) and new.roles != ("embeddings",):
        raise OrchestratorError(
            "model_change",
            f"stack {old.stack} was indexed with {old.model} ({old.dimension} dimensions); "
            f"{new.model} ({new.dimension}) would make every stored vector meaningless",
            remedy=f"keep it with --model {old.model}; or {fresh}",
        )
