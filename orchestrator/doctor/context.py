"""What a check may look at. Facts were read once, before the plan; a check that needs it fresh reads it itself."""

from __future__ import annotations

from typing import Protocol

import msgspec

from orchestrator.errors import OrchestratorError
from orchestrator.facts.records import Facts
from orchestrator.plan.records import Plan, Role
from orchestrator.plan.spec import Spec
from orchestrator.state import StackFolder


class OwnService(Protocol):
    """What a check must know of a running service of this stack: `engines.Running` is one."""

    @property
    def role(self) -> Role: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def container(self) -> str | None: ...


class Context(msgspec.Struct, frozen=True, kw_only=True):
    spec: Spec
    facts: Facts
    plan: Plan | None = None
    folder: StackFolder | None = None
    offline: bool = False
    """Ask nothing beyond this machine; what would have to is skipped and says so."""
    running: tuple[OwnService, ...] = ()
    """This stack's own services as its engine sees them now: what they hold is not taken by a stranger."""

    @property
    def planned(self) -> Plan:
        """The plan, for checks of the stages `plan` and `stack`; the runner skips those where there is none."""
        if self.plan is None:
            raise OrchestratorError("no_plan", "this check needs a plan")
        return self.plan

    @property
    def own_embedder_runs(self) -> bool:
        """Then the memory that the plan needs is held by the very server that it plans."""
        return any(service.role == "embeddings" and (service.pid or service.container) for service in self.running)

    def up_with(self, *flags: str) -> str:
        """The command that overrules what the plan chose, for a remedy."""
        stack = () if self.spec.stack == "default" else (f"--stack {self.spec.stack}",)
        return " ".join(("orchestrator up", *stack, *flags))
