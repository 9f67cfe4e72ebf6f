"""`plan`: the decision alone, for this machine or for one that is described. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchestratorError, usage_error
from orchestrator.facts.records import Facts
from orchestrator.operations.deciding import decision_for
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


def plan(request: PlanRequest) -> tuple[Decision, Result]:
    facts = facts_for_plan(request)
    try:
        decision = decision_for(request.spec, facts)
    except OrchestratorError as error:
        error.data.setdefault("facts", facts)
        raise
    data: dict[str, Any] = {
        "plan": decision.plan,
        "rejected": decision.rejected,
        "throughput": decision.throughput,
        "facts": facts,
    }
    return decision, Result(command="plan", data=data)


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
