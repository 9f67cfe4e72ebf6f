"""Which checks stand before `up`: only what this plan needs, so that nothing is asked of a machine in vain."""

from __future__ import annotations

from orchestrator.doctor.check import Check
from orchestrator.doctor.checks import container_gpu, disk, docker, gpu, gpu_health, host, network, plan, secrets
from orchestrator.plan.records import Plan

ALWAYS = (
    host.SYSTEM,
    host.RAM,
    host.CGROUP,
    disk.INODES,
    disk.MODELS_DISK,
    disk.CACHE_WRITE,
    secrets.SECRET_MODES,
    plan.FIT,
    plan.UTILISATION,
    plan.CHUNK_LENGTH,
)
WITH_NATIVE = (host.C_LIBRARY, host.LIBRARIES, host.FILES, disk.ENVIRONMENTS_DISK, disk.CACHE_EXEC)
WITH_VLLM_ON_THE_CPU = (host.PROCESSOR,)
WITH_COMPOSE = (docker.CLI, docker.CONTEXT, docker.ACCESS, docker.DAEMON, docker.COMPOSE_VERSION, docker.DOCKER_DISK)
WITH_A_CARD = (
    host.RESTART,
    gpu.NVML,
    gpu.VISIBLE,
    gpu.PRESENT,
    gpu.VRAM_FREE,
    gpu.COMPUTE_CAPABILITY,
    gpu.DTYPE,
    gpu.DRIVER_CUDA,
    gpu_health.MODE,
)
WITH_A_CARD_IN_A_CONTAINER = (container_gpu.INSTALLED, container_gpu.RUNTIME, container_gpu.CDI, container_gpu.SMOKE)


def guards_of(planned: Plan) -> tuple[Check, ...]:
    """What is fatal for the plan stops it before anything is changed. The same records run as `doctor`."""
    return (
        *ALWAYS,
        *(WITH_COMPOSE if planned.engine == "compose" else WITH_NATIVE),
        *(WITH_VLLM_ON_THE_CPU if _runs_vllm_on_the_cpu(planned) else ()),
        *(WITH_A_CARD if planned.device.kind == "gpu" else ()),
        *(WITH_A_CARD_IN_A_CONTAINER if (planned.engine, planned.device.kind) == ("compose", "gpu") else ()),
        *(network.port_check(role) for role in planned.roles),
    )


def _runs_vllm_on_the_cpu(planned: Plan) -> bool:
    return (planned.backend, planned.backend_build) == ("vllm", "cpu")
