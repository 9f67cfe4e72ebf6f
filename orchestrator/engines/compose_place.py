"""Addresses and paths of a stack inside its containers. Ports and data folders are the images' own (pins.toml)."""

from __future__ import annotations

from pathlib import Path

from orchestrator.catalog.pins import Pins
from orchestrator.plan.records import Plan, Role
from orchestrator.services.place import Place

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 (inside the container: only the stack's network and the published port reach it)
MODELS = "/models"
SECRETS = "/run/secrets"
"""Where Compose mounts file secrets."""
CACHE = "/root/.cache"
"""vLLM's compiled kernels; the image runs as root."""


def compose_place(plan: Plan, model_path: Path | None, pins: Pins) -> Place:
    images = {role: pins.images[_image(plan, role)] for role in plan.roles}
    data = {role: path for role in plan.roles if (path := _data(plan, role, pins)) is not None}
    return Place(
        container=True,
        listen=dict.fromkeys(plan.roles, EVERY_ADDRESS),
        ports={role: image.port for role, image in images.items()},
        published_host=plan.listen,
        published_ports={role: plan.ports[role] for role in plan.roles if role in plan.ports},
        hosts={role: role for role in plan.roles},
        data=data,
        volumes={role: f"{role}-data" for role in data},
        model_path=plan.weights.source.reference if model_path is None else f"{MODELS}/{model_path.name}",
        model_mount_source=None if model_path is None else str(model_path),
    )


def _image(plan: Plan, role: Role) -> str:
    if role != "embeddings":
        return {"vectors": "chroma", "webui": "open-webui"}[role]
    cpu = plan.backend_build == "cpu"
    return {
        "vllm": "vllm-cpu" if cpu else "vllm",
        "llamacpp": "llamacpp-cpu" if cpu else "llamacpp-cuda",
        "ollama": "ollama",
    }[plan.backend]


def _data(plan: Plan, role: Role, pins: Pins) -> str | None:
    """None: nothing of the service has to survive."""
    if role == "embeddings" and plan.backend == "vllm":
        return CACHE
    return pins.images[_image(plan, role)].data_dir
