"""ChromaDB as a server. No authentication exists in 1.x: it stays on the stack's network and on 127.0.0.1."""

from __future__ import annotations

from orchestrator.catalog.pins import Pins
from orchestrator.plan.records import Plan, Role
from orchestrator.services.address import published_host
from orchestrator.services.mounts import data_mounts
from orchestrator.services.place import Place
from orchestrator.services.service import Health, Program, Service

ROLE: Role = "vectors"
START_DEADLINE_S = 120
"""Measured: 1.3 s quiet, 6.7-10 s on busy cores; the rest for opening a large store (estimate)."""
STOP_GRACE_S = 15
"""Measured: 1.4 s. The rest is for a write-ahead log being flushed to a slow disk (estimate)."""


def chroma(plan: Plan, place: Place, pins: Pins) -> Service:
    return Service(
        role=ROLE,
        name="chroma",
        version=pins.packages["chromadb"].version,
        image=pins.images["chroma"].reference,
        program=Program(environment="open-webui", executable="chroma"),
        entrypoint=("chroma",),
        arguments=(
            "run",
            *("--path", place.data[ROLE]),
            *("--host", place.listen[ROLE]),
            *("--port", str(place.ports[ROLE])),
        ),
        environment={},
        listen=place.listen[ROLE],
        port=place.ports[ROLE],
        published_port=place.published_ports.get(ROLE),
        published_host=published_host(place, ROLE),
        mounts=data_mounts(place, ROLE),
        working_directory=None if place.container else place.data[ROLE],
        health=Health(path="/api/v2/heartbeat", tool="bash"),
        start_deadline_s=START_DEADLINE_S,
        stop_grace_s=STOP_GRACE_S,
        notes={
            "image": f"Open WebUI {pins.packages['open-webui'].version} requires exactly this client: one pin for both",
            "published_port": "Chroma 1.x has no authentication: never publish it beyond 127.0.0.1",
            "data": "the vectors live here; 1.x moved the path from /chroma/chroma (chroma-core/chroma#6132)",
            "health": "the image has neither curl nor python: bash asks (chroma-core/chroma#5910)",
            "stop_grace": "stops in 1.4 s (measured); the rest is for a slow disk",
        },
    )
