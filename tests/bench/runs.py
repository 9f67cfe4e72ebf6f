"""Runs made by hand: what a load client would have recorded, without one."""

from __future__ import annotations

from typing import Any

import numpy as np

from orchestrator.bench.records import OUTCOMES, ClientReport, Endpoint, Load, Requests, Run, Series

CLIENT = ClientReport(
    workers=1, cpu_s=1.5, wall_s=20.0, busiest_worker=0.08, lag_ms_p99=1.0, lag_ms_max=3.0, late_ms_p99=None, valid=True
)


def requests_of(
    intended_s: Any, latency_s: Any, *, documents: int = 32, tokens: int = 32, outcomes: Any = "ok"
) -> Requests:
    intended = np.asarray(intended_s, dtype=float)
    n = len(intended)
    names = [outcomes] * n if isinstance(outcomes, str) else list(outcomes)
    outcome = np.array([OUTCOMES.index(name) for name in names], dtype=np.uint8)
    return Requests(
        intended_s=intended,
        sent_s=intended + 0.0002,
        done_s=intended + np.broadcast_to(np.asarray(latency_s, dtype=float), (n,)),
        outcome=outcome,
        status=np.where(outcome <= 1, 200, 0).astype(np.int16),
        documents=np.full(n, documents, dtype=np.int32),
        tokens_sent=np.full(n, documents * tokens, dtype=np.int64),
        tokens_counted=np.full(n, documents * tokens, dtype=np.int64),
        received_bytes=np.full(n, documents * 2100, dtype=np.int64),
        worker=np.zeros(n, dtype=np.int16),
    )


def run_of(requests: Requests | None = None, *, tokens: int = 32, duration_s: float = 20.0, **changes: Any) -> Run:
    """By default 50 requests of 32 documents a second, 0.1 s each, with three seconds of warm-up: 1600 documents/s."""
    if requests is None:
        requests = requests_of(np.arange(-3.0, duration_s, 0.02), 0.1, tokens=tokens)
    fields: dict[str, Any] = {
        "endpoint": Endpoint(url="http://127.0.0.1:8001", model="all-minilm-l6-v2"),
        "load": Load(tokens=str(tokens), duration_s=duration_s),
        "started_at": "2026-11-28T12:00:00Z",
        "requests": requests,
        "client": CLIENT,
        "dimension": 384,
        "tokens_per_doc": float(tokens),
    }
    return Run(**(fields | changes))


def series_of(name: str, unit: str, value: Any, start_s: float = -6.0, end_s: float = 20.0) -> Series:
    times = np.arange(start_s, end_s, 0.25)
    return Series(name=name, unit=unit, time_s=times, value=np.broadcast_to(np.asarray(value, float), times.shape))


def closed_loop(seed: int, *, concurrency: int = 8, mean_s: float = 0.2, duration_s: float = 20.0) -> Requests:
    """Every client sends its next request when the last one is answered; service times vary."""
    draw = np.random.default_rng(seed)
    starts, spent = [], []
    for _ in range(concurrency):
        service = draw.gamma(4.0, mean_s / 4.0, size=int((duration_s + 3) / mean_s * 2))
        begin = -3.0 + np.concatenate(([0.0], np.cumsum(service)[:-1]))
        kept = begin < duration_s
        starts.append(begin[kept])
        spent.append(service[kept])
    intended, latency = np.concatenate(starts), np.concatenate(spent)
    order = np.argsort(intended)
    return requests_of(intended[order], latency[order])
