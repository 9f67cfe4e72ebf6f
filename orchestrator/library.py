"""`from orchestrator import Stack`: the same verbs for a program or a notebook. Synchronous; asks and prints nothing.

    from orchestrator import Stack

    with Stack("notes", model="all-minilm-l6-v2", engine="native", tell=print) as stack:
        stack.environment()["EMBEDDINGS_URL"]

Whatever a person can act on raises `OrchestratorError`, with a remedy, as the command line shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from orchestrator.configuration.keys import BY_PATH, nearest_key
from orchestrator.errors import OrchestratorError, usage_error
from orchestrator.operations import down as downing
from orchestrator.operations import look
from orchestrator.operations import up as upping
from orchestrator.operations.changes import is_settled
from orchestrator.operations.connection import connection
from orchestrator.operations.lending import Loan, lent, temporary_loan
from orchestrator.operations.plan import PlanRequest
from orchestrator.operations.plan import plan as planning
from orchestrator.operations.record import read_intent
from orchestrator.operations.request import Asked, recalled, request
from orchestrator.operations.stack import existing_stack
from orchestrator.operations.up import UpRequest
from orchestrator.plan.records import Decision, Role
from orchestrator.progress import Progress, Silent, Unit
from orchestrator.result import Finding, Result
from orchestrator.state import StackFolder

__all__ = ["Finding", "OrchestratorError", "Result", "Stack", "Wishes"]

LOCK_TIMEOUT_S = 600.0


class Wishes(TypedDict, total=False):
    """The keys of orchestrator.yaml (docs/configuration.md), with the same values. Left out: the plan decides."""

    services: Sequence[Role]
    model: str
    backend: str
    engine: str
    gpu: str | int
    vram_bytes: int | str
    dtype: str
    max_length: int
    batched_tokens: int
    dimension: int
    listen: str
    ports: Mapping[Role, int]
    task: str
    retrieval: Mapping[str, int]
    target: Mapping[str, float]


class Stack:
    """One stack by its name: what it was asked for comes from wishes, environment, file and preset, as in `up`.

    As a context manager it is brought up, lent, and taken down again if it was not up before.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        preset: str | None = None,
        config: str | Path | None = None,
        tell: Callable[[str], None] | None = None,
        **wishes: Unpack[Wishes],
    ) -> None:
        """`name`: as `--stack`. `tell`: called with one line for each step of long work, `print` for example."""
        self._asked = Asked(flags={**_dotted(wishes), "stack": name}, preset=preset, config=_path(config))
        self._progress: Progress = Silent() if tell is None else _Told(tell)
        self._temporary: Loan | None = None
        self._block = ExitStack()
        self.name = recalled(self._asked).spec.stack

    @classmethod
    def temporary(
        cls,
        *,
        preset: str | None = None,
        config: str | Path | None = None,
        tell: Callable[[str], None] | None = None,
        **wishes: Unpack[Wishes],
    ) -> Self:
        """One with a name and free ports of its own, for a `with` block; its data goes with it."""
        stack = cls(preset=preset, config=config, tell=tell, **wishes)
        stack._temporary = temporary_loan(stack._asked)
        stack.name = stack._temporary.request.spec.stack
        return stack

    def is_up(self) -> bool:
        """Whether it runs as planned, verified and unchanged: `up` would have nothing to do."""
        return read_intent(StackFolder(self.name)) is not None and is_settled(existing_stack(self.name))

    def plan(self) -> Decision:
        """What `up` would decide here, with every candidate that lost and why. Changes nothing."""
        spec = self._temporary.request.spec if self._temporary else request(self._asked).spec
        return planning(PlanRequest(spec=spec)).decision

    def up(self, *, replan: bool = False) -> Result:
        """Bring it up and prove it right; does nothing where nothing changed."""
        return upping.up(self._request(replan=replan), self._progress, _seen)

    def status(self) -> Result:
        """What runs, where, and how healthy; `ok` only when every service is."""
        return look.status(self.name)

    def verify(self) -> Result:
        """Prove again that the vectors are right. A probe that fails makes `ok` false; it does not raise."""
        return look.verify(self.name, self._progress, lock_timeout_s=LOCK_TIMEOUT_S)

    def wire(self) -> Result:
        """Set Open WebUI as the plan says; `data["changed"]` lists what was not."""
        return look.wire(self.name, self._progress, lock_timeout_s=LOCK_TIMEOUT_S)

    def logs(self, *roles: Role, lines: int = 50) -> dict[Role, list[str]]:
        """The last lines of each service, oldest first, without secrets."""
        shown = look.logs(self.name, roles, lines).data["logs"]
        return {role: log["lines"] for role, log in shown.items()}

    def down(self, *, volumes: bool = False) -> Result:
        """Stop everything that the stack started. `volumes=True` removes its data for good, and does not ask."""
        return downing.down(self.name, self._progress, volumes=volumes, lock_timeout_s=LOCK_TIMEOUT_S)

    def environment(self) -> dict[str, str]:
        """How a client reaches it: EMBEDDINGS_URL, OPENAI_BASE_URL, the keys, ... Holds secrets."""
        return connection(existing_stack(self.name))

    def _request(self, *, replan: bool = False) -> UpRequest:
        if self._temporary is not None:
            return self._temporary.request
        found = recalled(self._asked)
        return UpRequest(spec=found.spec, asked=found.asked, replan=replan, lock_timeout_s=LOCK_TIMEOUT_S)

    def __enter__(self) -> Self:
        loan = self._temporary or Loan(request=self._request(), temporary=False)
        self._block.enter_context(lent(loan, self._progress, _seen))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._block.__exit__(kind, error, traceback)

    def __repr__(self) -> str:
        return f"Stack({self.name!r})"


class _Told:
    """Long work in single lines. Advances are left out: a notebook would keep every one of them."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def step(self, text: str) -> None:
        self._tell(text)

    def note(self, text: str) -> None:
        self._tell(f"  {text}")

    def advance(self, what: str, done: int, total: int | None, unit: Unit = "items") -> None:
        return None


def _path(config: str | Path | None) -> Path | None:
    return None if config is None else Path(config)


def _seen(_decided: object) -> None:
    """The plan is asked for with `plan()`; nothing is shown."""


def _dotted(wishes: Wishes) -> dict[str, Any]:
    """`ports={"webui": 3001}` → `ports.webui`. A wrong word names the nearest right one."""
    found: dict[str, Any] = {}
    for name, value in wishes.items():
        values = {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {name: value}
        for path, single in values.items():
            if path not in BY_PATH:
                near = nearest_key(path.rpartition(".")[2], name)
                raise usage_error(path, single, "no such key", f"write {near}" if near else "see docs/configuration.md")
            found[path] = single
    return found
