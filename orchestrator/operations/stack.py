"""One stack, put together from its plan: engine, services and the files that the engine reads. Starts nothing."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.catalog.pins import load_pins
from orchestrator.engines.engine import Engine, RenderedFile
from orchestrator.models.store import path_of
from orchestrator.operations.record import existing_intent
from orchestrator.plan.records import EngineName, Plan, Role
from orchestrator.services.address import EVERY_HOST, LOOPBACK
from orchestrator.services.of_plan import services_of
from orchestrator.services.service import Service
from orchestrator.state import StackFolder


@dataclass(frozen=True, kw_only=True)
class Stack:
    folder: StackFolder
    plan: Plan
    engine: Engine
    services: tuple[Service, ...]
    files: tuple[RenderedFile, ...]
    embeddings_url_for_webui: str
    """The embedding server as Open WebUI reaches it, without `/v1`."""

    def url(self, role: Role) -> str:
        """As this machine reaches it."""
        host = self.service(role).published_host
        return f"http://{LOOPBACK if host in EVERY_HOST else host}:{self.plan.ports[role]}"

    def service(self, role: Role) -> Service:
        return next(service for service in self.services if service.role == role)

    def has(self, role: Role) -> bool:
        return role in self.plan.roles


def stack_of(plan: Plan, folder: StackFolder) -> Stack:
    engine = engine_of(plan.engine, folder)
    place = engine.place(plan, path_of(plan.weights.source))
    services = services_of(plan, place, load_pins())
    return Stack(
        folder=folder,
        plan=plan,
        engine=engine,
        services=services,
        files=engine.render(plan, services),
        embeddings_url_for_webui=place.url_of("embeddings"),
    )


def existing_stack(name: str) -> Stack:
    """The stack as its last `up` planned it."""
    folder = StackFolder(name)
    return stack_of(existing_intent(folder).decision.plan, folder)


def engine_of(name: EngineName, folder: StackFolder) -> Engine:
    if name == "compose":
        from orchestrator.engines.compose import ComposeEngine

        return ComposeEngine(folder)
    from orchestrator.engines.native import NativeEngine

    return NativeEngine(folder)
