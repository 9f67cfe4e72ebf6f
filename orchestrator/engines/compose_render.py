"""compose.yaml out of a plan and its services: readable, complete, and runnable without this tool. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import version

import msgspec

from orchestrator.engines.compose_health import TIMEOUT_S, health_test, retries_of
from orchestrator.engines.compose_scalar import scalar, text
from orchestrator.engines.compose_secrets import WRAPPER, secrets_variable
from orchestrator.engines.templates import template
from orchestrator.plan.records import Plan, Role
from orchestrator.services.service import Service

DEFINITION = "orchestrator.definition"
"""Label: the hash of a service's block. Ours, because Compose's own changes between its versions (facts/docker 3.4)."""
TITLES = {
    "chroma": "Vectors: ChromaDB",
    "open-webui": "The web interface: Open WebUI",
    "vllm": "Embeddings: vLLM",
    "llamacpp": "Embeddings: llama.cpp's llama-server",
    "ollama": "Embeddings: Ollama",
}


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One service as rendered, and the hash of what of it is not a comment."""

    role: Role
    text: str
    definition: str


def project_of(stack: str) -> str:
    return f"orchestrator-{stack}"


def compose_file(plan: Plan, services: tuple[Service, ...]) -> str:
    blocks = [block_of(plan.stack, service) for service in services]
    shown = ("model", "backend", "engine", "device")
    return template("compose.yaml.j2").render(
        scalar=scalar,
        oneline=oneline,
        stack=plan.stack,
        project=project_of(plan.stack),
        tool_version=version("orchestrator"),
        summary=oneline(f"{plan.model}, {plan.weights.dtype}, on {plan.backend} ({plan.device.name})"),
        reasons=[(name, plan.reasons[name]) for name in shown if name in plan.reasons],
        definition=_hash("".join(block.definition for block in blocks)),
        common=_common(),
        blocks=[f'{block.text}      {DEFINITION}: "{block.definition}"' for block in blocks],
        volumes=[mount.source for service in services for mount in service.mounts if mount.kind == "volume"],
        secrets=[service.role for service in services if service.secrets],
    )


def block_of(stack: str, service: Service) -> Block:
    rendered = template("compose-service.yaml.j2").render(
        scalar=scalar,
        text=text,
        stack=stack,
        service=service,
        title=f"{TITLES[service.name]} {service.version}",
        wrapper=WRAPPER.format(role=service.role),
        secrets_variable=secrets_variable(service.role),
        port=_port(service),
        health_test=health_test(service),
        health_timeout_s=TIMEOUT_S,
        health_retries=retries_of(service),
        note=_note_of(service),
    )
    return Block(role=service.role, text=rendered, definition=_hash(_without_comments(_common() + rendered)))


def _common() -> str:
    """What every service shares: an anchor at the top of the file, and so a part of each service's hash."""
    return template("compose-common.yaml.j2").render()


def _port(service: Service) -> str:
    host = f"[{service.published_host}]" if ":" in service.published_host else service.published_host
    return f"{host}:{service.published_port}:{service.port}"


def _note_of(service: Service) -> Callable[[str, int], str]:
    """`note("image")` is a comment line with the reason beside that value, or nothing."""

    def note(key: str, indent: int = 4) -> str:
        reason = service.notes.get(key, "")
        return f"{' ' * indent}# {oneline(reason)}\n" if reason else ""

    return note


def oneline(words: str) -> str:
    """A comment ends at the line's end, whatever a model's or a card's name holds."""
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())


def _without_comments(block: str) -> str:
    return "\n".join(line for line in block.splitlines() if not line.lstrip().startswith("#"))


def _hash(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:16]
