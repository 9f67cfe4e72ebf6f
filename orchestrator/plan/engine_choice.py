"""Which engine runs the services. Pure."""

from __future__ import annotations

from orchestrator.catalog.pins import Pins
from orchestrator.errors import OrchestratorError
from orchestrator.facts.records import Facts
from orchestrator.plan.records import EngineName, Role
from orchestrator.plan.spec import Spec

IMAGES_OF: dict[Role, tuple[str, ...]] = {
    "webui": ("open-webui",),
    "vectors": ("chroma",),
    "embeddings": ("vllm-cpu", "vllm", "llamacpp-cpu", "llamacpp-cuda", "ollama"),
}
"""Pins that can serve a role; which embedding server it will be is not decided yet."""


def choose_engine(spec: Spec, facts: Facts, pins: Pins) -> tuple[EngineName, str]:
    """(engine, reason). `auto` takes Compose where a usable engine answers that has or can get the images.

    An engine that was asked for and cannot be used is refused, never replaced.
    """
    docker = facts.docker
    why_not = docker.error.reason if docker.error else "no usable Docker engine"
    if spec.engine == "native":
        return "native", "asked for"
    if spec.engine == "compose":
        if not docker.usable:
            raise OrchestratorError(
                "engine_unusable",
                f"the Compose engine was asked for and cannot be used: {why_not}",
                remedy="repair it, or leave it to the plan: --engine auto (here that means native processes)",
                evidence=f"{docker.error.code}: {why_not}" if docker.error else why_not,
            )
        return "compose", "asked for"
    if not docker.usable:
        return "native", f"Compose cannot be used: {why_not}"
    if facts.gpu.gpus and spec.gpu != "none" and not docker.gpu:
        return "native", "Docker answers but cannot hand a GPU to a container (no NVIDIA container toolkit)"
    missing = missing_image(spec, facts, pins)
    if missing is not None:
        return "native", f"Docker answers, but {missing} is not here and no registry can be reached"
    return "compose", f"Docker {docker.server_version} with Compose {docker.compose_version} answers"


def missing_image(spec: Spec, facts: Facts, pins: Pins) -> str | None:
    """A pinned image that the engine neither has nor could pull; None where it may reach a registry of its own."""
    if facts.sources.registry.reachable or facts.docker.mirrors:
        return None
    for role in spec.services:
        images = [pins.images[name].reference for name in IMAGES_OF[role]]
        if not any(image.removeprefix("docker.io/") in facts.docker.images for image in images):
            return f"the image {images[0]}"
    return None
