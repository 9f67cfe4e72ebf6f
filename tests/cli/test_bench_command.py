"""`bench` as a user calls it, against a server that does what its name says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.main import run
from tests.standins.misbehaving import Misbehaving

SHORT = ["--batch", "4", "--concurrency", "2", "--duration", "1", "--warmup", "0", "--workers", "1", "--timeout", "5"]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = run(["bench", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_json_has_what_the_contract_promises(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a-key-of-the-test\n")
    with Misbehaving("good", key="a-key-of-the-test") as stub:
        # A loaded machine may rightly call the client too slow for a server that takes a millisecond.
        _, envelope = bench(capsys, "--url", f"{stub.url}/v1", "--model", "stub", "--api-key-file", str(key), *SHORT)
    data = envelope["data"]
    assert {
        "docs_per_s", "docs_per_s_interval", "tokens_per_s", "tokens_per_doc", "requests", "errors", "latency_ms",
        "client", "limits", "verdict", "run_dir",
    } <= set(data)  # fmt: skip
    assert data["docs_per_s"] > 0
    assert data["tokens_per_doc"] == 32
    assert data["tokens_per_s"] == pytest.approx(32 * data["docs_per_s"])
    assert data["verdict"]["word"] in ("no_target", "invalid")
    assert data["wrongs"] == []
    assert sum(data["errors"].values()) == 0
    folder = Path(data["run_dir"])
    assert {path.name for path in folder.iterdir()} == {"run.json", "requests.npz"}
    assert "a-key-of-the-test" not in (folder / "run.json").read_text()


@pytest.mark.parametrize(
    ("behaviour", "word"),
    [("swapped", "order"), ("halves-tokens", "tokens")],
)
def test_a_fast_wrong_answer_is_a_failed_run(capsys: pytest.CaptureFixture[str], behaviour: str, word: str) -> None:
    with Misbehaving(behaviour, from_documents=4) as stub:
        code, envelope = bench(capsys, "smoke", "--url", stub.url, "--model", "stub", *SHORT)
    verdict = envelope["data"]["verdict"]
    assert code == envelope["exit_code"] == 1
    assert verdict["word"] == "invalid"
    assert word in [wrong["kind"] for wrong in envelope["data"]["wrongs"]]


def test_a_target_that_is_missed_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    with Misbehaving("good") as stub:
        code, envelope = bench(capsys, "--url", stub.url, "--model", "stub", "--target", "1000000", *SHORT)
    assert code == 1
    assert envelope["data"]["verdict"]["word"] in ("missed", "invalid")


def test_a_users_own_texts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"document number {i} of the user" for i in range(50)), encoding="utf-8")
    with Misbehaving("good") as stub:
        _, envelope = bench(capsys, "--url", stub.url, "--model", "stub", "--texts", str(texts), *SHORT)
        assert "document number 7 of the user" in stub.texts
    assert envelope["data"]["tokens_per_doc"] == 8
    assert envelope["data"]["load"]["tokens"] == "file"
    assert any("documents were repeated" in note for note in envelope["data"]["verdict"]["notes"])
    assert envelope["data"]["wrongs"] == []


def test_ollama_is_found_out(capsys: pytest.CaptureFixture[str]) -> None:
    with Misbehaving("good", paths=("/api/embed",)) as stub:
        _, envelope = bench(capsys, "--url", stub.url, "--model", "stub", *SHORT)
    assert envelope["data"]["docs_per_s"] > 0
    assert envelope["data"]["wrongs"] == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--url", "ftp://example.org", "--model", "m"], "is no http or https address"),
        (["--url", "http://127.0.0.1:9"], "--model"),
        (["--model", "m"], "belongs to --url"),
        (["--stack", "never-made"], "never-made"),
        (["--tokens", "many", "--url", "URL", "--model", "stub"], "--tokens: is neither a number"),
        (["--tokens", "2", "--url", "URL", "--model", "stub"], "the shortest document of this tokenizer"),
        (["--texts", "/nowhere.txt", "--url", "URL", "--model", "stub"], "cannot be read"),
        (["--url", "URL", "--model", "stub", "--api-key-file", "/nowhere.key"], "cannot be read"),
    ],
)
def test_bad_input_names_itself(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    with Misbehaving("good") as stub:
        code, envelope = bench(capsys, *[stub.url if word == "URL" else word for word in arguments])
    assert code in (1, 2)
    assert says in envelope["error"]["message"]
    assert envelope["error"]["remedy"]


def test_nobody_at_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    code, envelope = bench(capsys, "--url", "http://127.0.0.1:9", "--model", "m")
    assert code == 1
    assert envelope["error"]["code"] == "unreachable"
