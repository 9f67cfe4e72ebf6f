"""The host itself: system, processor, libraries, memory, clock, SELinux, and a restart that is due."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import subprocess
from pathlib import Path

from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed, warned
from orchestrator.doctor.context import Context
from orchestrator.doctor.size import GIB, gib
from orchestrator.facts.clock import kernel_clock
from orchestrator.facts.driver_files import driver_versions, restart_note
from orchestrator.facts.filesystem import nearest, selinux_mode, selinux_type
from orchestrator.facts.host import processor_flags
from orchestrator.facts.records import Reach
from orchestrator.plan.fit import free_ram
from orchestrator.state import home, models_folder

ARCHITECTURES = ("x86_64", "aarch64")
LOAD_STAGING_BYTES = 2 * GIB
"""Beside the weights while they pass through RAM to a card (facts/doctor-checks.md 2: a proposal, not measured)."""
NUMA = "libnuma.so.1"
"""Measured: without it vLLM 0.32.0's CPU worker dies with `'_C' object has no attribute 'init_cpu_memory_env'`."""
CPP = "libstdc++.so.6"
"""Measured: without it numpy and chromadb die at import (facts/docker-and-gpu 1.1)."""
PACKAGES = {NUMA: "libnuma1", CPP: "libstdc++6"}
OPEN_FILES = 1024
"""The soft limit that Linux distributions start every shell with, and under which the stack was measured."""
GLIBC = (2, 31)
"""Derived: the locks take wheels up to manylinux_2_31 (catalog/locks)."""
VLLM_CPU_FLAG = "avx2"
"""Vendor: vLLM's CPU build for x86-64 needs AVX2 and is quicker with AVX-512 (catalog/pins.toml)."""
CLOCK_S = 30
"""Proposal (facts/doctor-checks.md 4): far above what a time service leaves (below 1 s), far below the 15 minutes after
which signed addresses, as those of a hub's storage, are refused (AWS: RequestTimeTooSkewed)."""
CERTIFICATE_DATES = r"certificate (?:is not yet valid|has expired)"
"""OpenSSL's words, which a clock that is days wrong makes true of every server."""
CONTAINER_TYPES = ("container_file_t", "svirt_sandbox_file_t", "container_share_t", "container_ro_file_t")
"""SELinux types that a confined container may read (container-selinux)."""
DOCKER_ANSWER_S = 3.0


def system(context: Context) -> Answer:
    host = context.facts.host
    evidence = f"{host.distribution}, {host.system} {host.kernel}, {host.architecture}" + (", WSL" if host.wsl else "")
    if host.system != "Linux":
        return bad(
            evidence,
            f"{host.system} is not supported: vLLM, Docker's GPU support and the locked environments are Linux'",
            "run it on Linux; on Windows, in WSL 2:",
            "wsl --install",
        )
    if host.kernel.endswith("-Microsoft"):  # 4.4.0-19041-Microsoft; WSL 2 says microsoft-standard-WSL2
        return bad(
            evidence,
            "this is WSL 1, which has no Linux kernel: neither Docker nor a GPU works in it",
            "turn this distribution into WSL 2 (in PowerShell):",
            "wsl --set-version $WSL_DISTRO_NAME 2".replace(
                "$WSL_DISTRO_NAME", os.environ.get("WSL_DISTRO_NAME", "NAME")
            ),
        )
    if host.architecture not in ARCHITECTURES:
        return bad(
            evidence,
            f"no pinned image or package is made for {host.architecture}",
            f"use a machine of one of these architectures: {', '.join(ARCHITECTURES)}",
        )
    return passed(evidence)


def processor(context: Context) -> Answer:
    plan = context.planned
    if (plan.backend, plan.backend_build) != ("vllm", "cpu"):
        return not_applicable("only vLLM's CPU build asks for more than any processor has")
    if context.facts.host.architecture != "x86_64":
        return not_applicable(f"{context.facts.host.architecture} has no such choice")
    flags = processor_flags()
    if not flags:
        return not_applicable("the kernel does not list what the processor can do")
    best = "AVX-512" if "avx512f" in flags else "AVX2" if VLLM_CPU_FLAG in flags else "neither AVX2 nor AVX-512"
    if VLLM_CPU_FLAG in flags:
        return passed(best)
    return bad(
        best,
        "vLLM's CPU build ends with `Illegal instruction` on a processor without AVX2",
        "let a virtual machine see the real processor (QEMU: -cpu host), or plan another server:",
        context.up_with("--backend llamacpp"),
    )


def c_library(context: Context) -> Answer:
    if context.planned.engine != "native":
        return not_applicable("programs run inside images, which bring their own")
    try:
        said = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        said = ""
    return c_library_answer(said)


def c_library_answer(said: str) -> Answer:
    """`said` as getconf GNU_LIBC_VERSION: `glibc 2.36`; nothing on musl."""
    version = re.fullmatch(r"glibc (\d+)\.(\d+).*", said)
    least = ".".join(map(str, GLIBC))
    if version and (int(version[1]), int(version[2])) >= GLIBC:
        return passed(f"{said}, {least} or newer is needed")
    return bad(
        said or "no glibc (musl?)",
        f"the locked packages are built for glibc {least} and newer; here is {said or 'another C library'}",
        "run the stack in containers, or on a newer distribution (Debian 11, Ubuntu 20.04, RHEL 9 and later):",
        "orchestrator up --engine compose",
    )


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


def clock(context: Context) -> Answer:
    kernel = kernel_clock()
    if kernel.yes:
        return passed(kernel.reason)
    sources = context.facts.sources
    return clock_answer(kernel.reason, (sources.hub, sources.ollama, sources.registry))


def clock_answer(kernel: str, reaches: tuple[Reach, ...]) -> Answer:
    """Nothing keeps the clock (usual in a small virtual machine): then what servers say of it counts."""
    told = [reach.clock_ahead_s for reach in reaches if reach.clock_ahead_s is not None]
    dated = next((reach.reason for reach in reaches if re.search(CERTIFICATE_DATES, reach.reason)), None)
    remedy = ("set it, and let it be kept:", "sudo timedatectl set-ntp true", "timedatectl status")
    if told:
        ahead = min(told, key=abs)
        evidence = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the servers that answered; {kernel}"
        if abs(ahead) <= CLOCK_S:
            return passed(evidence)
        reason = f"the clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}: TLS and signed addresses fail"
        return bad(evidence, reason, *remedy)
    if dated:
        return bad(f"{dated}; {kernel}", "the clock makes certificates look expired or not yet valid", *remedy)
    return not_applicable(f"nobody to compare the clock with; {kernel}")


def selinux(context: Context) -> Answer:
    if context.planned.engine != "compose":
        return not_applicable("SELinux confines containers; this plan runs none")
    mode = selinux_mode()
    if mode != "enforcing":
        return passed(f"SELinux is {mode or 'not there'}")
    options = _security_options()
    if options is None:
        return not_applicable("the engine does not tell whether it confines containers with SELinux")
    if "selinux" not in options:
        return passed("SELinux is enforcing, and this engine does not confine containers with it")
    mounted = [mount.source for service in context.services for mount in service.mounts if mount.kind == "bind"]
    folders = [nearest(Path(folder)) for folder in mounted or (models_folder(), home())]
    return selinux_answer({str(folder): selinux_type(folder) for folder in folders})


def selinux_answer(types: dict[str, str | None]) -> Answer:
    evidence = "enforcing; " + ", ".join(f"{folder} is {label or 'without a label'}" for folder, label in types.items())
    closed = [folder for folder, label in types.items() if label not in CONTAINER_TYPES]
    if not closed:
        return passed(evidence)
    return bad(
        evidence,
        f"SELinux keeps containers from reading {', '.join(closed)} (its mounts carry no `:z`)",
        "give the folders the label that containers may read:",
        *(f'sudo semanage fcontext -a -t container_file_t "{folder}(/.*)?"' for folder in closed),
        f"sudo restorecon -R {' '.join(closed)}",
    )


def _security_options() -> str | None:
    command = ["docker", "info", "--format", "{{.SecurityOptions}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOCKER_ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def restart(context: Context) -> Answer:
    """A pending restart for anything but the NVIDIA driver changes nothing for us: it is told, no more."""
    versions, note = driver_versions(), restart_note()
    said = f"NVIDIA driver loaded {versions.loaded}, installed {', '.join(versions.installed) or 'not to be seen'}"
    evidence = (said if versions.loaded else "no NVIDIA kernel module is loaded") + (
        f"; a restart is pending ({', '.join(note.packages) or 'no package named'})" if note.pending else ""
    )
    unread = not (versions.loaded and versions.installed) and any("nvidia" in name for name in note.packages)
    if not (versions.differ or unread):
        return passed(evidence)
    verdict = warned if context.plan is not None and context.plan.device.kind == "cpu" else bad
    reason = "the NVIDIA driver was updated while its old kernel module is loaded: CUDA and NVML fail until a restart"
    if context.facts.host.container:
        return verdict(evidence, reason, "restart the host; or take the driver's libraries out of this image")
    return verdict(evidence, reason, "restart the machine:", "sudo reboot")


def _staging(context: Context) -> int:
    """A CPU plan's own need is `plan.fit`'s question, so that one cause gives one failure."""
    plan = context.plan
    if plan is None:
        return LOAD_STAGING_BYTES
    return (plan.weights.bytes if plan.device.kind == "gpu" else 0) + LOAD_STAGING_BYTES


def libraries(context: Context) -> Answer:
    plan = context.planned
    if plan.engine != "native":
        return not_applicable("programs run inside images, which bring their own")
    wanted = [NUMA] if (plan.backend, plan.backend_build) == ("vllm", "cpu") else []
    wanted += [CPP] if {"webui", "vectors"} & set(plan.roles) else []
    missing = {name: why for name in wanted if (why := _why_not_loaded(name))}
    if not missing:
        return passed(", ".join(f"{name} loads" for name in wanted) or "nothing is planned that needs any")
    return bad(
        "; ".join(missing.values()),
        f"planned programs do not start without {', '.join(missing)}",
        "install what is missing, or run the stack in containers (--engine compose):",
        *(f"sudo apt-get install {PACKAGES[name]}" for name in missing),
    )


def _why_not_loaded(name: str) -> str:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return str(error)
    return ""


def files(context: Context) -> Answer:
    if context.planned.engine != "native":
        return not_applicable("the engine sets the limits of its containers")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    evidence = f"{soft} open files at once, {hard} may be asked for"
    if soft >= OPEN_FILES:
        return passed(evidence)
    return bad(
        evidence,
        f"programs that are started from here may open {soft} files and sockets at once: under load that is too few",
        "raise the limit in this shell and start again (for good: /etc/security/limits.conf):",
        f"ulimit -n {OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)}",
        "orchestrator up",
    )


SYSTEM = Check(
    id="host.os",
    area="host",
    question="Is this a system that the stack runs on?",
    reads=("system, kernel and architecture (uname)", "WSL's mark in the kernel's name"),
    severity="fail",
    answer=system,
)
PROCESSOR = Check(
    id="host.cpu",
    area="host",
    question="Does the processor have the instructions that the planned server is built with?",
    reads=("/proc/cpuinfo: flags",),
    severity="fail",
    stage="plan",
    answer=processor,
)
C_LIBRARY = Check(
    id="host.libc",
    area="host",
    question="Is the C library one that the locked packages are built for?",
    reads=("confstr GNU_LIBC_VERSION",),
    needs=("host.os",),
    severity="fail",
    stage="plan",
    answer=c_library,
)
LIBRARIES = Check(
    id="host.libraries",
    area="host",
    question="Are the system libraries there that the planned programs load?",
    reads=("libnuma.so.1 and libstdc++.so.6, loaded",),
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
CLOCK = Check(
    id="host.clock",
    area="host",
    question="Is the clock right?",
    reads=("adjtimex: is the clock kept", "the Date of what answered on the network"),
    severity="warn",
    answer=clock,
)
SELINUX = Check(
    id="host.selinux",
    area="host",
    question="Does SELinux let containers read what is mounted into them?",
    reads=("/sys/fs/selinux/enforce", "docker info: security options", "the label of each mounted folder"),
    severity="warn",
    stage="plan",
    answer=selinux,
)
RESTART = Check(
    id="host.reboot",
    area="host",
    question="Is the installed NVIDIA driver the one that is loaded?",
    reads=(
        "/proc/driver/nvidia/version",
        "the version in the name of libnvidia-ml.so",
        "/run/reboot-required and its packages",
    ),
    severity="fail",
    answer=restart,
)
FILES = Check(
    id="host.files",
    area="host",
    question="May programs that are started from here open enough files and sockets?",
    reads=("getrlimit RLIMIT_NOFILE",),
    severity="warn",
    stage="plan",
    answer=files,
)
CHECKS = (SYSTEM, PROCESSOR, C_LIBRARY, LIBRARIES, FILES, RAM, CGROUP, CLOCK, SELINUX, RESTART)
