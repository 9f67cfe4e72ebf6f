"""What a round trip leaves in Open WebUI and Chroma, and its removal: after success, failure, Ctrl-C or a killed run.

Everything of ours carries a name that is recognised, so that the next run finds what a killed one left. Two
verifications of one stack at once would take each other's traces for leftovers: the stack's lock prevents that.
"""

from __future__ import annotations

import re
import uuid

from orchestrator.clients.chroma import ChromaClient
from orchestrator.clients.webui import File, KnowledgeBase, WebUiClient
from orchestrator.errors import OrchestratorError

PREFIX = "orchestrator-verify-"
OURS = re.compile(rf"{PREFIX}[0-9a-f]{{12}}(\.txt)?")
METADATA = "knowledge-bases"
"""Open WebUI's collection of one vector per knowledge base."""
SETTLE_S = 20.0
"""A file that is still being processed would write its vectors after its removal."""


def new_label() -> str:
    return f"{PREFIX}{uuid.uuid4().hex[:12]}"


def remove_traces(webui: WebUiClient, chroma: ChromaClient, *, metadata_was_there: bool) -> tuple[str, ...]:
    """Remove all that is ours; returns what was removed, for people. Safe to repeat.

    `DELETE /files/{id}` leaves the collection `file-<id>` (facts 10), so it goes by the knowledge base where it can,
    and what still stands in Chroma is removed there.
    """
    removed: list[str] = []
    bases = [base for base in webui.knowledge_bases(PREFIX) if OURS.fullmatch(base.name)]
    files = [file for file in webui.files(f"{PREFIX}*") if OURS.fullmatch(file.name)]
    for file in files:
        _settle(webui, file)
    for base in bases:
        for file in webui.knowledge_files(base.id):
            webui.remove_from_knowledge(base.id, file.id)
        webui.remove_knowledge(base.id)
        removed.append(f"knowledge base {base.name}")
    for file in files:
        chroma.remove_collection(f"file-{file.id}")
        webui.remove_file(file.id)
        removed.append(f"file {file.name}")
    for base in bases:
        chroma.remove_collection(base.id)
    if not metadata_was_there and bases:
        _remove_empty(chroma, METADATA)
    return tuple(removed)


def remaining_traces(
    webui: WebUiClient, chroma: ChromaClient, base: KnowledgeBase | None, file: File | None
) -> tuple[str, ...]:
    """What is still there of one run, wherever it could be."""
    names = {collection.name: collection for collection in chroma.collections()}
    left = [f"knowledge base {each.name}" for each in webui.knowledge_bases(PREFIX) if OURS.fullmatch(each.name)]
    left += [f"file {each.name}" for each in webui.files(f"{PREFIX}*") if OURS.fullmatch(each.name)]
    expected = [f"file-{file.id}"] if file else []
    expected += [base.id] if base else []
    left += [f"collection {name}" for name in expected if name in names]
    if base and METADATA in names and chroma.items(names[METADATA].id, limit=1, ids=(base.id,)):
        left.append(f"the vector of {base.name} in {METADATA}")
    return tuple(left)


def _settle(webui: WebUiClient, file: File) -> None:
    try:
        webui.wait_processed(file.id, SETTLE_S)
    except OrchestratorError as error:
        if error.code not in {"ingest_failed", "ingest_timeout"}:
            raise


def _remove_empty(chroma: ChromaClient, name: str) -> None:
    """Our knowledge base was the first one: its collection would fix the dimension of names for ever."""
    collection = chroma.collection(name)
    if collection is not None and chroma.count(collection.id) == 0:
        chroma.remove_collection(name)
