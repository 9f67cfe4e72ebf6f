"""The services around the vectors: reachable from each other, set as planned, holding what they should."""

from __future__ import annotations

from orchestrator.clients.chroma import ChromaClient
from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.webui import WebUiClient
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Plan
from orchestrator.result import Finding
from orchestrator.verify.question import Question
from orchestrator.verify.traces import METADATA
from orchestrator.wiring.settings import Settings, differences
from orchestrator.wiring.stale import StaleCollection, stale_collections
from orchestrator.wiring.wire import read_settings, require_reachable

READY = Question(id="embed.ready", text="Does the embedding server list the planned model?")
EFFECTIVE = Question(id="webui.effective", text="Is Open WebUI set as the plan wants it?")
PATH = Question(id="webui.path", text="Does Open WebUI itself reach the embedding server, with the planned model?")
HEALTH = Question(id="chroma.health", text="Does ChromaDB answer?")
DIMENSION = Question(id="chroma.dim", text="Were all stored vectors made by the planned model?")

REINDEX = "embed the knowledge bases again with the planned model (their texts are kept), or go back to the old model"
SHOWN = 5


def probe_ready(plan: Plan, embeddings: EmbeddingsClient) -> Finding:
    names = embeddings.models()
    if any(name in {plan.served_name, f"{plan.served_name}:latest"} for name in names):
        return READY.passed(f"lists {', '.join(names)}")
    return READY.failed(
        f"lists {', '.join(names) or 'nothing'}", f"{plan.served_name} is not among them", "", "orchestrator up"
    )


def probe_effective(webui: WebUiClient, desired: Settings) -> Finding:
    wrong = differences(desired, read_settings(webui))
    if not wrong:
        return EFFECTIVE.passed(f"{len(Settings.__struct_fields__)} settings as planned")
    evidence = "; ".join(str(difference) for difference in wrong)
    return EFFECTIVE.failed(evidence, "changed since it was wired", "", "orchestrator wire")


def probe_path(webui: WebUiClient, desired: Settings) -> Finding:
    try:
        require_reachable(webui, desired)
    except OrchestratorError as error:
        return PATH.failed(error.evidence, error.message, error.remedy)
    return PATH.passed(f"{desired.embedding_url}/models lists {desired.embedding_model}, asked by Open WebUI")


def probe_chroma(chroma: ChromaClient) -> Finding:
    if not chroma.heartbeat():
        return HEALTH.failed("no heartbeat", "something else answers at its address", "", "orchestrator up")
    return HEALTH.passed(f"heartbeat, {len(chroma.collections())} collections")


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
        return DIMENSION.warned("; ".join(shown[:SHOWN]), reason)
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
