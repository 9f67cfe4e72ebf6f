"""Vectors of another model: what Open WebUI does not notice after a change (facts 9), and the repair.

Another dimension: queries answer 200 and nothing. The same dimension: garbage ranking without any error.
"""

from __future__ import annotations

import ast

import msgspec

from orchestrator.clients.chroma import ChromaClient, Collection
from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.webui import WebUiClient
from orchestrator.errors import OrchestratorError
from orchestrator.progress import Progress
from orchestrator.wiring.wire import require_embedder


class StaleCollection(msgspec.Struct, frozen=True, kw_only=True):
    """A collection whose vectors the configured model did not make."""

    name: str
    dimension: int | None
    model: str | None
    """As recorded with its vectors; None where nothing is recorded."""
    count: int

    def __str__(self) -> str:
        return f"{self.name}: {self.count} vectors, dimension {self.dimension}, model {self.model or 'not recorded'}"


def stale_collections(chroma: ChromaClient, dimension: int, model: str) -> tuple[StaleCollection, ...]:
    """`dimension` and `model`: of the configured embedding server."""
    found = (_examined(chroma, collection, model) for collection in chroma.collections())
    return tuple(
        each for each in found if each.count and (each.dimension != dimension or each.model not in {model, None})
    )


def reindex(
    webui: WebUiClient,
    embeddings: EmbeddingsClient,
    chroma: ChromaClient,
    progress: Progress,
    *,
    timeout_s: float,
) -> tuple[StaleCollection, ...]:
    """Embed every knowledge base again with the configured model; returns what is stale still (chat uploads are:
    nothing rebuilds a file that is in no knowledge base).

    The embedding server is asked first, because Open WebUI deletes first and answers true even if every embedding
    fails. An interrupted run loses no text (it stands in SQL): the next run restores everything.
    """
    require_embedder(embeddings)
    dimension = len(embeddings.embed(["a first word"]).vectors[0])
    bases = webui.knowledge_bases()
    progress.step(f"embedding {len(bases)} knowledge bases again")
    webui.reindex_knowledge(timeout_s)
    total, succeeded = webui.reindex_metadata(timeout_s)
    empty = [base.name for base in bases if webui.knowledge_files(base.id) and not _count(chroma, base.id)]
    if empty or succeeded < total:
        raise OrchestratorError(
            "reindex_incomplete",
            f"after the reindex {len(empty)} knowledge bases have no vectors: {', '.join(empty) or '(names only)'}",
            remedy="orchestrator logs webui; then run the reindex again: the texts are still there",
            evidence=f"without vectors: {empty}; names embedded: {succeeded} of {total}",
        )
    return stale_collections(chroma, dimension, embeddings.model)


def recorded_model(metadata: dict[str, object]) -> str | None:
    """Open WebUI stores `embedding_config` as the text of a Python dict (facts 7.6)."""
    text = metadata.get("embedding_config")
    if not isinstance(text, str):
        return None
    try:
        config = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    model = config.get("model") if isinstance(config, dict) else None
    return model if isinstance(model, str) else None


def _examined(chroma: ChromaClient, collection: Collection, model: str) -> StaleCollection:
    """One vector of another model is enough: a collection that was filled before and after a change is mixed."""
    items = chroma.items(collection.id, limit=1)
    if items and recorded_model(items[0].metadata) == model:
        other = {"embedding_config": {"$ne": items[0].metadata["embedding_config"]}}
        items = chroma.items(collection.id, limit=1, where=other) or items
    return StaleCollection(
        name=collection.name,
        dimension=collection.dimension,
        model=recorded_model(items[0].metadata) if items else None,
        count=chroma.count(collection.id),
    )


def _count(chroma: ChromaClient, name: str) -> int:
    collection = chroma.collection(name)
    return chroma.count(collection.id) if collection else 0
