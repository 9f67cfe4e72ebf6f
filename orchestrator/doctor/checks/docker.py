"""Docker and Compose: there, answering, usable by this user, new enough. Each stands behind the one before it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from orchestrator.catalog.pins import load_pins
from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed
from orchestrator.doctor.checks.docker_wanted import with_docker
from orchestrator.doctor.context import Context
from orchestrator.doctor.rendered import rendered_services
from orchestrator.doctor.size import GIB, gib
from orchestrator.facts.docker import MINIMUM_COMPOSE, compose_numbers
from orchestrator.facts.host import disk_space
from orchestrator.plan.records import Plan

INSTALL_PAGE = "https://docs.docker.com/engine/install/"
NO_ENGINE = ("no_socket", "not_running", "timeout")
IMAGE_BYTES = {
    "chroma": int(0.6 * GIB),
    "open-webui": 5 * GIB,
    "vllm": 22 * GIB,
    "vllm-cpu": 5 * GIB,
    "llamacpp-cpu": int(0.3 * GIB),
    "llamacpp-cuda": 3 * GIB,
    "ollama": 4 * GIB,
}
"""Unpacked. Measured: chroma from its PyPI package 562 MB. All others are estimates: no registry could be reached."""
PULL_MARGIN = 1.5
"""A layer lies compressed and unpacked side by side while it is pulled (estimate)."""
DOCKER_ANSWER_S = 5.0
GPUS_KEY_COMPOSE = (2, 30)
"""First Compose to honour `gpus:` (vendor: its file reference). Measured: 2.26 ignores it and starts without a GPU,
2.40 asks the engine for it. Our own file asks through `deploy`, which both honour."""


def cli(context: Context) -> Answer:
    found = shutil.which("docker")
    if found:
        return passed(found)
    if context.plan is None and context.spec.engine == "auto":
        return not_applicable("no docker program is installed; without one, `up` plans native processes")
    return bad(
        "no `docker` on the PATH",
        "the docker program is not installed",
        f"install Docker Engine ({INSTALL_PAGE}), or run without it:",
        context.up_with("--engine native"),
    )


def engine_here(context: Context) -> Answer:
    """A remote engine has its own GPU, memory, disk and ports; every fact that we read is this machine's."""
    by_variable = "DOCKER_HOST" in os.environ
    origin = "DOCKER_HOST" if by_variable else "the current docker context"
    error = context.facts.docker.error
    if not context.facts.docker.remote:
        return passed(f"{origin if by_variable else 'the docker context'} names an engine of this machine")
    return bad(
        f"{origin}: {error.reason if error else 'another machine'}",
        "Docker points at another machine, while GPU, memory, disk and ports were read on this one",
        "run orchestrator on that machine, or point Docker at this one:",
        "unset DOCKER_HOST" if by_variable else "docker context use default",
    )


def access(context: Context) -> Answer:
    error = context.facts.docker.error
    if error is None or error.code != "no_permission":
        return passed("this user may use the engine's socket")
    return bad(
        error.reason,
        "this user may not use Docker",
        "add the user to the group `docker` (as good as root: see Docker's page), then log in anew:",
        "sudo usermod -aG docker $USER",
        "newgrp docker",
    )


def daemon(context: Context) -> Answer:
    docker = context.facts.docker
    if docker.error is None or docker.error.code not in NO_ENGINE:
        return passed(f"{docker.flavour} {docker.server_version}, API {docker.api_version}")
    if docker.error.code == "timeout":
        return bad(
            f"{docker.error.code}: {docker.error.reason}",
            "the Docker engine takes connections and does not answer: it hangs",
            "see what it is doing, then restart it (containers with a restart policy come back):",
            "journalctl -u docker -n 30 --no-pager",
            "sudo systemctl restart docker",
        )
    return bad(
        f"{docker.error.code}: {docker.error.reason}",
        docker.error.reason,
        "start it and see why it had ended:",
        "sudo systemctl start docker",
        "journalctl -u docker -n 30 --no-pager",
    )


def compose_version(context: Context) -> Answer:
    docker = context.facts.docker
    least = _dotted(MINIMUM_COMPOSE)
    if docker.error is not None and docker.error.code in ("compose_missing", "compose_too_old"):
        return _newer_compose(f"Compose {docker.compose_version or 'missing'}", docker.error.reason, least)
    evidence = f"Compose {docker.compose_version}, {least} or newer is needed"
    if context.plan is None or context.plan.device.kind != "gpu":
        return passed(evidence)
    return _honours_the_gpu(context, str(docker.compose_version), evidence)


def _honours_the_gpu(context: Context, version: str, evidence: str) -> Answer:
    file = rendered_services(context)
    by_key = [name for name, service in file.services.items() if "gpus" in service]
    if by_key and compose_numbers(version) < GPUS_KEY_COMPOSE:
        return _newer_compose(
            f"Compose {version}; `gpus:` at {', '.join(by_key)} in {file.where}",
            f"Compose {version} ignores `gpus:` without a word: {', '.join(by_key)} would run on the CPU",
            _dotted(GPUS_KEY_COMPOSE),
        )
    asked = "`gpus:`" if by_key else "`deploy`, which every Compose since 2.20 honours"
    return passed(f"{evidence}; the GPU is asked for through {asked}")


def _newer_compose(evidence: str, reason: str, least: str) -> Answer:
    return bad(
        evidence,
        reason,
        f"install the Compose plugin {least} or newer (https://docs.docker.com/compose/install/linux/):",
        "sudo apt-get install docker-compose-plugin",
        "docker compose version",
    )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def docker_disk(context: Context) -> Answer:
    root = context.facts.docker.root_dir
    if root is None or not Path(root).exists():
        return not_applicable("the engine's storage is not on a file system that this user sees")
    missing = _missing_images(context.planned)
    if missing is None:
        return not_applicable("the engine does not list its images")
    if not missing:
        return passed("every image is already there")
    space = disk_space(Path(root))
    if space is None:
        return not_applicable(f"the file system at {root} tells no free space")
    need = int(sum(IMAGE_BYTES[name] for name in missing) * PULL_MARGIN)
    evidence = f"missing {', '.join(missing)}; free {gib(space.free_bytes)} at {root}, needed about {gib(need)}"
    if space.free_bytes >= need:
        return passed(evidence)
    return bad(
        evidence,
        f"the images of {', '.join(missing)} need about {gib(need)} at {root}, {gib(space.free_bytes)} are free",
        "see what Docker keeps and remove what you know you do not need:",
        "docker system df -v",
    )


def images_of(plan: Plan) -> dict[str, str]:
    """Pin's name → reference of every image that the plan runs."""
    server = {
        "vllm": "vllm" if plan.backend_build == "cuda" else "vllm-cpu",
        "llamacpp": "llamacpp-cuda" if plan.backend_build == "cuda" else "llamacpp-cpu",
        "ollama": "ollama",
    }[plan.backend]
    names = {"vectors": "chroma", "webui": "open-webui", "embeddings": server}
    pins = load_pins().images
    return {names[role]: pins[names[role]].reference for role in plan.roles}


def _missing_images(plan: Plan) -> list[str] | None:
    try:
        done = subprocess.run(
            ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"],
            capture_output=True, text=True, timeout=DOCKER_ANSWER_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    have = set(done.stdout.split())
    return [name for name, image in images_of(plan).items() if image.removeprefix("docker.io/") not in have]


CLI = Check(
    id="docker.cli",
    area="docker",
    question="Is the docker program installed?",
    reads=("PATH",),
    severity="fail",
    answer=with_docker(cli),
)
CONTEXT = Check(
    id="docker.context",
    area="docker",
    question="Does Docker point at this machine, whose facts were read?",
    reads=("DOCKER_HOST", "DOCKER_CONTEXT", "currentContext in docker's config.json"),
    needs=("docker.cli",),
    severity="fail",
    answer=with_docker(engine_here),
)
ACCESS = Check(
    id="docker.access",
    area="docker",
    question="May this user use the engine?",
    reads=("the errno of connecting to the engine's socket",),
    needs=("docker.cli", "docker.context"),
    severity="fail",
    answer=with_docker(access),
)
DAEMON = Check(
    id="docker.daemon",
    area="docker",
    question="Does a Docker engine answer?",
    reads=("/info and /version of the engine's API",),
    needs=("docker.cli", "docker.access"),
    severity="fail",
    answer=with_docker(daemon),
)
COMPOSE_VERSION = Check(
    id="compose.version",
    area="docker",
    question="Is Compose new enough for the file that we render, its GPU request included?",
    reads=("docker compose version", "`gpus:` in the rendered compose.yaml"),
    needs=("docker.daemon",),
    severity="fail",
    answer=with_docker(compose_version),
)
DOCKER_DISK = Check(
    id="host.disk.docker",
    area="docker",
    question="Is there room for the images that are still missing?",
    reads=("statvfs of DockerRootDir", "docker image ls"),
    needs=("docker.daemon",),
    severity="fail",
    timeout_s=8.0,
    stage="plan",
    answer=with_docker(docker_disk),
)
CHECKS = (CLI, CONTEXT, ACCESS, DAEMON, COMPOSE_VERSION, DOCKER_DISK)
