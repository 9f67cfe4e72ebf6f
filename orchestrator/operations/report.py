"""The running stack as data: the shapes of `status --json` that scripts rely on."""

from __future__ import annotations

from typing import Any

from orchestrator.operations.ready import not_ready
from orchestrator.operations.secrets import read_secrets
from orchestrator.operations.stack import Stack


def stack_data(stack: Stack) -> dict[str, Any]:
    secrets = read_secrets(stack.folder)
    running = {r.role: r for r in stack.engine.observe()}
    services: dict[str, Any] = {}
    for service in stack.services:
        seen = running.get(service.role)
        is_running = seen is not None and seen.state == "running"
        reason = not_ready(stack, service, secrets) if is_running and secrets else "it does not run"
        services[service.role] = {
            "name": service.name,
            "url": stack.url(service.role),
            "healthy": reason is None,
            "reason": reason,
            "version": service.version,
            "state": seen.state if seen else "absent",
            "pid": seen.pid if seen else None,
            "container": seen.container if seen else None,
            "started_at": seen.started_at if seen else None,
            "restarts": seen.restarts if seen else 0,
        }
    plan = stack.plan
    return {
        "stack": plan.stack,
        "engine": plan.engine,
        "backend": plan.backend,
        "services": services,
        "model": {
            "id": plan.model,
            "served_name": plan.served_name,
            "dimension": plan.dimension,
            "max_length": plan.max_length,
        },
        "credentials_file": str(stack.folder.credentials_file),
    }
