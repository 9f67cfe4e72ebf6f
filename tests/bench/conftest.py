from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from orchestrator.bench.documents import Composed
from orchestrator.bench.load import ROW_TYPE, Job, Loop, Measured
from orchestrator.bench.records import Endpoint, Load
from orchestrator.bench.workload import BY_TOKENIZER, compose, measure
from tests.standins.misbehaving import DIMENSION, token_count


@pytest.fixture(scope="session")
def documents() -> Composed:
    vocabulary = measure(lambda texts: [token_count(text) for text in texts], lambda texts: texts, BY_TOKENIZER)
    return compose(vocabulary, (32,), seed=1)


class Ran:
    """One worker's run in this process."""

    def __init__(self, measured: Measured, took_s: float) -> None:
        self.measured, self.took_s = measured, took_s
        self.rows = np.frombuffer(measured.rows, ROW_TYPE)
        self.wrongs = {wrong.kind: wrong.example for wrong in measured.wrongs}
        self.failures = {failure.outcome: failure.example for failure in measured.failures}


Run = Callable[..., Ran]


@pytest.fixture
def run(documents: Composed) -> Run:
    def run(url: str, *, stops: Callable[[], bool] = lambda: False, dimension: int = DIMENSION, **load: object) -> Ran:
        values = {"batch": 4, "concurrency": 2, "warmup_s": 0.0, "duration_s": 0.4, "timeout_s": 1.0, **load}
        endpoint = Endpoint(url=url, model="stub", key=str(values.pop("key", "")), api=values.pop("api", "openai"))
        job = Job(endpoint=endpoint, load=Load(**values), documents=documents, dimension=dimension)
        began = time.monotonic()
        measured = Loop(job, began + job.load.warmup_s, stops, time.monotonic).run(lambda documents: None)
        return Ran(measured, time.monotonic() - began)

    return run
