"""The adapter against recorded exchanges; the last tests also against a real binary (ORCHESTRATOR_TEST_OLLAMA)."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from orchestrator.clients.ollama import (
    OllamaClient,
    full_name,
    name_of_file,
    parameters_of,
    prepare_model,
    refuse_old,
    shown,
)
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Weights, WeightsSource
from orchestrator.progress import Silent
from orchestrator.waiting import wait_until
from tests.plans import plan_of
from tests.standins.ollama import Replay, replaying

PLAN = plan_of("ollama", max_length=256, batched_tokens=512)


class Told(Silent):
    def __init__(self) -> None:
        self.advances = []

    def advance(self, what, done, total, unit="items"):
        self.advances.append((what, done, total, unit))


@contextmanager
def played(name, **filled):
    with replaying(Replay(name, **filled)) as replay, OllamaClient(replay.url) as client:
        yield client, replay


def prepare(name, plan=PLAN, progress=None):
    with played(name) as (client, replay):
        prepare_model(client, plan, None, progress or Silent())
        return replay.paths()


def failure_of(name, plan=PLAN):
    with pytest.raises(OrchestratorError) as caught:
        prepare(name, plan)
    assert caught.value.remedy
    return caught.value


def test_pulls_with_bytes_and_derives_a_model_that_cannot_cut():
    told = Told()
    paths = prepare("pull_and_derive", progress=told)
    assert paths.count("POST /api/pull") == paths.count("POST /api/create") == 1
    assert told.advances[0] == ("pull all-minilm-l6-v2:q8_0", 0, 639150592, "bytes")
    assert told.advances[-1] == ("pull all-minilm-l6-v2:q8_0", 639151000, 639151000, "bytes")


def test_run_again_it_changes_nothing_and_asks_no_registry():
    assert set(prepare("already_there")) == {"GET /api/version", "POST /api/show"}


def test_another_context_or_other_weights_are_made_anew():
    assert "POST /api/create" in prepare("other_context")
    assert "POST /api/create" in prepare("tag_was_moved")


@pytest.mark.parametrize(
    ("recording", "code", "says"),
    [
        ("pull_no_such_tag", "ollama_no_such_model", "file does not exist"),
        ("pull_no_network", "ollama_registry_unreachable", "no such host"),
        ("pull_disk_full", "disk_full", "no space left"),
        ("pull_bad_name", "ollama_failed", "invalid model name"),
        ("pull_breaks_off", "ollama_failed", "broke off"),
        ("not_as_asked", "ollama_not_as_asked", "num_batch"),
        ("too_old", "ollama_too_old", "0.12.6"),
    ],
)
def test_refusals(recording, code, says):
    error = failure_of(recording)
    assert error.code == code
    assert says in error.message


def test_a_moved_tag_is_refused_where_the_plan_pins_the_blob():
    source = WeightsSource(kind="ollama", reference="all-minilm-l6-v2:q8_0", sha256="0" * 64)
    plan = msgspec.structs.replace(PLAN, weights=msgspec.structs.replace(PLAN.weights, source=source))
    assert failure_of("already_there", plan).code == "wrong_weights"


def test_an_unrecorded_request_is_an_error():
    with played("too_old") as (client, _), pytest.raises(OrchestratorError, match="not recorded"):
        client.tags()


def test_the_batch_is_never_below_the_context():
    assert parameters_of(plan_of("ollama", max_length=2048, batched_tokens=512)) == {"num_ctx": 2048, "num_batch": 2048}
    assert parameters_of(plan_of("ollama", max_length=512, batched_tokens=4096)) == {"num_ctx": 512, "num_batch": 4096}


GPU_PLAN = plan_of("ollama", gpu=True, served_name="all-minilm-l6-v2", max_length=256)


def test_ready_loads_it_and_wants_it_whole_on_the_gpu():
    with played("ready_on_gpu") as (client, replay):
        assert client.ready(GPU_PLAN) is None
        assert replay.paths() == ["GET /api/ps", "POST /api/embed", "GET /api/ps"]
        assert client.ready(GPU_PLAN) is None
        assert replay.paths().count("POST /api/embed") == 1


def test_partly_on_the_cpu_is_not_ready_and_waiting_ends():
    with played("partly_on_cpu") as (client, _), pytest.raises(OrchestratorError) as caught:
        wait_until(lambda: client.ready(GPU_PLAN), 60)
    assert caught.value.code == "partly_on_cpu"
    assert "0.28 of 0.70 GB" in caught.value.message


def test_all_on_the_cpu_is_right_for_a_cpu_plan_only():
    with played("ready_on_cpu") as (client, _):
        assert client.ready(PLAN) is None
        with pytest.raises(OrchestratorError, match=r"0\.70 of 0\.70 GB"):
            client.ready(GPU_PLAN)


def test_a_smaller_context_than_planned_is_said():
    with played("context_reduced") as (client, _), pytest.raises(OrchestratorError) as caught:
        client.ready(GPU_PLAN)
    assert caught.value.code == "context_reduced"


def test_a_model_that_does_not_load_gives_its_reason():
    with played("load_fails") as (client, _), pytest.raises(OrchestratorError, match="out of memory"):
        client.ready(GPU_PLAN)


def test_a_model_that_is_not_listed_is_a_reason_to_wait():
    with played("never_listed") as (client, _):
        assert "does not list" in client.ready(GPU_PLAN)


def test_as_many_vectors_as_texts():
    with played("too_few_vectors") as (client, _), pytest.raises(OrchestratorError) as caught:
        client.embed("m", ["a", "b"])
    assert caught.value.code == "bad_answer"


@pytest.mark.parametrize("version", ["0.13.3", "0.33.0-rc2", "1.0.0", "0.0.0"])
def test_new_enough(version):
    refuse_old(version)


def test_show_is_read_as_go_prints_it():
    rows = (("num_ctx", "8192"), ("num_batch", "1e+06"), ("stop", '"<|x|>"'))
    text = "\n".join(f"{name:<30} {value}" for name, value in rows)
    seen = shown({"parameters": text, "modelfile": "FROM /m/blobs/sha256-" + "ab" * 32})
    assert seen.parameters["num_batch"] == "1e+06"
    assert seen.blob == "ab" * 32


@pytest.mark.parametrize(
    ("short", "full"),
    [("m", "m:latest"), ("m:4b", "m:4b"), ("registry.ollama.ai/library/m", "m:latest"), ("owner/m", "owner/m:latest")],
)
def test_names_as_ps_writes_them(short, full):
    assert full_name(short) == full


# One model's whole life, recorded and, where there is one, on a real Ollama


@contextmanager
def real_ollama(binary: str, folder: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = {**os.environ, "OLLAMA_HOST": address, "OLLAMA_MODELS": str(folder / "models"), "HOME": str(folder)}
    with (folder / "ollama.log").open("wb") as log:
        process = subprocess.Popen([binary, "serve"], env=environment, stdout=log, stderr=log)
    try:
        with OllamaClient(f"http://{address}") as client:
            wait_until(lambda: _refusal(client), 60)
            yield client
    finally:
        process.terminate()
        process.wait(30)


def _refusal(client: OllamaClient) -> str | None:
    try:
        client.version()
    except OrchestratorError as error:
        return error.message
    return None


@pytest.fixture(params=["recorded", pytest.param("real", marks=pytest.mark.integration)])
def life(request, tmp_path):
    """(client, plan, gguf, dimension)"""
    if request.param == "real":
        binary, gguf = os.environ.get("ORCHESTRATOR_TEST_OLLAMA"), os.environ.get("ORCHESTRATOR_TEST_GGUF")
        if not (binary and gguf):
            pytest.skip("ORCHESTRATOR_TEST_OLLAMA and ORCHESTRATOR_TEST_GGUF name no real Ollama and model")
        with real_ollama(binary, tmp_path) as client:
            yield client, Path(gguf), None
        return
    gguf = tmp_path / "tiny.gguf"
    gguf.write_bytes(b"GGUF\x03\0\0\0" + bytes(2_000_000))
    digest = hashlib.sha256(gguf.read_bytes()).hexdigest()
    with played("from_gguf", gguf=gguf.name, digest=digest, base=name_of_file(gguf)) as (client, replay):
        yield client, gguf, replay


def test_a_local_gguf_becomes_a_served_model(life):
    client, gguf, replay = life
    weights = Weights(
        format="gguf", dtype="F16", bytes=gguf.stat().st_size, source=WeightsSource(kind="file", reference=str(gguf))
    )
    plan = plan_of("ollama", served_name="from-a-file", weights=weights, max_length=256, batched_tokens=512)
    prepare_model(client, plan, gguf, Silent())
    before = {model.name: model.digest for model in client.tags()}
    prepare_model(client, plan, gguf, Silent())
    assert {model.name: model.digest for model in client.tags()} == before
    assert full_name("from-a-file") in before
    if replay is not None:
        assert replay.uploaded == gguf.read_bytes()
        assert replay.paths().count("POST /api/create") == 2
    assert client.ready(plan) is None
    embedded = client.embed("from-a-file", ["Bees make honey.", "Trains run on rails."])
    first, second = embedded.vectors
    assert len(first) == len(second)
    assert sum(value * value for value in first) == pytest.approx(1, abs=1e-3)
    assert first != second
    with pytest.raises(OrchestratorError, match="exceeds the context length"):
        client.embed("from-a-file", ["honey " * 400])
    client.unload("from-a-file")
    client.delete("from-a-file")
    client.delete("from-a-file")
    client.delete(name_of_file(gguf))
