import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.models.fetch import fetch, verify_files
from orchestrator.plan.records import WeightsSource
from orchestrator.progress import Silent
from tests.models.conftest import safetensors_bytes

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"]}')
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes())
    return tmp_path


def get(path, kind="folder"):
    return fetch(WeightsSource(kind=kind, reference=str(path)), 0, Silent())


def test_a_good_folder_is_used_where_it_is(folder):
    before = sorted(folder.iterdir())
    assert get(folder) == folder
    verify_files(folder)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "no JSON"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
        (lambda f: (f / "model.safetensors").write_bytes(POINTER), "Git LFS pointer"),
        (lambda f: (f / "model.safetensors").write_bytes(safetensors_bytes()[:-10]), "cut off"),
        (lambda f: (f / "model.safetensors").write_bytes(b"<html>no</html>"), "no safetensors"),
        (
            lambda f: (f / "model.safetensors.index.json").write_text(
                '{"weight_map": {"a": "model-00001-of-2.safetensors"}}'
            ),
            "1 of 1 weight files are missing",
        ),
    ],
)
def test_a_folder_that_cannot_be_loaded_says_why(folder, spoil, says):
    spoil(folder)
    with pytest.raises(OrchestratorError) as caught:
        get(folder)
    assert caught.value.code == "invalid_weights"
    assert says in caught.value.message
    assert caught.value.remedy


def test_no_such_folder(tmp_path):
    with pytest.raises(OrchestratorError, match="no such folder"):
        get(tmp_path / "gone")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"GGML\x03\0\0\0", "does not begin with GGUF"),
        (b"GGUF\x09\0\0\0", "GGUF version 9"),
        (POINTER, "Git LFS pointer"),
    ],
)
def test_a_bad_gguf(tmp_path, content, says):
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(OrchestratorError, match=says):
        get(path, "file")


def test_a_good_gguf(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF\x03\0\0\0" + bytes(100))
    assert get(path, "file") == path
    verify_files(path)


def test_ollama_pulls_by_itself():
    assert fetch(WeightsSource(kind="ollama", reference="all-minilm"), 0, Silent()) is None
