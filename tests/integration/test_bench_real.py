"""`bench` against the real vLLM (CPU) and the real llama-server: its count must be theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from orchestrator.bench.records import Run
from orchestrator.bench.store import read_run
from tests.integration.conftest import Tool
from tests.integration.real_programs import gguf_of, llama_server_of, start_llama_server

pytestmark = pytest.mark.integration

NAME, KEY = "all-minilm-l6-v2", "key-of-the-tests"


def tokens_of_both(run: Run) -> tuple[float, float]:
    """What the server's own counter grew by while `bench` watched it under load, and what was answered meanwhile."""
    series = next(series for series in run.telemetry if series.name == "server.tokens")
    seen = np.flatnonzero((series.time_s > 0) & (series.time_s < run.load.duration_s))
    begin, end = series.time_s[seen[0]], series.time_s[seen[-1]]
    within = (run.requests.done_s > begin) & (run.requests.done_s <= end)
    return float(series.value[seen[-1]] - series.value[seen[0]]), float(run.requests.tokens_sent[within].sum())


def test_documents_of_vllm_are_the_documents_that_vllm_counts(tool: Tool, native_up: str) -> None:
    arguments = ["--tokens", "32", "--batch", "8", "--concurrency", "4", "--duration", "12", "--warmup", "2"]
    data = tool.json("bench", "smoke", *arguments, exit_code=1, timeout_s=120)["data"]
    assert data["verdict"]["word"] in ("missed", "invalid"), data["verdict"]
    assert data["wrongs"] == []
    assert sum(data["errors"].values()) == 0
    assert data["tokens_per_doc"] == 32
    run = read_run(Path(data["run_dir"]))
    assert (run.requests.tokens_counted == 8 * 32).all()
    by_server, by_us = tokens_of_both(run)
    # One request more or less at either end, and the time that answering /metrics takes.
    assert by_us == pytest.approx(by_server, rel=0.05, abs=2 * 4 * 8 * 32)
    assert any("documents were embedded again" in note for note in data["verdict"]["notes"])


@pytest.fixture
def llama(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    program, url = start_llama_server(
        llama_server_of(request), gguf_of(request), tmp_path, NAME, KEY, "--metrics", length=64
    )
    yield url
    program.stop()


def test_tokens_of_llama_server_are_the_tokens_that_it_counts(tool: Tool, llama: str, tmp_path: Path) -> None:
    """All of them: what was measured, the warm-up, and what was asked before and after."""
    key = tmp_path / "key"
    key.write_text(KEY)
    arguments = ["--url", llama, "--model", NAME, "--api-key-file", str(key), "--workers", "1", "--tokens", "24"]
    done = tool.run("bench", *arguments, "--batch", "4", "--duration", "5", "--warmup", "1", "--json", timeout_s=120)
    assert done.returncode in (0, 1), done.stderr
    run = read_run(newest(tool.home / "bench"))
    assert run.wrongs == run.failures == ()
    metrics = httpx.get(f"{llama}/metrics", headers={"authorization": f"Bearer {KEY}"}).text
    counted = next(
        float(line.split()[1]) for line in metrics.splitlines() if line.startswith("llamacpp:prompt_tokens_total")
    )
    sent = int(run.requests.tokens_sent.sum())
    assert (run.requests.tokens_counted == 4 * 24).all()
    assert sent < counted < sent + 4000


def newest(folder: Path) -> Path:
    return max(folder.iterdir(), key=lambda path: path.stat().st_mtime)
