"""`lock`: the pinned tags as digests, asked from the registry once and used by every later `up`."""

from __future__ import annotations

from orchestrator.engines.compose_images import resolve_digests
from orchestrator.operations.alone import alone
from orchestrator.operations.stack import existing_stack
from orchestrator.progress import Progress
from orchestrator.result import Result
from orchestrator.state import StackFolder


def lock(name: str, progress: Progress, *, lock_timeout_s: float) -> Result:
    stack = existing_stack(name)
    with alone(StackFolder(name), "lock", lock_timeout_s, progress):
        progress.step("ask the registry for digests")
        digests = resolve_digests(stack.folder, stack.services)
    return Result(command="lock", data={"stack": name, "digests": digests})
