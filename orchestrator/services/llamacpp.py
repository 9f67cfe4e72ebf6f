"""llama.cpp's `llama-server` on a GGUF file."""

from __future__ import annotations

from orchestrator.catalog.pins import Pins
from orchestrator.plan.records import Plan, Role
from orchestrator.services.address import published_host
from orchestrator.services.device import device_environment, device_note
from orchestrator.services.mounts import model_mounts
from orchestrator.services.place import Place
from orchestrator.services.service import Health, Program, SecretEnv, Service
from orchestrator.services.settings import flags_of, reasons_of, variables_of

ROLE: Role = "embeddings"
START_DEADLINE_S = 180
"""Measured: 0.5 s for 46 MB. Several GB from a slow disk take minutes (estimate)."""
STOP_GRACE_S = 15
"""Measured: 2 s."""


def llamacpp(plan: Plan, place: Place, pins: Pins) -> Service:
    return Service(
        role=ROLE,
        name="llamacpp",
        version=pins.packages["llama-cpp-python"].version,
        image=pins.images["llamacpp-cpu" if plan.backend_build == "cpu" else "llamacpp-cuda"].reference,
        program=Program(environment="llamacpp", executable="llama-server"),
        entrypoint=("/app/llama-server",),
        arguments=flags_of(
            plan.backend_args,
            {
                "--model": place.model_path,
                "--host": place.listen[ROLE],
                "--port": place.ports[ROLE],
                "--alias": plan.served_name,
                "--embedding": True,
                "--metrics": True,
            },
        ),
        environment=device_environment(plan, place) | variables_of(plan.backend_args),
        secrets=(SecretEnv(variable="LLAMA_API_KEY", secret="embeddings_api_key"),),  # noqa: S106 (a name)
        listen=place.listen[ROLE],
        port=place.ports[ROLE],
        published_port=place.published_ports.get(ROLE),
        published_host=published_host(place, ROLE),
        mounts=model_mounts(place),
        working_directory=None if place.container else place.data[ROLE],
        health=Health(path="/health", tool="curl"),
        start_deadline_s=START_DEADLINE_S,
        stop_grace_s=STOP_GRACE_S,
        gpu_uuid=plan.device.uuid,
        notes=_notes(plan),
    )


def _notes(plan: Plan) -> dict[str, str]:
    return {
        "image": "GGUF weights through llama-server",
        "-b": "llama-server makes it equal to the physical batch for embeddings",
        "--alias": "llama-server answers to any model name; this is the one it lists",
        "--metrics": "off unless asked for",
        "health": "503 while the model loads; the image's own check asks a fixed port",
        "stop_grace": "stops in 2 s (measured)",
        "model": f"{plan.model}, {plan.weights.dtype}, {plan.weights.bytes / 2**30:.2f} GiB",
        **device_note(plan),
        **reasons_of(plan),
    }
