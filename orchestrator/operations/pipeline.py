"""`up --ci`: the same `up`, told to a pipeline: files that CI servers read, and keys for their caches."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from orchestrator.engines.native_programs import executable_of
from orchestrator.errors import EXIT_TOOL, OrchestratorError, usage_error
from orchestrator.junit import Case, cases_of, junit_xml
from orchestrator.models.store import path_of
from orchestrator.operations.connection import addresses
from orchestrator.operations.planning import Decided
from orchestrator.operations.stack import Stack, existing_stack, stack_of
from orchestrator.operations.up import UpRequest, rehearse, up
from orchestrator.progress import Progress
from orchestrator.result import Result, envelope, failed
from orchestrator.state import StackFolder, environments_folder, models_folder, write_whole

JUNIT_FILE, RESULT_FILE, ADDRESSES_FILE = "junit.xml", "result.json", "stack.env"


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """What a pipeline may keep between runs. The key follows from the content: it changes when the content would."""

    name: str
    key: str
    paths: tuple[str, ...]


def rehearse_for_pipeline(request: UpRequest) -> tuple[Decided, Result]:
    """`up --ci --dry-run`: a pipeline asks for the keys before it restores its caches."""
    decided, result = rehearse(request)
    folder = StackFolder(request.spec.stack)
    return decided, _with(result, caches=caches_of(stack_of(decided.decision.plan, folder)))


def up_for_pipeline(request: UpRequest, artifacts: Path, progress: Progress, show: Callable[[Decided], None]) -> Result:
    """Never raises what a person can act on: it becomes the result, and stands in the files too."""
    _check(artifacts)
    folder = StackFolder(request.spec.stack)

    def show_with_keys(decided: Decided) -> None:
        show(decided)
        for cache in caches_of(stack_of(decided.decision.plan, folder)):
            progress.note(f"cache key {cache.key}  ({cache.name}: {', '.join(cache.paths)})")

    began = time.monotonic()
    try:
        result = up(request, progress, show_with_keys)
        stack = existing_stack(folder.name)
        result = _with(result, caches=caches_of(stack), addresses=addresses(stack))
    except OrchestratorError as error:
        result = failed("up", error)
    return _with(result, artifacts=write_artifacts(artifacts, result, time.monotonic() - began))


def caches_of(stack: Stack) -> tuple[Cache, ...]:
    """Weights that are fetched, and the native engine's environments. Containers' images are the engine's own."""
    found = []
    source = stack.plan.weights.source
    weights = path_of(source)
    if weights is not None and weights.is_relative_to(models_folder()):
        found.append(Cache(name="models", key=f"orchestrator-models-{_digest(source.key)}", paths=(str(weights),)))
    if stack.plan.engine == "native":
        installed = _installed(stack)
        # An environment is not relocatable: its scripts name their own folder.
        key = _digest(platform.machine(), platform.python_version(), *installed)
        if installed:
            found.append(Cache(name="environments", key=f"orchestrator-environments-{key}", paths=installed))
    return tuple(found)


def _installed(stack: Stack) -> tuple[str, ...]:
    root = environments_folder()
    programs = [executable_of(service.program) for service in stack.services]
    return tuple(sorted({str(root / p.relative_to(root).parts[0]) for p in programs if p.is_relative_to(root)}))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def write_artifacts(folder: Path, result: Result, seconds: float) -> dict[str, str]:
    """What an earlier run left under these names is gone: a failed `up` must not show an old stack's addresses."""
    contents = {
        JUNIT_FILE: junit_xml("orchestrator", (_own_case(result, seconds), *cases_of(result.findings))),
        RESULT_FILE: msgspec.json.format(msgspec.json.encode(envelope(result)), indent=2).decode() + "\n",
    }
    reached = result.data.get("addresses")
    if reached:
        contents[ADDRESSES_FILE] = "".join(f"{name}={value}\n" for name, value in reached.items())
    else:
        (folder / ADDRESSES_FILE).unlink(missing_ok=True)
    for name, content in contents.items():
        write_whole(folder / name, content)
    return {name.partition(".")[0]: str(folder / name) for name in contents}


def _own_case(result: Result, seconds: float) -> Case:
    error = result.error
    if error is None:
        return Case(id="up", name="Does the stack come up?", verdict="pass", seconds=seconds)
    return Case(
        id="up",
        name="Does the stack come up?",
        verdict="error" if result.exit_code == EXIT_TOOL else "fail",
        message=f"{error.code}: {error.message}",
        detail="\n".join(part for part in (error.message, error.evidence, f"what to do: {error.remedy}") if part),
        seconds=seconds,
    )


def _check(artifacts: Path) -> None:
    """Before minutes are spent."""
    try:
        artifacts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise usage_error(
            "--artifacts", str(artifacts), f"cannot be made: {error.strerror}", "name a folder that can be written"
        ) from None


def _with(result: Result, **data: object) -> Result:
    return msgspec.structs.replace(result, data={**result.data, **data})
