"""The Compose file as Docker reads it: the one on the disk, which may have been edited; else what the plan makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from orchestrator.catalog.pins import load_pins
from orchestrator.doctor.context import Context
from orchestrator.engines.compose_place import compose_place
from orchestrator.engines.compose_render import compose_file
from orchestrator.errors import OrchestratorError
from orchestrator.models.store import path_of
from orchestrator.services.of_plan import services_of


class RenderedServices(msgspec.Struct, frozen=True, kw_only=True):
    where: str
    """For evidence: the file's path, or that it is not written yet."""
    services: dict[str, dict[str, Any]]


def rendered_services(context: Context) -> RenderedServices:
    """Raises where the file on the disk is no Compose file: a check that cannot read it must not pass."""
    written = context.folder.rendered / "compose.yaml" if context.folder is not None else None
    if written is not None and written.is_file():
        return RenderedServices(where=str(written), services=_services(_read(written), str(written)))
    plan = context.planned
    pins = load_pins()
    services = services_of(plan, compose_place(plan, path_of(plan.weights.source), pins), pins)
    planned = "the file that the plan would write"
    return RenderedServices(where=planned, services=_services(compose_file(plan, services), planned))


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    """A mapping, or a list of NAME=VALUE: Compose takes both."""
    entries = service.get("environment") or {}
    if isinstance(entries, dict):
        return {str(name): "" if value is None else str(value) for name, value in entries.items()}
    return dict(str(entry).partition("=")[::2] for entry in entries)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _services(text: str, where: str) -> dict[str, dict[str, Any]]:
    import yaml

    try:
        services = yaml.safe_load(text)["services"]
        return {str(name): dict(service) for name, service in services.items()}
    except (yaml.YAMLError, TypeError, KeyError, AttributeError, ValueError) as error:
        raise OrchestratorError(
            "compose_file_damaged",
            f"{where} is no Compose file: {str(error).splitlines()[0]}",
            remedy="`orchestrator up` writes it anew",
        ) from None
