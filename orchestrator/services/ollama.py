"""Ollama. It answers OpenAI's API like the others; the model it serves is derived from the pulled one.

Ollama cuts long inputs silently (ollama/ollama#14259) on its OpenAI endpoint, so the client creates a model named
`plan.served_name` whose `num_ctx` and `num_batch` hold the longest input whole, and refuses longer ones first.
"""

from __future__ import annotations

from orchestrator.catalog.pins import Pins
from orchestrator.plan.records import Plan, Role
from orchestrator.services.address import published_host
from orchestrator.services.device import device_environment, device_note
from orchestrator.services.mounts import data_mounts
from orchestrator.services.place import Place
from orchestrator.services.service import Health, Program, Service
from orchestrator.services.settings import flags_of, reasons_of, variables_of

ROLE: Role = "embeddings"
START_DEADLINE_S = 60
"""The server alone, before any model is pulled (estimate; GPU discovery may take 30 s: ollama/ollama#17069)."""
STOP_GRACE_S = 20
"""Its runner holds GPU memory until it has ended (estimate)."""


def ollama(plan: Plan, place: Place, pins: Pins) -> Service:
    return Service(
        role=ROLE,
        name="ollama",
        version=pins.images["ollama"].tag,
        image=pins.images["ollama"].reference,
        program=Program(environment=None, executable="ollama"),
        entrypoint=("/bin/ollama",),
        arguments=("serve", *flags_of(plan.backend_args)),
        environment=_environment(plan, place),
        listen=place.listen[ROLE],
        port=place.ports[ROLE],
        published_port=place.published_ports.get(ROLE),
        published_host=published_host(place, ROLE),
        mounts=data_mounts(place, ROLE),
        working_directory=None if place.container else place.data[ROLE],
        health=Health(path="/api/version", tool="ollama"),
        start_deadline_s=START_DEADLINE_S,
        stop_grace_s=STOP_GRACE_S,
        gpu_uuid=plan.device.uuid,
        notes=_notes(plan),
    )


def _environment(plan: Plan, place: Place) -> dict[str, str]:
    environment = {
        "OLLAMA_HOST": f"{place.listen['embeddings']}:{place.ports['embeddings']}",
        "OLLAMA_MODELS": f"{place.data['embeddings']}/models",
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_NUM_PARALLEL": str(plan.parallel),
        "OLLAMA_CONTEXT_LENGTH": str(plan.max_length),
        "DO_NOT_TRACK": "1",
    }
    return environment | device_environment(plan, place) | variables_of(plan.backend_args)


def _notes(plan: Plan) -> dict[str, str]:
    return {
        "image": "GGUF weights through Ollama; one image for CPU and NVIDIA GPUs",
        "OLLAMA_KEEP_ALIVE": "-1 = never unload: the default unloads after 5 minutes and the next request waits",
        "OLLAMA_MAX_LOADED_MODELS": "the plan's memory holds one model",
        "OLLAMA_NUM_PARALLEL": "each slot has its own context, which the plan's memory counts",
        "OLLAMA_CONTEXT_LENGTH": "the longest input; beyond it Ollama cuts silently (ollama/ollama#14259)",
        "OLLAMA_MODELS": "pulled models survive the container",
        "published_port": "Ollama has no authentication: never publish it beyond 127.0.0.1",
        "health": "the image has no curl (google/langextract#361); pulling the model is no part of health",
        "model": f"{plan.model}, {plan.weights.dtype}, {plan.weights.bytes / 2**30:.2f} GiB",
        **device_note(plan),
        **reasons_of(plan),
    }
