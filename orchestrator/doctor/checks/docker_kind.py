"""What kind of engine answers: rootless, in a virtual machine, from a snap. Each of them takes something away."""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path

from orchestrator.doctor.check import Answer, Check, bad, passed, warned
from orchestrator.doctor.checks.docker_wanted import wants_gpu, with_docker
from orchestrator.doctor.context import Context

NVIDIA_CONFIG = Path("/etc/nvidia-container-runtime/config.toml")
SNAP = "/snap/"


def rootless(context: Context) -> Answer:
    docker = context.facts.docker
    if docker.flavour == "docker-desktop" and not context.facts.host.wsl:
        return _desktop(context)
    if docker.flavour == "podman":
        return warned(
            f"podman {docker.server_version} answers as Docker",
            "Compose on podman is not tested with this tool; on some machines its service cannot start a container",
            "use Docker Engine, or run without containers:",
            context.up_with("--engine native"),
        )
    if not docker.rootless:
        return passed(f"{docker.flavour} {docker.server_version}, run by root on this machine")
    return _rootless_gpu(context) if wants_gpu(context) else passed("a rootless engine; the plan needs no more")


def _rootless_gpu(context: Context) -> Answer:
    devices = context.facts.docker.cdi_devices
    if devices:
        return passed(f"a rootless engine with CDI devices ({', '.join(devices)}): no cgroups are needed")
    if _no_cgroups():
        return passed("a rootless engine, and the NVIDIA toolkit is set to no-cgroups")
    return bad(
        f"rootless engine, no CDI devices, no-cgroups is not set in {NVIDIA_CONFIG}",
        "a rootless engine may not set up the cgroup through which the NVIDIA toolkit hands over a GPU",
        "tell the toolkit so (NVIDIA's page for rootless mode), then restart the engine:",
        "sudo nvidia-ctk config --set nvidia-container-cli.no-cgroups --in-place",
        "systemctl --user restart docker",
    )


def snap(context: Context) -> Answer:
    program = shutil.which("docker") or ""
    root = context.facts.docker.root_dir or ""
    resolved = str(Path(program).resolve()) if program else ""
    if not any((program.startswith(SNAP), resolved.endswith("/snap"), root.startswith("/var/snap/"))):
        return passed(f"{program or 'no docker program'}, storage at {root or 'an unknown place'}")
    return bad(
        f"{program}, storage at {root}",
        "Docker from the snap sees only parts of the file system: mounts from elsewhere arrive empty, and the NVIDIA "
        "toolkit cannot configure it",
        "remove the snap and install Docker's own packages (https://docs.docker.com/engine/install/):",
        "sudo snap remove docker",
    )


def _desktop(context: Context) -> Answer:
    evidence = "Docker Desktop on Linux: containers run in a virtual machine"
    if wants_gpu(context):
        return bad(
            evidence,
            "the virtual machine of Docker Desktop on Linux has no NVIDIA GPU",
            "use Docker Engine on this machine itself, or run without containers:",
            "docker context use default",
            context.up_with("--engine native"),
        )
    return warned(
        evidence,
        "its memory and disk are the virtual machine's, not those that the plan counted",
        "give the virtual machine enough (Settings, Resources), or use Docker Engine:",
        "docker context use default",
    )


def _no_cgroups() -> bool:
    """The toolkit reads the user's file first where XDG_CONFIG_HOME is set."""
    own = os.environ.get("XDG_CONFIG_HOME")
    paths = (*((Path(own) / "nvidia-container-runtime/config.toml",) if own else ()), NVIDIA_CONFIG)
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return False
    try:
        section = tomllib.loads(path.read_text(encoding="utf-8")).get("nvidia-container-cli", {})
    except (OSError, tomllib.TOMLDecodeError):
        return False
    return section.get("no-cgroups") is True


ROOTLESS = Check(
    id="docker.rootless",
    area="docker",
    question="Is the engine of a kind that can give the containers what the plan needs?",
    reads=("security options and operating system in /info", str(NVIDIA_CONFIG)),
    needs=("docker.daemon",),
    severity="fail",
    answer=with_docker(rootless),
)
SNAP_DOCKER = Check(
    id="docker.snap",
    area="docker",
    question="Is Docker installed from packages that see the whole file system (no snap)?",
    reads=("where the docker program lies", "DockerRootDir in /info"),
    needs=("docker.cli",),
    severity="warn",
    answer=with_docker(snap),
)
CHECKS = (ROOTLESS, SNAP_DOCKER)
