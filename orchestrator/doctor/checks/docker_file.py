"""What the plan wrote into compose.yaml for containers that live long: shared memory and bounded logs."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed
from orchestrator.doctor.checks.docker_wanted import with_docker
from orchestrator.doctor.context import Context
from orchestrator.doctor.rendered import rendered_services
from orchestrator.doctor.size import GIB, gib

LEAST_SHM_BYTES = GIB
"""Estimate. Docker's default of 64 MB is known to be too little (vllm-project/vllm#16841); vLLM's pages say 1-4 GB."""
UNBOUNDED = ("json-file", None)
"""Drivers that keep every line unless told otherwise: Docker's default is the first. `local` rotates by itself; the
others hand the lines to somebody else."""
UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def shared_memory(context: Context) -> Answer:
    if context.planned.backend != "vllm":
        return not_applicable(f"{context.planned.backend} uses no shared memory between processes")
    file = rendered_services(context)
    service = file.services.get("embeddings", {})
    if service.get("ipc") == "host":
        return passed(f"embeddings uses the host's shared memory (ipc: host in {file.where})")
    said = service.get("shm_size")
    size = bytes_of(said)
    if size is not None and size >= LEAST_SHM_BYTES:
        return passed(f"shm_size {gib(size)} in {file.where}, {gib(LEAST_SHM_BYTES)} are needed")
    return bad(
        f"shm_size {said if said is not None else 'is not set (Docker gives 64 MB)'} in {file.where}",
        "vLLM's processes talk through shared memory, and the container has too little of it: it dies under load",
        "write the file again; the plan sets shm_size:",
        context.up_with(),
    )


def bounded_logs(context: Context) -> Answer:
    file = rendered_services(context)
    unbounded = [name for name, service in file.services.items() if not _bounded(service.get("logging"))]
    if not unbounded:
        return passed(f"the logs of {', '.join(file.services)} are bounded in {file.where}")
    return bad(
        f"no max-size for {', '.join(unbounded)} in {file.where}",
        f"Docker keeps every line that {', '.join(unbounded)} ever logs, until the disk is full",
        "write the file again; the plan sets the limits:",
        context.up_with(),
    )


def _bounded(logging: Any) -> bool:
    settings = logging if isinstance(logging, dict) else {}
    driver = settings.get("driver")
    return driver not in UNBOUNDED or "max-size" in (settings.get("options") or {})


def bytes_of(size: object) -> int | None:
    """Compose's sizes: a number of bytes, or with a unit (`4g`, `512mb`, `1gib`)."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", str(size).strip().lower())
    return int(float(found[1]) * UNITS[found[2]]) if found else None


SHM = Check(
    id="docker.shm",
    area="docker",
    question="Does the embedding server's container have enough shared memory?",
    reads=("shm_size and ipc in compose.yaml",),
    severity="fail",
    stage="plan",
    answer=with_docker(shared_memory),
)
LOGS = Check(
    id="docker.logs",
    area="docker",
    question="Are the containers' logs bounded?",
    reads=("logging in compose.yaml",),
    severity="warn",
    stage="plan",
    answer=with_docker(bounded_logs),
)
CHECKS = (SHM, LOGS)
