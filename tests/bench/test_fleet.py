"""Client processes against a fast stub: all that was sent is accounted for, in one table."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import numpy as np
import pytest

from orchestrator.bench.documents import Composed
from orchestrator.bench.fleet import Send, drive
from orchestrator.bench.records import Endpoint, Load
from orchestrator.progress import Silent, Unit
from tests.standins.embedding_stub.build import build, serving


@pytest.fixture(scope="module")
def fast_stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("stub"))


def load(**changes: object) -> Load:
    return Load(**{"batch": 8, "concurrency": 4, "warmup_s": 0.2, "duration_s": 0.5, "timeout_s": 5.0, **changes})


def test_two_processes_send_different_documents_and_count_what_the_server_counts(
    documents: Composed, fast_stub: Path
) -> None:
    with serving(fast_stub) as url:
        endpoint = Endpoint(url=url, model="stub")
        driven = drive(Send(endpoint=endpoint, load=load(workers=2), documents=documents, dimension=2560), Silent())
        counted = httpx.get(f"{url}/counted").json()
    requests = driven.requests
    assert driven.wrongs == driven.failures == ()
    assert not driven.interrupted
    assert counted == {"requests": len(requests.documents), "documents": int(requests.documents.sum())}
    assert set(requests.worker) == {0, 1}
    assert list(requests.intended_s) == sorted(requests.intended_s)
    assert (requests.tokens_counted == 8 * 32).all()
    assert (requests.received_bytes > 8 * 2560 * 4).all()
    assert (requests.done_s >= requests.sent_s).all()
    assert (requests.sent_s >= requests.intended_s).all()
    assert (requests.intended_s < 0).any()
    assert driven.client.cpu_s > 0
    assert driven.kept


def test_open_loop_processes_keep_the_rate_together(documents: Composed, fast_stub: Path) -> None:
    asked = load(workers=2, batch=1, arrival="poisson", rate=200.0, duration_s=1.0, warmup_s=0.0, concurrency=16)
    with serving(fast_stub) as url:
        send = Send(endpoint=Endpoint(url=url, model="stub"), load=asked, documents=documents, dimension=2560)
        driven = drive(send, Silent())
    assert 100 < len(driven.requests.documents) < 260
    assert driven.client.late_ms_p99 is not None


class Impatient(Silent):
    """Presses Ctrl-C at the first documents that are told."""

    def advance(self, what: str, done: int, total: int | None, unit: Unit = "items") -> None:
        if done:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_keeps_what_was_measured(documents: Composed, fast_stub: Path) -> None:
    with serving(fast_stub) as url:
        send = Send(
            endpoint=Endpoint(url=url, model="stub"), load=load(duration_s=60.0), documents=documents, dimension=2560
        )
        driven = drive(send, Impatient())
    assert driven.interrupted
    assert any("interrupted after" in note for note in driven.notes)
    assert len(driven.requests.documents)
    assert np.isfinite(driven.requests.done_s).all()
