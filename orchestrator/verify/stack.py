"""The services around the vectors: reachable from each other, set as planned, holding what they should."""

from __future__ import annotations

from orchestrator.clients.chroma import SERVER_VERSION, ChromaClient
from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.ollama import OllamaClient, refuse_partly_loaded
from orchestrator.clients.webui import WebUiClient
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Plan
from orchestrator.result import Finding
from orchestrator.verify.question import Question
from orchestrator.verify.traces import METADATA
from orchestrator.wiring.settings import Settings, differences
from orchestrator.wiring.stale import StaleCollection, stale_collections
from orchestrator.wiring.wire import read_settings, require_reachable

READY = Question(id="embed.ready", text="Is the embedding server ready: well, with the planned model, where planned?")
EFFECTIVE = Question(id="webui.effective", text="Is Open WebUI set as the plan wants it?")
PATH = Question(id="webui.path", text="Does Open WebUI itself reach the embedding server, with the planned model?")
HEALTH = Question(id="chroma.health", text="Does ChromaDB answer, in the version that Open WebUI's client speaks to?")
DIMENSION = Question(id="chroma.dim", text="Were all stored vectors made by the planned model?")

REINDEX = "embed the knowledge bases again with the planned model (their texts are kept), or go back to the old model"
PAIR = "run the pinned server: it and the client inside Open WebUI are one tested pair"
SHOWN = 5
_START = "start what the plan describes"


def probe_ready(plan: Plan, embeddings: EmbeddingsClient) -> Finding:
    """vLLM lists its model still when the engine behind it has died: only /health tells (facts 1.5)."""
    names = embeddings.models()
    evidence = f"lists {', '.join(names) or 'nothing'}"
    if not any(name in {plan.served_name, f"{plan.served_name}:latest"} for name in names):
        return READY.failed(evidence, f"{plan.served_name} is not among them", _START, "orchestrator up")
    if plan.backend == "ollama":
        return _loaded(plan, embeddings.base_url, evidence)
    if not embeddings.healthy():
        reason = "it lists the model, but says itself that it is not well"
        return READY.failed(
            f"{evidence}; /health refuses", reason, "see what it logged", "orchestrator logs embeddings"
        )
    return READY.passed(f"{evidence}; /health answers 200")


def _loaded(plan: Plan, base_url: str, evidence: str) -> Finding:
    """Ollama answers from the CPU, slowly and without a word, what did not fit on the card."""
    with OllamaClient(base_url) as ollama:
        loaded = ollama.loaded(plan.served_name)
    if loaded is None:
        return READY.passed(f"{evidence}; not loaded now, so the next request loads it")
    refuse_partly_loaded(loaded, plan)
    return READY.passed(f"{evidence}; {loaded.size_vram} of {loaded.size} bytes on the card")


def probe_effective(webui: WebUiClient, desired: Settings) -> Finding:
    wrong = differences(desired, read_settings(webui))
    if not wrong:
        return EFFECTIVE.passed(f"{len(Settings.__struct_fields__)} settings as planned")
    evidence = "; ".join(str(difference) for difference in wrong)
    return EFFECTIVE.failed(evidence, "changed since it was wired", "set it as planned again", "orchestrator wire")


def probe_path(webui: WebUiClient, desired: Settings) -> Finding:
    try:
        require_reachable(webui, desired)
    except OrchestratorError as error:
        return PATH.failed(error.evidence, error.message, error.remedy)
    return PATH.passed(f"{desired.embedding_url}/models lists {desired.embedding_model}, asked by Open WebUI")


def probe_chroma(chroma: ChromaClient) -> Finding:
    if not chroma.heartbeat():
        old = chroma.old_version()
        if old is None:
            return HEALTH.failed("no heartbeat", "something else answers at its address", _START, "orchestrator up")
        reason = f"it speaks API v1 (ChromaDB {old}) and Open WebUI's client v2"
        return HEALTH.failed(f"/api/v1/version: {old}", reason, PAIR, "orchestrator up")
    version = chroma.version()
    evidence = f"heartbeat, API v2, server {version}"
    if version != SERVER_VERSION:
        reason = f"the pinned ChromaDB calls itself {SERVER_VERSION}: another version answers"
        return HEALTH.failed(evidence, reason, PAIR, "orchestrator up")
    return HEALTH.passed(f"{evidence}, {len(chroma.collections())} collections")


def probe_dimension(plan: Plan, webui: WebUiClient | None, chroma: ChromaClient) -> Finding:
    """Open WebUI answers 200 and nothing (another dimension) or nonsense (another model): only Chroma knows.

    A file in no knowledge base (a chat upload) cannot be rebuilt by anything, so it only warns.
    """
    stale = stale_collections(chroma, plan.dimension, plan.served_name)
    bases = {base.id: base.name for base in webui.knowledge_bases()} if webui else {}
    empty = _without_vectors(webui, chroma, bases) if webui else []
    serious = [each for each in stale if each.name in bases or each.name == METADATA]
    if serious or empty:
        shown = [_named(each, bases) for each in serious] + [f"{name}: files, but no vectors" for name in empty]
        return DIMENSION.failed("; ".join(shown[:SHOWN]), f"{len(shown)} do not fit {plan.model}", REINDEX)
    if stale:
        shown = [str(each) for each in stale]
        reason = "files in no knowledge base keep their old vectors: upload them again"
        return DIMENSION.warned("; ".join(shown[:SHOWN]), reason, "upload those files again where they are needed")
    return DIMENSION.passed(f"all of {len(chroma.collections())} collections: {plan.dimension}, {plan.served_name}")


def _without_vectors(webui: WebUiClient, chroma: ChromaClient, bases: dict[str, str]) -> list[str]:
    """What a reindex against a dead embedding server leaves (facts 9)."""
    counted = {each.name: each for each in chroma.collections()}
    return [
        name
        for key, name in bases.items()
        if (key not in counted or chroma.count(counted[key].id) == 0) and webui.knowledge_files(key)
    ]


def _named(each: StaleCollection, bases: dict[str, str]) -> str:
    return f"knowledge base {bases[each.name]!r} ({each})" if each.name in bases else str(each)
