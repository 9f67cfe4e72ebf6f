"""What `up` would change, and whether there is anything to do at all."""

from __future__ import annotations

from typing import Literal

import msgspec

from orchestrator.engines.engine import Change, RenderedFile
from orchestrator.operations.ready import not_ready
from orchestrator.operations.record import proves, read_proof
from orchestrator.operations.secrets import read_secrets
from orchestrator.operations.stack import Stack
from orchestrator.operations.wiring import drift
from orchestrator.plan.records import Role


class Step(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    action: Literal["create", "update", "keep", "recreate", "start", "remove"]


def changes_of(stack: Stack) -> tuple[Step, ...]:
    """Files and services, as they are now against as the plan wants them."""
    files = [Step(what=f"file {file.path}", action=_file_action(stack, file)) for file in stack.files]
    secrets = read_secrets(stack.folder)
    actions: dict[Role, Change] = (
        stack.engine.changes(stack.services, secrets) if secrets else dict.fromkeys(stack.plan.roles, "create")
    )
    names = {service.role: service.name for service in stack.services}
    services = [
        Step(what=f"service {names.get(role, role)}", action="keep" if action == "none" else action)
        for role, action in actions.items()
    ]
    return (*files, *services)


def is_settled(stack: Stack) -> bool:
    """Proven, unchanged on disk, running, ready, and Open WebUI still as wired: `up` has nothing to do."""
    if not proves(read_proof(stack.folder), stack.plan, stack.files):
        return False
    if any(_file_action(stack, file) != "keep" for file in stack.files):
        return False
    running = {r.role: r.state for r in stack.engine.observe()}
    if any(running.get(service.role) != "running" for service in stack.services):
        return False
    secrets = read_secrets(stack.folder)
    if any(not_ready(stack, service, secrets) for service in stack.services):
        return False
    return not (stack.has("webui") and drift(stack))


def _file_action(stack: Stack, file: RenderedFile) -> Literal["create", "update", "keep"]:
    path = stack.folder.rendered / file.path
    try:
        same = path.read_text(encoding="utf-8") == file.text and path.stat().st_mode & 0o777 == file.mode
    except FileNotFoundError:
        return "create"
    return "keep" if same else "update"
