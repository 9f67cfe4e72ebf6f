"""What a check may look at. Facts were read once, before the plan; a check that needs it fresh reads it itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from orchestrator.engines.engine import RenderedFile, Running
from orchestrator.errors import OrchestratorError
from orchestrator.facts.records import Facts
from orchestrator.plan.records import Plan, Role
from orchestrator.plan.spec import Spec
from orchestrator.result import Finding
from orchestrator.services.service import Service
from orchestrator.state import StackFolder
from orchestrator.verify.run import Addresses, Keys
from orchestrator.wiring.settings import Settings


class OwnService(Protocol):
    """What a check must know of a running service of this stack: `engines.Running` is one."""

    @property
    def role(self) -> Role: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def container(self) -> str | None: ...


class StackView(msgspec.Struct, frozen=True, kw_only=True):
    """A stack that is there: what its plan renders now, where it answers, and the doors to it that `doctor` may use.

    The doors are functions, because what they lead to lies above this room, and because a check that runs again after
    a fix must look again.
    """

    files: tuple[RenderedFile, ...]
    """What the plan renders now; what lies on disk may be another thing."""
    plan_is_current: bool
    """False: the pins of this version are not those that the stack was planned with, so `up` would plan anew."""
    addresses: Addresses
    keys: Callable[[], Keys]
    """As they are now: setting Open WebUI again can make a new one."""
    desired: Settings | None
    """How Open WebUI is to be set; None where the stack has none."""
    observe: Callable[[], tuple[Running, ...]]
    logs: Callable[[Role, int], list[str]]
    """The last lines of a service, without secrets."""
    redact: Callable[[str], str]
    alone: Callable[[], AbstractContextManager[None]]
    """The stack's lock, for checks that write into it; raises `locked` at once where another command has it."""
    rewire: Callable[[], None]
    """Set Open WebUI as planned, as `orchestrator wire` does, under the lock."""
    render: Callable[[], None]
    """Write the rendered files again, under the lock. What runs is not touched."""
    told: dict[str, Finding] = {}
    """What one check's questions answered for another one as well; each is taken out once (checks/round_trip.py)."""

    def __repr__(self) -> str:
        return f"StackView({self.addresses})"


class Context(msgspec.Struct, frozen=True, kw_only=True):
    spec: Spec
    facts: Facts
    plan: Plan | None = None
    folder: StackFolder | None = None
    offline: bool = False
    """Ask nothing beyond this machine; what would have to is skipped and says so."""
    running: tuple[OwnService, ...] = ()
    """This stack's own services as its engine sees them now: what they hold is not taken by a stranger."""
    services: tuple[Service, ...] = ()
    """What the plan wants to run, existing or fresh."""
    stack: StackView | None = None
    """None where no stack of this name is there."""
    no_plan: str = "there is no plan yet"
    """Why there is none, where there is none."""
    thorough: bool = False
    """Read every byte of the weights, whatever it takes (`--report`)."""

    @property
    def planned(self) -> Plan:
        """The plan, for checks of the stages `plan` and `stack`; the runner skips those where there is none."""
        if self.plan is None:
            raise OrchestratorError("no_plan", "this check needs a plan")
        return self.plan

    @property
    def existing(self) -> StackView:
        """The stack, for checks of the stage `stack`; the runner skips those where there is none."""
        if self.stack is None:
            raise OrchestratorError("no_stack", "this check needs a stack")
        return self.stack

    @property
    def own_embedder_runs(self) -> bool:
        """Then the memory that the plan needs is held by the very server that it plans."""
        return any(service.role == "embeddings" and (service.pid or service.container) for service in self.running)

    def up_with(self, *flags: str) -> str:
        """The command that overrules what the plan chose, for a remedy."""
        return self.command("up", *flags)

    def command(self, *words: str) -> str:
        """A command of ours for this stack, for a remedy."""
        stack = () if self.spec.stack == "default" else (f"--stack {self.spec.stack}",)
        return " ".join(("orchestrator", words[0], *stack, *words[1:]))
