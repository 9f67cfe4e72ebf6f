"""From the plan to the services that make it true, in the order in which they start. Pure."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.catalog.pins import Pins
from orchestrator.errors import usage_error
from orchestrator.plan.records import Backend, Plan, Role
from orchestrator.services.chroma import chroma
from orchestrator.services.llamacpp import llamacpp
from orchestrator.services.ollama import ollama
from orchestrator.services.open_webui import open_webui
from orchestrator.services.place import Place
from orchestrator.services.service import Service
from orchestrator.services.vllm import vllm

ROLES: tuple[Role, ...] = ("vectors", "embeddings", "webui")
Builder = Callable[[Plan, Place, Pins], Service]

EMBEDDING_SERVERS: dict[Backend, Builder] = {"vllm": vllm, "ollama": ollama, "llamacpp": llamacpp}


def services_of(plan: Plan, place: Place, pins: Pins) -> tuple[Service, ...]:
    """Only the roles that the plan names. A service stands after those it depends on."""
    if "webui" in plan.roles and len(plan.roles) < len(ROLES):
        missing = ", ".join(role for role in ROLES if role not in plan.roles)
        raise usage_error("services", plan.roles, f"webui does not work without {missing}", "name all three services")
    builders: dict[Role, Builder] = {
        "vectors": chroma,
        "embeddings": EMBEDDING_SERVERS[plan.backend],
        "webui": open_webui,
    }
    return tuple(build(plan, place, pins) for role, build in builders.items() if role in plan.roles)
