"""`bench ingest` on the real stack: measures both ways, and leaves Open WebUI and ChromaDB as they were."""

from __future__ import annotations

import signal
from contextlib import closing

import pytest

from orchestrator.clients.chroma import ChromaClient
from orchestrator.clients.webui import WebUiClient
from orchestrator.operations.bench_ingest import IngestRequest, ingest
from orchestrator.operations.secrets import read_secrets
from orchestrator.operations.stack import existing_stack
from orchestrator.progress import Silent
from orchestrator.verify.traces import PREFIX
from tests.integration.conftest import Tool

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

STACK = "default"
CHUNKS = 60


def state(name: str = STACK) -> dict[str, object]:
    """All that a measurement could leave behind."""
    stack = existing_stack(name)
    key = read_secrets(stack.folder)["webui_api_key"]
    with (
        closing(WebUiClient(stack.url("webui"), token=key)) as webui,
        closing(ChromaClient(stack.url("vectors"))) as db,
    ):
        return {
            "settings": webui.embedding_settings(),
            "files": webui.files(f"{PREFIX}*"),
            "bases": webui.knowledge_bases(PREFIX),
            "collections": sorted(collection.name for collection in db.collections()),
        }


def test_measures_both_ways_and_leaves_nothing(native_up: str) -> None:
    before = state()
    result = ingest(IngestRequest(stack=STACK, chunks=CHUNKS, rounds=1), Silent())
    ours, theirs = result.data["trips"]
    assert [ours["way"]["batch"], theirs["way"]["batch"]] == [32, 1]
    for trip in (ours, theirs):
        assert trip["chunks"] == CHUNKS
        assert trip["longest_health_s"] > 0
        assert sum(trip["hops"].values()) == pytest.approx(trip["seconds"])
        assert trip["hops"]["embedding_s"] > 0
    assert result.data["gain"] == pytest.approx(ours["chunks_per_s"] / theirs["chunks_per_s"])
    assert state() == before


def test_ctrl_c_puts_everything_back(native_up: str, tool: Tool) -> None:
    before = state()
    process = tool.start("bench", "ingest", "--chunks", "200", "--rounds", "10")
    assert process.stderr is not None
    seen = ""
    while "(2 of 20)" not in seen:  # the second way is Open WebUI's defaults: the settings are changed now
        line = process.stderr.readline()
        assert line, f"it ended early: {seen}"
        seen += line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=150)
    assert process.returncode == 130
    assert state() == before
