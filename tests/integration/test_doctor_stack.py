"""`doctor` on the real stack: well, and broken in one way at a time. Each test puts right what it broke."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from orchestrator.clients.chroma import DATABASE, ChromaClient
from orchestrator.clients.webui import WebUiClient
from orchestrator.doctor.catalogue import CHECKS
from orchestrator.doctor.checks import asked
from orchestrator.doctor.checks.round_trip import E2E_CLEAN, E2E_PREFIX, E2E_ROUND_TRIP
from orchestrator.doctor.context import Context
from orchestrator.doctor.runner import BLOCKED, run_checks
from orchestrator.engines.supervisord import Supervisord, socket_of
from orchestrator.operations.doctor_context import context_of
from orchestrator.verify import stack as probes
from orchestrator.verify.traces import METADATA
from tests.integration.conftest import Tool

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300), pytest.mark.usefixtures("native_up")]

OF_THE_STACK = {check.id for check in CHECKS if check.stage == "stack"} - {"ctk.live"}
"""Without what asks a container for its card: there is neither here."""
TRIP = {"e2e.roundtrip", "e2e.prefix", "e2e.clean"}
EMBEDDER = {name for name in OF_THE_STACK if name.startswith("embed.")}
STOP_S = 60.0


def told(tool: Tool, *arguments: str, exit_code: int = 0) -> dict[str, dict[str, Any]]:
    return {finding["id"]: finding for finding in tool.json("doctor", *arguments, exit_code=exit_code)["findings"]}


def ill(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    """All that is neither well nor without meaning here; a skip only where a check that failed is its cause."""
    broken = {name for name, finding in found.items() if finding["verdict"] in ("fail", "error")}
    waiting = {name for name, finding in found.items() if finding["evidence"].removeprefix(BLOCKED) in broken}
    warned = {name for name, finding in found.items() if finding["verdict"] == "warn"}
    return {name: found[name]["verdict"] for name in found if name in broken | waiting | warned}


def in_process(context: Context, *names: str) -> dict[str, str]:
    checks = [check for check in CHECKS if check.id in names]
    return {finding.id: finding.verdict for finding in run_checks(checks, context)}


@pytest.fixture
def context(home: Path) -> Context:
    return context_of("default", offline=True)


@pytest.fixture
def webui(context: Context) -> Iterator[WebUiClient]:
    client = WebUiClient(str(context.existing.addresses.webui), token=context.existing.keys().webui)
    with closing(client):
        yield client


def test_a_healthy_stack_has_nothing_to_say(tool: Tool) -> None:
    began = time.monotonic()
    found = told(tool)
    took_s = time.monotonic() - began
    assert ill(found) == {}, {name: found[name] for name in ill(found)}
    passed = {name for name, finding in found.items() if finding["verdict"] == "pass"}
    assert passed >= OF_THE_STACK - {"image.digest", "embed.matryoshka"}
    assert took_s < 20  # measured: 3 s on two quiet cores


def test_open_webui_reset_to_single_texts_is_told_and_fixed(tool: Tool, webui: WebUiClient, context: Context) -> None:
    model = context.planned.served_name
    webui.update_embedding_settings({"RAG_EMBEDDING_ENGINE": "openai", "RAG_EMBEDDING_MODEL": model})
    found = told(tool, exit_code=1)
    assert ill(found) == {"webui.effective": "fail", **dict.fromkeys(TRIP, "skip")}
    assert "embedding_batch_size: want 32, have 1" in found["webui.effective"]["evidence"]
    fixed = told(tool, "--fix")
    assert fixed["webui.effective"]["verdict"] == "fixed"
    assert {fixed[name]["verdict"] for name in TRIP} == {"pass"}


def test_a_missing_prefix_is_told_by_its_effect(context: Context) -> None:
    """The stack was started without one, and the plan now wants one."""
    plan = msgspec.structs.replace(context.planned, query_prefix="query: ", document_prefix="passage: ")
    broken = msgspec.structs.replace(context, plan=plan)
    assert in_process(broken, E2E_ROUND_TRIP.id, E2E_PREFIX.id, E2E_CLEAN.id) == {
        "e2e.roundtrip": "pass", "e2e.prefix": "fail", "e2e.clean": "pass",
    }  # fmt: skip


@contextmanager
def knowledge_base(webui: WebUiClient, chroma: ChromaClient, vector: list[float], model: str) -> Iterator[None]:
    """A user's, with one vector that another model made."""
    had_metadata = chroma.collection(METADATA) is not None
    base = webui.create_knowledge("From before", "Notes")
    made = httpx.post(f"{chroma.base_url}{DATABASE}/collections", json={"name": base.id}, timeout=30).json()
    body = {
        "ids": ["1"],
        "documents": ["an old text"],
        "embeddings": [vector],
        "metadatas": [{"embedding_config": str({"engine": "openai", "model": model})}],
    }
    url = f"{chroma.base_url}{DATABASE}/collections/{made['id']}/add"
    httpx.post(url, json=body, timeout=30).raise_for_status()
    try:
        yield
    finally:
        webui.remove_knowledge(base.id)
        chroma.remove_collection(base.id)
        if not had_metadata:
            chroma.remove_collection(METADATA)


@pytest.mark.parametrize(
    ("dimension", "model", "evidence"),
    [(8, "all-minilm-l6-v2", "dimension 8"), (384, "another-model", "model another-model")],
)
def test_vectors_of_another_model(
    tool: Tool, webui: WebUiClient, context: Context, dimension: int, model: str, evidence: str
) -> None:
    with closing(ChromaClient(str(context.existing.addresses.vectors))) as chroma:
        vector = [1.0] + [0.0] * (dimension - 1)
        with knowledge_base(webui, chroma, vector, model):
            found = told(tool, exit_code=1)
    assert ill(found) == {"chroma.dim": "fail", **dict.fromkeys(TRIP, "skip")}
    assert "From before" in found["chroma.dim"]["evidence"]
    assert evidence in found["chroma.dim"]["evidence"]


def test_a_chroma_that_is_not_the_pinned_one(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real server, and a pin that wants another."""
    assert in_process(context, "chroma.health") == {"chroma.health": "pass"}
    monkeypatch.setattr(probes, "SERVER_VERSION", "2.0.0")
    assert in_process(context, "chroma.health", "chroma.dim") == {"chroma.health": "fail", "chroma.dim": "skip"}


def test_chroma_that_keeps_its_data_elsewhere(context: Context) -> None:
    assert in_process(context, "chroma.persist") == {"chroma.persist": "pass"}
    moved = tuple(
        msgspec.structs.replace(service, arguments=("run", "--path", "/somewhere/else"))
        if service.role == "vectors"
        else service
        for service in context.services
    )
    elsewhere = msgspec.structs.replace(context, services=moved)
    assert in_process(elsewhere, "chroma.persist") == {"chroma.persist": "fail"}


def test_an_edited_file_is_told_and_rendered_again(tool: Tool, home: Path) -> None:
    script = home / "stacks/default/rendered/run/vectors.sh"
    text = script.read_text()
    script.write_text(text + "# a line of somebody's own\n")
    found = told(tool, "--only", "plan.drift")
    assert found["plan.drift"]["verdict"] == "warn"
    assert "somebody's own" in found["plan.drift"]["evidence"]
    assert told(tool, "--only", "plan.drift", "--fix")["plan.drift"]["verdict"] == "fixed"
    assert script.read_text() == text


def test_an_embedding_server_that_hangs(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "ANSWER_S", 2.0)
    pid = next(each.pid for each in context.existing.observe() if each.role == "embeddings")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        found = in_process(context, *OF_THE_STACK)
    finally:
        os.kill(pid, signal.SIGCONT)
    skipped = {*EMBEDDER - {"embed.ready"}, "webui.path", *TRIP}
    wanted = {**dict.fromkeys(OF_THE_STACK, "pass"), "image.digest": "skip"}
    assert found == {**wanted, "embed.ready": "fail", **dict.fromkeys(skipped, "skip")}


def test_a_stopped_embedding_server_is_one_failure(tool: Tool, home: Path) -> None:
    Supervisord(socket_of(home / "stacks/default")).stop(["embeddings"], STOP_S)
    try:
        found = told(tool, exit_code=1)
    finally:
        tool.json("up")
    assert ill(found) == {**dict.fromkeys(OF_THE_STACK, "skip"), "stack.state": "fail"}
    assert {found[name]["evidence"] for name in OF_THE_STACK - {"stack.state"}} == {"blocked by stack.state"}
    assert "last lines of embeddings" in found["stack.state"]["evidence"]
