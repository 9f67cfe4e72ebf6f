"""Open WebUI, wired to the stack's embedding server and Chroma.

Most of its settings are copied to its database at the first start and the environment no longer reaches them
(facts/open-webui-and-chroma.md 5): `wiring/` keeps those true afterwards. Prefixes and time-outs are environment only.
"""

from __future__ import annotations

from orchestrator.catalog.pins import Pins
from orchestrator.plan.records import Plan, Role
from orchestrator.services.address import EVERY_HOST, LOOPBACK, published_host
from orchestrator.services.mounts import data_mounts
from orchestrator.services.place import Place
from orchestrator.services.service import Health, Program, SecretEnv, Service

ROLE: Role = "webui"
START_DEADLINE_S = 300
"""Measured: 20-54 s, most of it imports, and about 120 s where seventeen processes wanted two cores."""
STOP_GRACE_S = 120
"""SIGTERM waits for a running ingest without a limit (facts 3) and SIGKILL leaves its file `processing` for ever (13).
Idle it stops in 1.6 s: a long grace costs nothing then. 2,000 chunks took 41-61 s on one CPU thread (facts 12), so two
minutes let such a file end; a longer one has to be processed again."""

# Variable → the secret's name in the stack's credentials.
SECRETS = {
    "WEBUI_ADMIN_EMAIL": "webui_admin_email",
    "WEBUI_ADMIN_PASSWORD": "webui_admin_password",
    "WEBUI_SECRET_KEY": "webui_secret_key",
    "RAG_OPENAI_API_KEY": "embeddings_api_key",
}


def open_webui(plan: Plan, place: Place, pins: Pins) -> Service:
    return Service(
        role=ROLE,
        name="open-webui",
        version=pins.packages["open-webui"].version,
        image=pins.images["open-webui"].reference,
        program=Program(environment="open-webui", executable="open-webui"),
        entrypoint=("bash", "start.sh"),
        arguments=() if place.container else ("serve", "--host", place.listen[ROLE], "--port", str(place.ports[ROLE])),
        environment=_environment(plan, place),
        secrets=tuple(SecretEnv(variable=variable, secret=secret) for variable, secret in SECRETS.items()),
        listen=place.listen[ROLE],
        port=place.ports[ROLE],
        published_port=place.published_ports.get(ROLE),
        published_host=published_host(place, ROLE),
        mounts=data_mounts(place, ROLE),
        working_directory=None if place.container else place.data[ROLE],
        health=Health(path="/health", tool="python3", interval_s=15),
        depends_on=("vectors",),
        start_deadline_s=START_DEADLINE_S,
        stop_grace_s=STOP_GRACE_S,
        notes=_notes(plan),
    )


def _environment(plan: Plan, place: Place) -> dict[str, str]:
    return {
        **_process(place),
        **_vectors(place),
        **_embeddings(plan, place),
        **_retrieval(plan),
        **_users(place),
        **_quiet(),
    }


def _process(place: Place) -> dict[str, str]:
    data = place.data["webui"]
    here = ",".join(dict.fromkeys((LOOPBACK, "localhost", *place.hosts.values())))
    return {
        "HOST": place.listen["webui"],
        "PORT": str(place.ports["webui"]),
        "DATA_DIR": data,
        "STATIC_DIR": f"{data}/static",
        "NO_PROXY": here,
        "no_proxy": here,
    }


def _vectors(place: Place) -> dict[str, str]:
    return {
        "VECTOR_DB": "chroma",
        "CHROMA_HTTP_HOST": place.hosts["vectors"],
        "CHROMA_HTTP_PORT": str(place.ports["vectors"]),
        "CHROMA_HTTP_SSL": "false",
    }


def _embeddings(plan: Plan, place: Place) -> dict[str, str]:
    settings = {
        "RAG_EMBEDDING_ENGINE": "openai",
        "RAG_EMBEDDING_MODEL": plan.served_name,
        "RAG_OPENAI_API_BASE_URL": f"{place.url_of('embeddings')}/v1",
        "RAG_EMBEDDING_BATCH_SIZE": str(plan.retrieval.embedding_batch_size),
        "ENABLE_ASYNC_EMBEDDING": "true",
        "RAG_EMBEDDING_CONCURRENT_REQUESTS": str(plan.retrieval.concurrent_requests),
        "RAG_EMBEDDING_TIMEOUT": str(plan.retrieval.ingest_timeout_s),
        "AIOHTTP_CLIENT_TIMEOUT": str(plan.retrieval.request_timeout_s),
        "RAG_EMBEDDING_MODEL_AUTO_UPDATE": "false",
        "RAG_EMBEDDING_MODEL_TRUST_REMOTE_CODE": "false",
    }
    prefixes = {
        "RAG_EMBEDDING_QUERY_PREFIX": plan.query_prefix,
        "RAG_EMBEDDING_CONTENT_PREFIX": plan.document_prefix,
    }
    return settings | {name: prefix for name, prefix in prefixes.items() if prefix}


def _retrieval(plan: Plan) -> dict[str, str]:
    return {
        "CHUNK_SIZE": str(plan.retrieval.chunk_size),
        "CHUNK_OVERLAP": str(plan.retrieval.chunk_overlap),
        "RAG_TOP_K": str(plan.retrieval.top_k),
    }


def _users(place: Place) -> dict[str, str]:
    return {
        "WEBUI_AUTH": "true",
        "WEBUI_ADMIN_NAME": "Admin",
        "ENABLE_SIGNUP": "false",
        "ENABLE_API_KEYS": "true",
        "CORS_ALLOW_ORIGIN": _origins(place),
        # No chat backend is part of this stack; left on, each start probes Ollama's ports and asks api.openai.com.
        "ENABLE_OLLAMA_API": "false",
        "ENABLE_OPENAI_API": "false",
    }


def _origins(place: Place) -> str:
    """The addresses that a browser may use: also what websockets check, so a missing one breaks the chat."""
    port = place.published_ports.get("webui", place.ports["webui"])
    if place.published_host in EVERY_HOST:
        return "*"
    hosts = dict.fromkeys((place.published_host, LOOPBACK, "localhost"))
    return ";".join(f"http://{host}:{port}" for host in hosts)


def _quiet() -> dict[str, str]:
    return {
        "OFFLINE_MODE": "true",
        "HF_HUB_OFFLINE": "1",
        "ENABLE_VERSION_UPDATE_CHECK": "false",
        "ANONYMIZED_TELEMETRY": "false",
        "DO_NOT_TRACK": "true",
        "SCARF_NO_ANALYTICS": "true",
    }


def _notes(plan: Plan) -> dict[str, str]:
    retrieval = plan.retrieval
    return {
        "image": "not the -slim tag: that one takes PostgreSQL only, never Chroma",
        "RAG_EMBEDDING_ENGINE": "OpenAI's API, for every backend: Open WebUI's Ollama engine sends truncate:true",
        "RAG_OPENAI_API_BASE_URL": "no slash at the end: it would ask for //embeddings and get 404",
        "RAG_EMBEDDING_BATCH_SIZE": "texts per request; the default 1 ingests 2.4-2.8 times slower (measured)",
        "RAG_EMBEDDING_CONCURRENT_REQUESTS": "the default 0 opens one socket per batch until files run out",
        "RAG_EMBEDDING_TIMEOUT": f"for a whole file, not one request: {retrieval.ingest_timeout_s} s",
        "AIOHTTP_CLIENT_TIMEOUT": "for one request; there is none by default, and a dead embedder hangs for ever",
        "RAG_EMBEDDING_QUERY_PREFIX": "environment only; worth 1-5 % by the model's authors; no reindex needed",
        "CHUNK_SIZE": f"characters, overlap {retrieval.chunk_overlap}; the model reads {plan.max_length} tokens",
        "ENABLE_SIGNUP": "closed; the first admin comes from the secrets",
        "ENABLE_API_KEYS": "off by default; scripts and `orchestrator` itself use one",
        "CORS_ALLOW_ORIGIN": "`*` because it listens on every address; set it to the host name that people use"
        if plan.listen in EVERY_HOST
        else "the addresses that a browser uses; the default is everyone's",
        "STATIC_DIR": "deleted and written again at each start: one folder per instance",
        "NO_PROXY": "it honours proxy variables, also for its own neighbours",
        "ENABLE_OLLAMA_API": "no chat model is part of this stack; connect one in the admin settings",
        "OFFLINE_MODE": "nothing is fetched from a hub: embeddings come from the stack's own server",
        "VECTOR_DB": "Chroma over HTTP: the client inside the process is unsafe with several workers",
        "health": "the port refuses for 20-54 s (measured), most of it imports",
        "stop_grace": "SIGTERM waits for a running ingest; killed, its file stays `processing` for ever",
        "depends_on": "started before Chroma answers, it dies after its imports",
        "data": "accounts, settings, uploads and webui.db; keys are in there in plain text",
    }
