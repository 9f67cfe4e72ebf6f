"""A sample of the run embedded again, one by one: the only way to see vectors exchanged behind right indexes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrator.bench.documents import Composed, as_text
from orchestrator.bench.endpoint import Server
from orchestrator.bench.load import Kept
from orchestrator.bench.records import Endpoint
from orchestrator.bench.resample import resample
from orchestrator.errors import OrchestratorError
from tests.bench.conftest import Run
from tests.standins.misbehaving import Misbehaving, vector_of


def alone(texts: Sequence[str], _timeout_s: float) -> np.ndarray:
    return np.stack([vector_of(text) for text in texts])


def test_vectors_exchanged_behind_right_indexes_are_found(run: Run, documents: Composed) -> None:
    with Misbehaving("swapped") as stub:
        ran = run(stub.url)
        assert ran.wrongs == {}
        stub.behaviour = "good"
        found = resample(ran.measured.kept, documents, Server(Endpoint(url=stub.url, model="stub"), 5.0).embed, 0.998)
    assert [wrong.kind for wrong in found.wrongs] == ["order"]
    assert "document 0 of a request got the vector of document 1" in found.wrongs[0].example


def test_the_same_vectors_pass(run: Run, documents: Composed) -> None:
    with Misbehaving("good") as stub:
        ran = run(stub.url)
    found = resample(ran.measured.kept, documents, alone, 0.9999)
    assert found.wrongs == ()
    assert found.compared >= 4
    assert found.lowest is not None
    assert found.lowest > 0.9999
    assert "were embedded again" in found.note


def test_vectors_that_change_under_load_are_found(documents: Composed) -> None:
    texts = [as_text(text) for text in documents.batch(0, 4)[0]]
    vectors = alone(texts, 1.0)
    vectors[2] = -vectors[2]
    found = resample([Kept(0, 4, vectors.astype("<f4").tobytes())], documents, alone, 0.998)
    assert [wrong.kind for wrong in found.wrongs] == ["resampled"]
    assert "cosine -1.0000" in found.wrongs[0].example


def test_a_server_that_is_gone_after_the_run_is_a_note(documents: Composed) -> None:
    def gone(texts: Sequence[str], timeout_s: float) -> np.ndarray:
        raise OrchestratorError("unreachable", "nobody answers")

    found = resample([Kept(0, 1, np.ones(64, "<f4").tobytes())], documents, gone, 0.998)
    assert found.wrongs == ()
    assert found.note == "no document was embedded again; then: nobody answers"
