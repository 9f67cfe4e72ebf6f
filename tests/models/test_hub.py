"""Our side of a fetch from the hub, against a stand-in hub (tests/standins/hub.py)."""

import hashlib
import os
import signal
import subprocess
import sys

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.facts.records import DiskSpace
from orchestrator.models.complete import MARKER, PARTS, read_complete
from orchestrator.models.fetch import fetch, verify_files
from orchestrator.plan.records import WeightsSource
from tests.models.conftest import safetensors_bytes
from tests.standins.hub import COMMIT, StandInHub, running

REPOSITORY = "maker/embedder"
CHUNK = 10 * 1024 * 1024  # huggingface_hub's DOWNLOAD_CHUNK_SIZE


def a_hub(weights=None):
    return StandInHub(
        REPOSITORY,
        {
            "config.json": b'{"architectures": ["BertModel"]}',
            "tokenizer.json": b"{}" * 60_000,
            "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}',
            "model.safetensors": weights if weights is not None else safetensors_bytes(os.urandom(200_000)),
            "README.md": b"# a model",
            "pytorch_model.bin": b"pickle",
            "onnx/model.onnx": b"onnx",
            "onnx/config.json": b"{}",
            ".gitattributes": b"*",
        },
    )


@pytest.fixture
def hub(home, monkeypatch):
    with running(a_hub()) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def source(**changes):
    return WeightsSource(kind="hub", reference=REPOSITORY, **changes)


def test_only_the_needed_files_come_and_are_recorded(hub, home, told):
    path = fetch(source(), 200_000, told)
    assert path == home / "models" / "hub--maker--embedder"
    assert {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()} == {
        "config.json", "tokenizer.json", "1_Pooling/config.json", "model.safetensors", MARKER,
    }  # fmt: skip
    complete = read_complete(path)
    assert complete.revision == COMMIT
    assert complete.bytes == sum((path / file.path).stat().st_size for file in complete.files)
    for file in complete.files:
        assert file.sha256 == hashlib.sha256((path / file.path).read_bytes()).hexdigest()
    assert told.advances[-1] == (REPOSITORY, complete.bytes, complete.bytes, "bytes")


def test_a_whole_model_is_never_asked_for_again(hub, told):
    fetch(source(), 200_000, told)
    hub.requests.clear()
    fetch(source(), 200_000, told)
    assert hub.requests == []


def test_one_gguf_file(home, monkeypatch, told):
    content = b"GGUF\x03\0\0\0" + os.urandom(150_000)
    with running(
        StandInHub(REPOSITORY, {"m-Q8_0.gguf": content, "m-f16.gguf": b"GGUF" * 9, "config.json": b"{}"})
    ) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        path = fetch(source(filename="m-Q8_0.gguf", sha256=hashlib.sha256(content).hexdigest()), len(content), told)
        assert path.read_bytes() == content
        assert hub.sent_bytes("m-f16.gguf") == []


def test_another_file_than_the_pinned_one_is_refused_before_it_is_fetched(home, monkeypatch, told):
    content = b"GGUF\x03\0\0\0" + os.urandom(150_000)
    with running(StandInHub(REPOSITORY, {"m.gguf": content})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(OrchestratorError) as caught:
            fetch(source(filename="m.gguf", sha256="0" * 64), len(content), told)
        assert caught.value.code == "wrong_weights"
        assert hub.sent_bytes("m.gguf") == []


def test_pickled_weights_only_where_there_is_nothing_else(home, monkeypatch, told):
    hub = a_hub()
    del hub.files["model.safetensors"]
    with running(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        path = fetch(source(), 1000, told)
        assert (path / "pytorch_model.bin").exists()


@pytest.fixture
def big_hub(home, monkeypatch):
    with running(a_hub(safetensors_bytes(os.urandom(3 * CHUNK)))) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_interrupted_by_ctrl_c_then_resumed_from_there(big_hub, home, told):
    told.stop_at = CHUNK + 200_000
    with pytest.raises(KeyboardInterrupt):
        fetch(source(), 3 * CHUNK, told)
    folder = home / "models" / "hub--maker--embedder"
    assert not (folder / MARKER).exists()
    assert not (folder / "model.safetensors").exists()
    kept = max(part.stat().st_size for part in (folder / PARTS).iterdir())
    assert kept >= CHUNK
    big_hub.requests.clear()
    told.stop_at = None
    path = fetch(source(), 3 * CHUNK, told)
    assert big_hub.sent_bytes("model.safetensors") == [f"bytes={kept}-"]
    assert big_hub.sent_bytes("tokenizer.json") == []
    assert (path / "model.safetensors").read_bytes() == big_hub.files["model.safetensors"]
    assert not (path / PARTS).exists()


def test_a_broken_connection_is_resumed_within_one_fetch(big_hub, told):
    big_hub.break_after["model.safetensors"] = 2 * CHUNK
    path = fetch(source(), 3 * CHUNK, told)
    first, second = big_hub.sent_bytes("model.safetensors")
    assert first is None
    assert second is not None
    assert (path / "model.safetensors").read_bytes() == big_hub.files["model.safetensors"]


def test_a_server_that_cannot_resume_still_gives_the_right_file(big_hub, told):
    told.stop_at = CHUNK + 200_000
    with pytest.raises(KeyboardInterrupt):
        fetch(source(), 3 * CHUNK, told)
    told.stop_at, big_hub.resumable = None, False
    path = fetch(source(), 3 * CHUNK, told)
    assert (path / "model.safetensors").read_bytes() == big_hub.files["model.safetensors"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_wrong_bytes_are_removed_and_said(hub, home, told, name):
    right = hub.files[name]
    hub.served[name] = right[:-1] + bytes([right[-1] ^ 1])
    with pytest.raises(OrchestratorError) as caught:
        fetch(source(), 200_000, told)
    assert caught.value.code == "download_corrupt"
    folder = home / "models" / "hub--maker--embedder"
    assert not (folder / MARKER).exists()
    assert not (folder / name).exists()
    hub.served.clear()
    assert (fetch(source(), 200_000, told) / name).read_bytes() == right


@pytest.mark.parametrize(
    ("status", "headers", "token", "code", "in_remedy"),
    [
        (401, {"X-Error-Code": "GatedRepo"}, None, "hub_gated", "accept its terms"),
        (403, {"X-Error-Code": "GatedRepo"}, "hf_secret", "hub_gated", "HF_TOKEN"),
        (401, {"X-Error-Code": "RepoNotFound"}, None, "hub_no_such_repository", "check the name"),
        (404, {"X-Error-Code": "RepoNotFound"}, None, "hub_no_such_repository", "HF_TOKEN"),
        (
            401,
            {"X-Error-Message": "Invalid credentials in Authorization header"},
            "hf_secret",
            "hub_bad_token",
            "unset",
        ),
        (403, {}, "hf_secret", "hub_forbidden", "read permission"),
        (429, {"Retry-After": "61"}, None, "hub_rate_limited", "61 s"),
        (503, {}, None, "hub_unavailable", "later"),
    ],
)
def test_refusals_name_what_to_do(hub, told, monkeypatch, status, headers, token, code, in_remedy):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.refusal = (status, headers)
    with pytest.raises(OrchestratorError) as caught:
        fetch(source(), 200_000, told)
    assert caught.value.code == code
    assert in_remedy in caught.value.remedy
    assert "hf_secret" not in f"{caught.value.message}{caught.value.remedy}{caught.value.evidence}"


def test_a_token_opens_a_gated_model(hub, told, monkeypatch):
    hub.refusal, hub.token = (403, {"X-Error-Code": "GatedRepo"}), "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert (fetch(source(), 200_000, told) / "model.safetensors").exists()


def test_unknown_revision_and_pinned_one(hub, told):
    with pytest.raises(OrchestratorError) as caught:
        fetch(source(revision="gone"), 200_000, told)
    assert caught.value.code == "hub_no_such_revision"
    assert fetch(source(revision=COMMIT), 200_000, told).name == f"hub--maker--embedder--{COMMIT}"


def test_no_hub_at_all(home, told, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OrchestratorError) as caught:
        fetch(source(), 200_000, told)
    assert caught.value.code == "hub_unreachable"
    assert "--model PATH" in caught.value.remedy


def test_a_full_disk_is_said_before_the_first_byte(hub, told, monkeypatch):
    monkeypatch.setattr(
        "orchestrator.models.disk.disk_space", lambda path: DiskSpace(path=str(path), free_bytes=1000, total_bytes=9000)
    )
    with pytest.raises(OrchestratorError) as caught:
        fetch(source(), 200_000, told)
    assert caught.value.code == "disk_full"
    assert hub.sent_bytes("model.safetensors") == []


def test_a_repository_without_a_model(home, told, monkeypatch):
    with running(StandInHub(REPOSITORY, {"README.md": b"only words"})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(OrchestratorError) as caught:
            fetch(source(), 10, told)
        assert caught.value.code == "hub_no_model"


def test_names_that_lead_out_of_the_folder_are_not_wanted(home, told, monkeypatch):
    hub = a_hub()
    hub.files["../../evil.json"] = b"{}"
    with running(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        path = fetch(source(), 10, told)
        assert not any("evil" in file.path for file in read_complete(path).files)


def test_verify_files_reads_every_byte(hub, told):
    path = fetch(source(), 200_000, told)
    verify_files(path)
    weights = path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(OrchestratorError) as caught:
        verify_files(path)
    assert caught.value.code == "wrong_weights"
    assert "model.safetensors" in caught.value.message


def test_a_lost_file_is_fetched_again_alone(hub, told):
    path = fetch(source(), 200_000, told)
    (path / "tokenizer.json").unlink()
    hub.requests.clear()
    fetch(source(), 200_000, told)
    assert (path / "tokenizer.json").exists()
    assert hub.sent_bytes("model.safetensors") == []


def test_a_committed_lfs_pointer_is_no_model(home, told, monkeypatch):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"
    with running(a_hub(pointer)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(OrchestratorError) as caught:
            fetch(source(), 200, told)
        assert caught.value.code == "invalid_weights"
        with pytest.raises(OrchestratorError):
            fetch(source(), 200, told)


def test_what_an_older_commit_left_is_removed(hub, home, told):
    folder = home / "models" / "hub--maker--embedder"
    (folder / PARTS).mkdir(parents=True)
    (folder / PARTS / ("ab" * 32)).write_bytes(b"a part of a file that is no more")
    (folder / "model-00002-of-00002.safetensors").write_bytes(safetensors_bytes())
    path = fetch(source(), 200_000, told)
    assert [file.name for file in path.glob("*.safetensors")] == ["model.safetensors"]


def test_killed_in_the_middle_the_next_fetch_goes_on(big_hub, home, told):
    """kill -9: nothing of ours runs after it."""
    script = (
        "import os, signal\n"
        "from orchestrator.models.fetch import fetch\n"
        "from orchestrator.plan.records import WeightsSource\n"
        "from orchestrator.progress import Silent\n"
        "class Dies(Silent):\n"
        "    def advance(self, what, done, total, unit='items'):\n"
        f"        if done > {CHUNK + 200_000}: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"fetch(WeightsSource(kind='hub', reference={REPOSITORY!r}), {3 * CHUNK}, Dies())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    big_hub.requests.clear()
    path = fetch(source(), 3 * CHUNK, told)
    (asked,) = big_hub.sent_bytes("model.safetensors")
    assert asked is not None
    assert int(asked.removeprefix("bytes=").removesuffix("-")) >= CHUNK
    assert (path / "model.safetensors").read_bytes() == big_hub.files["model.safetensors"]
