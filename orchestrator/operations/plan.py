"""`plan`: the decision alone, for this machine or for one that is described. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from orchestrator.errors import OrchestratorError, usage_error
from orchestrator.facts.records import Facts
from orchestrator.operations.calibration import experience_of
from orchestrator.operations.deciding import decision_for, load_catalogue
from orchestrator.plan.calibration import Comparison, compare
from orchestrator.plan.records import Decision
from orchestrator.plan.spec import Spec
from orchestrator.result import Result


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    spec: Spec
    offline: bool = False
    simulate: str | None = None
    """A described machine (`RTX 3060 12GB, 3.1 GB used`), or the path of a YAML of facts."""
    assume_sources: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    decision: Decision
    facts: Facts
    history: tuple[Comparison, ...]
    """How far earlier predictions on this machine were off; empty for a simulated one."""

    @property
    def result(self) -> Result:
        data: dict[str, Any] = {
            "plan": self.decision.plan,
            "rejected": self.decision.rejected,
            "throughput": self.decision.throughput,
            "history": self.history,
            "facts": self.facts,
        }
        return Result(command="plan", data=data)


def plan(request: PlanRequest) -> Outcome:
    Thread(target=load_catalogue, daemon=True).start()
    facts = facts_for_plan(request)
    measured = experience_of(facts)
    try:
        decision = decision_for(request.spec, facts, measured)
    except OrchestratorError as error:
        error.data.setdefault("facts", facts)
        raise
    return Outcome(decision=decision, facts=facts, history=compare(measured))


def facts_for_plan(request: PlanRequest) -> Facts:
    from orchestrator.facts.read import read_facts
    from orchestrator.plan.simulate import with_all_sources

    # Every source is assumed anyway: none need be asked.
    facts = read_facts(offline=request.offline or request.assume_sources, engine=request.spec.engine)
    if request.simulate is not None:
        facts = _simulated(request.simulate, facts)
    return with_all_sources(facts) if request.assume_sources else facts


def _simulated(text: str, facts: Facts) -> Facts:
    from orchestrator.catalog.gpus import cards
    from orchestrator.plan.simulate import facts_over, simulated

    path = Path(text)
    if path.suffix not in (".yaml", ".yml"):
        return simulated(text, facts, cards())
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise usage_error("--simulate", text, f"cannot be read: {error}", "give a readable YAML of facts") from None
    if not isinstance(values, dict):
        raise usage_error("--simulate", text, "must be a mapping", "`orchestrator plan --json` shows the form")
    return facts_over(values, facts)
