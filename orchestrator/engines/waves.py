"""The order in which services start: each one after all that it depends on. Pure."""

from __future__ import annotations

from orchestrator.errors import EXIT_TOOL, OrchestratorError
from orchestrator.services.service import Service


def waves_of(services: tuple[Service, ...]) -> tuple[tuple[Service, ...], ...]:
    """Services of one wave need nothing of each other. A dependency that is no part of this stack does not count."""
    present = {service.role for service in services}
    waves: list[tuple[Service, ...]] = []
    left, started = list(services), set[str]()
    while left:
        wave = tuple(s for s in left if all(role in started for role in s.depends_on if role in present))
        if not wave:
            raise OrchestratorError(
                "circular_dependency",
                f"services that depend on each other: {', '.join(service.name for service in left)}",
                remedy="this is a mistake in this tool: please report it",
                exit_code=EXIT_TOOL,
            )
        waves.append(wave)
        started |= {service.role for service in wave}
        left = [service for service in left if service not in wave]
    return tuple(waves)
