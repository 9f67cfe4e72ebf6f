"""Configurations with one mistake each: every error names file, line, key, value and remedy, and exits 2."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator.configuration.document import LARGEST_BYTES
from orchestrator.configuration.settings import of_file
from orchestrator.errors import OrchestratorError
from orchestrator.operations.configuration import show
from orchestrator.operations.request import Asked, request


class Mistake(NamedTuple):
    name: str
    text: str
    line: int
    column: int
    key: str
    value: str
    remedy: str


MISTAKES = [
    Mistake("a wrong key", "model: auto\nmodle: auto\n", 2, 1, "modle", "auto", "write model"),
    Mistake("a key spelt like its flag", "max-length: 64\n", 1, 1, "max-length", "64", "write max_length"),
    Mistake("a wrong key in a section", "ports:\n  webiu: 3001\n", 2, 3, "ports.webiu", "3001", "write ports.webui"),
    Mistake("an unknown service's port", "ports: {grafana: 3001}\n", 1, 9, "ports.grafana", "3001", "ports.webui"),
    Mistake("a key that belongs below another", "webui: 3001\n", 1, 1, "webui", "3001", "write ports.webui"),
    Mistake("a key of nothing", "zzz: 1\n", 1, 1, "zzz", "1", "one of stack, services, model"),
    Mistake("text for a number", "# note\nmax_length: long\n", 2, 13, "max_length", "long", "16 or more"),
    Mistake("a number in quotes", 'max_length: "512"\n', 1, 13, "max_length", "512", "512 without quotes"),
    Mistake("a fraction for a whole number", "dimension: 12.5\n", 1, 12, "dimension", "12.5", "1 or more"),
    Mistake("a number that is too small", "max_length: 4\n", 1, 13, "max_length", "4", "16 or more"),
    Mistake("a truth for a number", "batched_tokens: yes\n", 1, 17, "batched_tokens", "True", "16 or more"),
    Mistake("a number for text", "task: 7\n", 1, 7, "task", "7", 'put it in quotes: "7"'),
    Mistake("an empty text", 'model: ""\n', 1, 8, "model", "", "leave the key out"),
    Mistake("a duplicate key", "engine: native\nengine: compose\n", 2, 1, "engine", "compose", "keep one"),
    Mistake("a duplicate in a section", "ports:\n  webui: 1\n  webui: 2\n", 3, 3, "ports.webui", "2", "keep one"),
    Mistake("a port out of range", "ports: {webui: 70000}\n", 1, 16, "ports.webui", "70000", "1 to 65535"),
    Mistake("a port of zero", "ports:\n  vectors: 0\n", 2, 12, "ports.vectors", "0", "1 to 65535"),
    Mistake("two equal ports", "ports:\n  webui: 8001\n", 2, 3, "ports.webui", "8001", "give each its own"),
    Mistake("an unknown model", "model: qwen3-embeding-4b\n", 1, 8, "model", "qwen3-embeding-4b", "qwen3-embedding-4b"),
    Mistake("an unknown backend", "backend: olama\n", 1, 10, "backend", "olama", "write ollama"),
    Mistake("an unknown engine", "engine: docker-compose\n", 1, 9, "engine", "docker-compose", "write compose"),
    Mistake("a strange engine", "engine: k8s\n", 1, 9, "engine", "k8s", "one of auto, compose, native"),
    Mistake("an unknown service", "services: [embeddings, vector]\n", 1, 11, "services", "vector", "write vectors"),
    Mistake("services without the server", "services: [vectors]\n", 1, 11, "services", "vectors", "add embeddings"),
    Mistake("webui without vectors", "services: [embeddings, webui]\n", 1, 11, "services", "webui", "add vectors"),
    Mistake("a service named twice", "services: [embeddings, embeddings]\n", 1, 11, "services", "embeddings", "once"),
    Mistake("a word for a list", "services: embeddings\n", 1, 11, "services", "embeddings", "[embeddings, vectors"),
    Mistake("a mapping inside a list", "services: [{a: 1}]\n", 1, 12, "services", "map", "[embeddings]"),
    Mistake("a tab", "ports:\n\twebui: 3000\n", 2, 1, "webui", "3000", "indent with spaces"),
    Mistake("an open bracket", "services: [embeddings\nmodel: x\n", 2, 6, "model", "model: x", "correct the line"),
    Mistake("two keys on a line", "model: a: b\n", 1, 9, "model", "a: b", "correct the line"),
    Mistake("a bad size", "vram_bytes: lots\n", 1, 13, "vram_bytes", "lots", "11GiB"),
    Mistake("a size of nothing", "vram_bytes: 0GiB\n", 1, 13, "vram_bytes", "0GiB", "11GiB"),
    Mistake("an empty file", "# nothing yet\n", 1, 1, "", "", "orchestrator init"),
    Mistake("a list for a file", "- model\n- engine\n", 1, 1, "", "seq", "KEY: VALUE"),
    Mistake("a word for a file", "native\n", 1, 1, "", "native", "KEY: VALUE"),
    Mistake(
        "code in a tag",
        "model: !!python/object/apply:os.system ['true']\n",
        1,
        8,
        "model",
        "!!python/object/apply:os.system",
        "remove !!python",
    ),
    Mistake("a tag of one's own", "model: !env MODEL\n", 1, 8, "model", "!env", "remove !env"),
    Mistake("a value for a section", "ports: 3000\n", 1, 8, "ports", "3000", "write them below it"),
    Mistake("a section for a value", "model:\n  id: x\n", 1, 1, "model", "mapping", "write for example"),
    Mistake("no value", "engine:\n", 1, 8, "engine", "None", "remove the line"),
    Mistake("an address that is none", "listen: localhost\n", 1, 9, "listen", "localhost", "127.0.0.1"),
    Mistake("a bad stack name", "stack: My Stack\n", 1, 8, "stack", "My Stack", "team-search"),
    Mistake(
        "an overlap above the chunk",
        "retrieval: {chunk_size: 50, chunk_overlap: 60}\n",
        1,
        29,
        "retrieval.chunk_overlap",
        "60",
        "tenth",
    ),
    Mistake(
        "a target of nothing", "target: {docs_per_s: 0}\n", 1, 22, "target.docs_per_s", "0", "write for example 800"
    ),
    Mistake("a number with a false tag", "max_length: !!int long\n", 1, 13, "max_length", "long", "correct the value"),
    Mistake("a control character", "model: a\x01b\n", 1, 9, "", "\\x01", "remove it"),
    Mistake("an alias of nothing", "model: *other\n", 1, 8, "model", "*other", "correct the line"),
    Mistake("a merge key", "ports:\n  <<: {webui: 1}\n", 2, 3, "ports", "<<", "KEY: VALUE"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_each_mistake_names_file_line_key_value_and_remedy(tmp_path: Path, mistake: Mistake) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(mistake.text)
    with pytest.raises(OrchestratorError) as refused:
        request(Asked(config=path, environment={}))
    error = refused.value
    assert error.exit_code == 2
    assert error.message.startswith(f"{path}:{mistake.line}:{mistake.column}: {mistake.key}")
    assert mistake.value in error.message
    assert mistake.remedy in error.remedy
    data = error.data
    assert (data["file"], data["line"], data["column"]) == (str(path), mistake.line, mistake.column)
    assert data["key"] == mistake.key


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("modle: x\nports: {webui: 70000}\n")
    with pytest.raises(OrchestratorError) as refused:
        of_file(path)
    assert "modle" in refused.value.message
    first, second = refused.value.evidence.splitlines()
    assert "modle" in first
    assert "70000" in second


@pytest.mark.parametrize("content", [b"model: \xff\xfe\n", b"model: x\n" + b"#" * LARGEST_BYTES])
def test_what_is_no_text_of_a_configuration_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(OrchestratorError) as refused:
        of_file(path)
    assert refused.value.exit_code == 2
    assert str(path) in refused.value.message


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OrchestratorError) as refused:
        request(Asked(config=tmp_path / "none.yaml", environment={}))
    assert refused.value.exit_code == 2
    assert "--config" in refused.value.message
    assert "none.yaml" in refused.value.message


def test_an_alias_that_points_to_itself_ends(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("ports: &p\n  webui: *p\n")
    with pytest.raises(OrchestratorError) as refused:
        of_file(path)
    assert refused.value.exit_code == 2


def test_show_says_who_set_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orchestrator.yaml").write_text("# mine\nengine: native\n")
    environment = {"ORCHESTRATOR_MAX_LENGTH": "64", "ORCHESTRATOR_MODLE": "x", "ORCHESTRATOR_HOME": "/h"}
    data = show(Asked(flags={"ports.webui": 3001}, environment=environment)).data
    settings = data["settings"]
    assert (settings["engine"]["set_by"], settings["engine"]["file"], settings["engine"]["line"]) == (
        "file",
        "orchestrator.yaml",
        2,
    )
    assert (settings["max_length"]["set_by"], settings["max_length"]["name"]) == (
        "environment",
        "ORCHESTRATOR_MAX_LENGTH",
    )
    assert (settings["ports.webui"]["set_by"], settings["ports.webui"]["value"]) == ("flag", 3001)
    assert settings["ports.vectors"]["set_by"] == "preset"
    assert settings["backend"]["set_by"] == "default"
    assert data["unknown_variables"] == {"ORCHESTRATOR_MODLE": "ORCHESTRATOR_MODEL"}
