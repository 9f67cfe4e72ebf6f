"""`down`: stop what this stack started and nothing else. The data stays unless it was asked for by name."""

from __future__ import annotations

from orchestrator.operations.alone import alone
from orchestrator.operations.record import read_intent
from orchestrator.operations.stack import engine_of
from orchestrator.plan.records import EngineName
from orchestrator.progress import Progress
from orchestrator.result import Result
from orchestrator.state import StackFolder


def down(name: str, progress: Progress, *, volumes: bool, lock_timeout_s: float) -> Result:
    """Works from the folder alone: also when the plan was never finished or its services never started."""
    folder = StackFolder(name)
    if not folder.path.exists():
        return Result(command="down", data={"stack": name, "stopped": [], "removed_data": False})
    with alone(folder, "down", lock_timeout_s, progress):
        engine_name = _engine_name(folder)
        if engine_name is None:
            return Result(command="down", data={"stack": name, "stopped": [], "removed_data": False})
        engine = engine_of(engine_name, folder)
        stopped = [running.role for running in engine.observe() if running.state != "absent"]
        progress.step(f"stop {', '.join(stopped) or 'what may be left'}")
        engine.down(volumes=volumes, progress=progress)
        if volumes:
            _forget(folder)
    return Result(command="down", data={"stack": name, "stopped": stopped, "removed_data": volumes})


def _engine_name(folder: StackFolder) -> EngineName | None:
    intent = read_intent(folder)
    return intent.decision.plan.engine if intent else None


def _forget(folder: StackFolder) -> None:
    """With the data go the plan, the proof and the secrets that belong to it; the lock stays (it is held)."""
    import shutil

    for path in folder.path.iterdir():
        if path.name.startswith("lock"):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
