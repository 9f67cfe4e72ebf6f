"""The seam between a plan's services and the existing engine that runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from orchestrator.plan.records import EngineName, Plan, Role
from orchestrator.progress import Progress
from orchestrator.services.place import Place
from orchestrator.services.service import Service

Change = Literal["none", "create", "recreate", "start", "remove"]
RunState = Literal["absent", "starting", "running", "restarting", "exited"]


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """One service as the engine sees it now."""

    role: Role
    state: RunState
    pid: int | None = None
    container: str | None = None
    started_at: datetime | None = None
    exit_code: int | None = None
    restarts: int = 0
    out_of_memory: bool = False
    healthy: bool | None = None
    """The engine's own health verdict where it has one."""
    image_id: str | None = None


class RenderedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file to write, relative to the rendered folder. `mode` 0o600 where it leads to a secret."""

    path: str
    text: str
    mode: int = 0o644


class Engine(Protocol):
    """Rendering is pure; everything else asks or tells the engine."""

    name: EngineName

    def place(self, plan: Plan, model_path: Path | None) -> Place:
        """Addresses and paths for this stack on this engine. Pure."""

    def render(self, plan: Plan, services: tuple[Service, ...]) -> tuple[RenderedFile, ...]:
        """The files that the engine reads, complete: they work without this tool. Pure."""

    def write(
        self, services: tuple[Service, ...], files: tuple[RenderedFile, ...], secrets: Mapping[str, str]
    ) -> tuple[Path, ...]:
        """Write the rendered files and the 0600 secret files they lead to, whole or not at all; starts nothing.

        `apply` begins with it; `render --out DIR` ends with it.
        """

    def start_command(self) -> str:
        """What a person types to start the written files without this tool. Pure."""

    def prepare(self, services: tuple[Service, ...], progress: Progress) -> None:
        """Get what the services need before anything is started: environments installed, images pulled.

        Interrupted at any point, the next call resumes.
        """

    def changes(self, services: tuple[Service, ...], secrets: Mapping[str, str]) -> dict[Role, Change]:
        """What `apply` would do to each service. Reads only."""

    def apply(
        self,
        services: tuple[Service, ...],
        files: tuple[RenderedFile, ...],
        secrets: Mapping[str, str],
        progress: Progress,
        ready: Callable[[Service], None],
    ) -> None:
        """Write the files and make the engine run exactly these services, in dependency order.

        A service that already runs from the same files is left alone. `ready(service)` blocks until it is ready or
        raises; the engine calls it for a service before it starts those that depend on it.
        """

    def observe(self) -> tuple[Running, ...]:
        """What runs now, one record per known role. Never raises for a stack that was never started."""

    def logs(self, role: Role, lines: int) -> list[str]:
        """The last lines of one service, oldest first."""

    def follow(self, roles: tuple[Role, ...], lines: int) -> int:
        """Stream the logs to this terminal until interrupted; returns the engine's exit code."""

    def down(self, *, volumes: bool, progress: Progress) -> None:
        """Stop and remove everything that this stack started and nothing else; the data only with `volumes`."""
