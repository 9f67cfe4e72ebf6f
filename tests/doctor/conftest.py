"""A healthy machine and a plan for it; each test breaks one thing."""

import os
import socket
import subprocess

import msgspec
import pytest

from orchestrator.doctor.context import Context
from orchestrator.facts.host import read_host
from orchestrator.facts.records import (
    DockerFacts,
    Facts,
    Gpu,
    GpuFacts,
    GpuProcess,
    HostFacts,
    ProgramFacts,
    Reach,
    SourceFacts,
)
from orchestrator.plan.spec import DEFAULT_PORTS, Spec
from orchestrator.state import StackFolder
from tests.doctor.ports import quiet_ports
from tests.plans import GIB, GPU_UUID, plan_of

CARD = Gpu(
    index=0,
    uuid=GPU_UUID,
    name="NVIDIA GeForce RTX 3060",
    total_bytes=12 * GIB,
    used_bytes=GIB // 2,
    free_bytes=12 * GIB - GIB // 2,
    compute_capability=(8, 6),
    processes=(GpuProcess(pid=4211, name="python3", used_bytes=GIB // 2),),
)


def facts_of(**changes):
    yes = Reach(reachable=True)
    facts = Facts(
        gpu=GpuFacts(gpus=(CARD,), driver="580.95", cuda="13.0"),
        host=HostFacts(
            system="Linux",
            architecture="x86_64",
            kernel="6.18",
            distribution="Debian GNU/Linux 12",
            cores=8,
            memory_total_bytes=32 * GIB,
            memory_available_bytes=24 * GIB,
            container=read_host().container,  # as it is: the folders of a test lie on this machine's own disks
        ),
        docker=DockerFacts(usable=True, server_version="28.5.2", api_version="1.51", compose_version="2.40.3"),
        sources=SourceFacts(hub=yes, ollama=yes, pypi=yes, registry=yes),
        programs=ProgramFacts(),
    )
    return msgspec.structs.replace(facts, **changes)


@pytest.fixture
def context(tmp_path, monkeypatch):
    """`context(plan=…, facts=…)`"""
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    ports = quiet_ports()

    def make(**changes):
        fields = {
            "spec": Spec(),
            "facts": facts_of(),
            "plan": plan_of(ports=ports),
            "folder": StackFolder("default"),
            **changes,
        }
        return Context(**{**fields, "plan": on_free_ports(fields["plan"])})

    return make


def on_free_ports(plan):
    """What else runs on this machine may hold the ports that a plan has by default."""
    if plan is None or plan.ports != DEFAULT_PORTS:
        return plan
    probes = {role: socket.socket() for role in plan.ports}
    for probe in probes.values():
        probe.bind(("127.0.0.1", 0))
    ports = {role: probe.getsockname()[1] for role, probe in probes.items()}
    for probe in probes.values():
        probe.close()
    return msgspec.structs.replace(plan, ports=ports)


@pytest.fixture
def mounted(tmp_path):
    """`mounted("-t", "tmpfs", "-o", "noexec", "none")` → a folder on a real mount of that kind."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    points = []

    def mount(*words):
        point = tmp_path / f"mount{len(points)}"
        point.mkdir()
        done = subprocess.run(["mount", *words, str(point)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this machine does not mount that: {done.stderr.strip()}")
        points.append(point)
        return point

    yield mount
    for point in points:
        subprocess.run(["umount", "-l", str(point)], check=True)
