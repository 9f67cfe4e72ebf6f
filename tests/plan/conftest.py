"""A machine to change one thing of."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from orchestrator.catalog.gpus import cards
from orchestrator.facts.records import (
    DockerFacts,
    Facts,
    GpuFacts,
    HostFacts,
    ProgramFacts,
    Reach,
    SourceFacts,
    Unreadable,
)
from orchestrator.plan.simulate import simulated, with_all_sources

GIB = 2**30
NOWHERE = Reach(reachable=False, reason="the name cannot be resolved")


@pytest.fixture
def bare() -> Facts:
    """No GPU, no Docker, no hub; PyPI answers."""
    return Facts(
        gpu=GpuFacts(error=Unreadable(code="no_library", reason="no NVIDIA driver library")),
        host=HostFacts(
            system="Linux",
            architecture="x86_64",
            kernel="6",
            distribution="Debian",
            cores=4,
            physical_cores=4,
            memory_total_bytes=24 * GIB,
            memory_available_bytes=20 * GIB,
            node_total_bytes=24 * GIB,
            node_available_bytes=20 * GIB,
        ),
        docker=DockerFacts(usable=False, error=Unreadable(code="no_cli", reason="Docker is not installed")),
        sources=SourceFacts(hub=NOWHERE, ollama=NOWHERE, pypi=Reach(reachable=True), registry=NOWHERE),
        programs=ProgramFacts(python="/usr/bin/python3.11", cmake="/usr/bin/cmake", compiler="/usr/bin/c++"),
    )


@pytest.fixture
def with_cards(bare: Facts) -> Callable[[str], Facts]:
    """A described machine on which everything can be reached."""

    def make(text: str, **host: Any) -> Facts:
        facts = with_all_sources(simulated(text, bare, cards()))
        return msgspec.structs.replace(facts, host=msgspec.structs.replace(facts.host, **host)) if host else facts

    return make
