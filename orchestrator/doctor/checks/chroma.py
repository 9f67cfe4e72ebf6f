"""ChromaDB: the pinned server, keeping its data where it survives, with vectors of the planned model."""

from __future__ import annotations

from pathlib import Path

from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed
from orchestrator.doctor.checks.asked import asked, chroma_of, webui_of
from orchestrator.doctor.context import Context
from orchestrator.result import Finding
from orchestrator.verify.question import Question
from orchestrator.verify.stack import DIMENSION, HEALTH, probe_chroma, probe_dimension

NO_CHROMA = "the plan has no ChromaDB"
DATABASE = "chroma.sqlite3"
"""What ChromaDB 1.5.9 keeps in its folder, from its first start on (measured)."""
ENGINE_S = 12.0


def health(context: Context) -> Finding:
    if context.existing.addresses.vectors is None:
        return _no_chroma(HEALTH)
    with chroma_of(context) as chroma:
        return probe_chroma(chroma)


def dimension(context: Context) -> Finding:
    if context.existing.addresses.vectors is None:
        return _no_chroma(DIMENSION)
    with chroma_of(context) as chroma:
        if context.existing.addresses.webui is None:
            return probe_dimension(context.planned, None, chroma)
        with webui_of(context) as webui:
            return probe_dimension(context.planned, webui, chroma)


def persist(context: Context) -> Answer:
    running = next((each for each in context.existing.observe() if each.role == "vectors"), None)
    if running is None or "vectors" not in context.planned.roles:
        return not_applicable(NO_CHROMA)
    if running.container is not None:
        return _in_a_container(context, running.container)
    if running.pid is None:
        return not_applicable("ChromaDB does not run")
    return _as_a_process(context, running.pid)


def _in_a_container(context: Context, container: str) -> Answer:
    """1.x moved it from /chroma/chroma to /data: a mount at the old path keeps nothing (chroma-core/chroma#6132)."""
    from orchestrator.engines.compose_containers import mounts_of

    path = _path_of(next(service.arguments for service in context.services if service.role == "vectors"))
    mounts = mounts_of(container)
    shown = ", ".join(f"{kind} {source} at {target}" for target, (kind, source) in mounts.items()) or "none"
    evidence = f"ChromaDB keeps its data in {path}; mounts: {shown}"
    if mounts.get(path, ("", ""))[0] in ("volume", "bind"):
        return passed(evidence)
    return _lost(context, evidence, f"nothing is mounted at {path}: the vectors go when the container is made anew")


def _as_a_process(context: Context, pid: int) -> Answer:
    import psutil

    path = _path_of(next(service.arguments for service in context.services if service.role == "vectors"))
    try:
        used = _path_of(tuple(psutil.Process(pid).cmdline()))
    except psutil.Error as error:
        return not_applicable(f"process {pid} tells no command line ({type(error).__name__})")
    evidence = f"ChromaDB (pid {pid}) keeps its data in {used}"
    if used != path:
        return _lost(context, evidence, f"the plan keeps the vectors in {path}")
    if not (Path(path) / DATABASE).is_file():
        return _lost(context, evidence, f"{path} holds no {DATABASE}: it was removed while ChromaDB runs")
    return passed(f"{evidence}, with its {DATABASE}")


def _path_of(arguments: tuple[str, ...]) -> str:
    """What stands behind `--path`; empty where nothing does."""
    words = iter(arguments)
    return next((next(words, "") for word in words if word == "--path"), "")


def _lost(context: Context, evidence: str, reason: str) -> Answer:
    return bad(
        evidence, reason, "the plan sets it right; copy the data out first if it matters:", context.command("up")
    )


def _no_chroma(question: Question) -> Finding:
    return question.skipped(NO_CHROMA)


CHROMA_HEALTH = asked(
    HEALTH,
    health,
    reads=("GET /api/v2/heartbeat", "GET /api/v2/version, or v1's on an old server"),
    needs=("stack.health",),
)
CHROMA_PERSIST = Check(
    id="chroma.persist",
    area="stack",
    question="Do the vectors survive the container, or lie where the plan wants them?",
    reads=("the mounts of the running container against --path", "the command line of the process, and its database"),
    needs=("stack.state",),
    severity="fail",
    stage="stack",
    timeout_s=ENGINE_S,
    answer=persist,
)
CHROMA_DIMENSION = asked(
    DIMENSION,
    dimension,
    reads=("the dimension of every collection", "the model that Open WebUI recorded with its vectors"),
    needs=("chroma.health",),
)
CHECKS = (CHROMA_HEALTH, CHROMA_PERSIST, CHROMA_DIMENSION)
