"""What is true of this machine, as frozen records. `plan` reads these; only the readers beside them look."""

from __future__ import annotations

from typing import Literal

import msgspec

from orchestrator.catalog.models import Model


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that could not be read is a value with a reason, never an exception."""

    code: str
    reason: str


class GpuProcess(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    name: str
    used_bytes: int | None = None


class PcieLink(msgspec.Struct, frozen=True, kw_only=True):
    generation: int | None = None
    width: int | None = None
    max_generation: int | None = None
    max_width: int | None = None


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One card, or one MIG slice (`parent_uuid` set): a slice is a card of its own."""

    index: int
    uuid: str
    name: str
    total_bytes: int | None
    """As NVML tells it; None where the driver does not (unified memory). CUDA sees less: `plan/memory.py` models it."""
    used_bytes: int | None
    free_bytes: int | None
    reserved_bytes: int | None = None
    """What the driver keeps for itself, where it tells (NVML memory v2); neither used nor free."""
    unified_memory: bool = False
    """The card works in the machine's own memory (Jetson, GH200, DGX Spark): the free RAM is its free memory."""
    compute_capability: tuple[int, int] | None = None
    architecture: str | None = None
    processes: tuple[GpuProcess, ...] = ()
    mig_enabled: bool = False
    parent_uuid: str | None = None
    compute_mode: str = "default"
    """default, exclusive_process, exclusive_thread or prohibited."""
    persistence: bool | None = None
    ecc_enabled: bool | None = None
    ecc_uncorrected: int | None = None
    temperature_c: int | None = None
    power_draw_w: float | None = None
    power_limit_w: float | None = None
    power_default_w: float | None = None
    throttle_reasons: tuple[str, ...] = ()
    cuda_cores: int | None = None
    sm_count: int | None = None
    max_sm_clock_mhz: int | None = None
    pcie: PcieLink = PcieLink()
    unreadable: dict[str, Unreadable] = {}
    """Field name → why it could not be read."""


class GpuFacts(msgspec.Struct, frozen=True, kw_only=True):
    gpus: tuple[Gpu, ...] = ()
    """Only those that CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES leave visible, in NVML's order."""
    driver: str | None = None
    cuda: str | None = None
    visible: str | None = None
    """The restriction that applied, for example `CUDA_VISIBLE_DEVICES=0`; None where there was none."""
    absent: tuple[str, ...] = ()
    """Entries of CUDA_VISIBLE_DEVICES that name no card; CUDA stops reading at the first."""
    error: Unreadable | None = None
    """Why there are no cards to read: no_library, no_driver, version_mismatch, timeout, ..."""


class DiskSpace(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    free_bytes: int
    total_bytes: int
    filesystem: str | None = None


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    system: str
    architecture: str
    kernel: str
    distribution: str
    cores: int
    """Logical cores that this process may use (affinity and cgroup quota count)."""
    physical_cores: int = 1
    """Physical cores among them: what compute threads are counted by."""
    memory_total_bytes: int
    memory_available_bytes: int
    node_total_bytes: int | None = None
    """Memory of the NUMA node that this process runs on, as the kernel tells it now. vLLM's CPU build takes its share
    of this number, not of the machine's total (facts/embedding-servers.md 1.8); on some virtual machines it grows and
    shrinks while the machine runs (measured here: 10.1 and 14.8 GiB where the total stayed 23.5)."""
    node_available_bytes: int | None = None
    cgroup_limit_bytes: int | None = None
    """The cgroup limit that binds (below the machine's memory); None where none does."""
    cgroup_used_bytes: int | None = None
    wsl: bool = False
    container: str | None = None
    disk: tuple[DiskSpace, ...] = ()


class DockerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`usable` means: an engine answers, Compose is new enough and both can be used by this user."""

    usable: bool
    error: Unreadable | None = None
    """no_cli, no_socket, no_permission, not_running, compose_missing, compose_too_old, timeout."""
    server_version: str | None = None
    api_version: str | None = None
    compose_version: str | None = None
    runtimes: tuple[str, ...] = ()
    cdi_devices: tuple[str, ...] = ()
    root_dir: str | None = None
    rootless: bool = False
    remote: bool = False
    gpu: bool = False
    """A way to hand a GPU to a container is configured: the nvidia runtime, CDI devices, or the toolkit's hook."""
    flavour: str = "docker"
    images: tuple[str, ...] = ()
    """References that are already there, without the `docker.io/` that Docker leaves out."""
    mirrors: tuple[str, ...] = ()
    """Registry mirrors that the engine is configured with: it may reach images that this machine cannot."""


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    reachable: bool
    reason: str = ""
    """What answered, or why not, in a few words."""
    latency_ms: float | None = None
    clock_ahead_s: float | None = None
    """How far this machine's clock is ahead of the answer's date, to the second; None where none was told."""


class SourceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Which places that models come from answer from here."""

    hub: Reach
    ollama: Reach
    pypi: Reach
    registry: Reach
    """The container registry that the pinned images come from."""


class ProgramFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Programs that the machine brings itself; None where it does not."""

    llama_server: str | None = None
    ollama: str | None = None
    python: str | None = None
    """A CPython of the version that the locks were made for."""
    cmake: str | None = None
    compiler: str | None = None


class CachedModel(msgspec.Struct, frozen=True, kw_only=True):
    """Weights that are already on this machine, whole."""

    key: str
    """`WeightsSource.key` of what it holds."""
    path: str
    bytes: int


class OwnModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that the catalogue does not have, read from its own configuration or header; no weights were fetched."""

    card: Model
    format: Literal["safetensors", "gguf"]
    kind: Literal["hub", "folder", "file"]
    reference: str
    """A path, or a repository on the hub."""
    filename: str | None = None
    dtype: str
    """The quantisation of a GGUF file; the type that the weights are stored in."""
    bytes: int
    """Of the weights as stored."""
    instructed: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    gpu: GpuFacts
    host: HostFacts
    docker: DockerFacts
    sources: SourceFacts
    programs: ProgramFacts
    cached: tuple[CachedModel, ...] = ()
    reclaimable_bytes: dict[str, int] = {}
    """GPU uuid (or `host`) → bytes that this stack's own running services hold and would give back."""
    simulated: bool = False
