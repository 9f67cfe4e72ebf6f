"""`render`: the stack's plain files in a folder of the user's. The result runs without this tool."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import usage_error
from orchestrator.models.fetch import fetch
from orchestrator.operations.planning import decide
from orchestrator.operations.secrets import ensure_secrets
from orchestrator.operations.stack import stack_of
from orchestrator.operations.up import decided_data
from orchestrator.plan.spec import Spec
from orchestrator.progress import Progress
from orchestrator.result import Result
from orchestrator.state import StackFolder


def render(spec: Spec, out: Path, progress: Progress) -> Result:
    """Writes into `out`, which must be new, empty or an earlier render; fetches the weights that the files point to."""
    if out.exists() and any(out.iterdir()) and not (out / "plan.json").exists():
        raise usage_error("--out", str(out), "is a folder with other things in it", "name a new or empty folder")
    folder = StackFolder.at(spec.stack, out)
    decided = decide(spec, folder, replan=True)
    stack = stack_of(decided.decision.plan, folder)
    secrets = ensure_secrets(folder)
    if stack.plan.weights.source.kind != "ollama":
        progress.step(f"fetch {stack.plan.model}")
        fetch(stack.plan.weights.source, stack.plan.weights.bytes, progress)
    if stack.plan.engine == "native":
        progress.step("prepare the programs that the files start")
        stack.engine.prepare(stack.services, progress)
    written = stack.engine.write(stack.services, stack.files, secrets)
    return Result(
        command="render",
        data={
            **decided_data(decided),
            "out": str(out),
            "files": [str(path) for path in written],
            "start": stack.engine.start_command(),
            "credentials_file": str(folder.credentials_file),
        },
    )
