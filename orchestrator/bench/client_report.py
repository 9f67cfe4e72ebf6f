"""Could the client keep up? A run that it limited is no result. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.bench.records import ClientReport, Load, Requests

if TYPE_CHECKING:
    from orchestrator.bench.load import Measured

BUSY = 0.9
"""Share of a core above which a client process had no room left (estimate)."""
SHARE_OF_LATENCY = 0.25
"""What the client may add to the median latency before its figures say more about it than about the server
(estimate)."""
ALWAYS_ALLOWED_MS = 5.0
"""One turn of the scheduler on a machine that others use too (estimate)."""


def client_report(several: Sequence[Measured], load: Load, requests: Requests) -> ClientReport:
    wall_s = max((measured.measured_s for measured in several), default=0.0)
    busiest = max(
        (measured.cpu_s / measured.measured_s for measured in several if measured.measured_s > 0), default=0.0
    )
    lag_ms = _joined([measured.lag_s for measured in several]) * 1000
    own_delay_ms = _joined([measured.own_delay_s for measured in several]) * 1000
    measured_ones = requests.intended_s >= 0
    late_ms = (requests.sent_s - requests.intended_s)[measured_ones] * 1000
    took_ms = (requests.done_s - requests.intended_s)[measured_ones & (requests.outcome == 0)] * 1000
    allowed_ms = max(ALWAYS_ALLOWED_MS, SHARE_OF_LATENCY * (float(np.median(took_ms)) if len(took_ms) else 0.0))
    reason = _reason(busiest, _p99(lag_ms), _p99(own_delay_ms), allowed_ms)
    return ClientReport(
        workers=load.workers,
        cpu_s=sum(measured.cpu_s for measured in several),
        wall_s=wall_s,
        busiest_worker=round(min(busiest, 1.0), 4),
        lag_ms_p99=_p99(lag_ms),
        lag_ms_max=float(lag_ms.max()) if len(lag_ms) else 0.0,
        late_ms_p99=None if load.arrival == "closed" else _p99(late_ms),
        valid=not reason,
        reason=reason,
    )


def _reason(busiest: float, lag_ms: float, own_delay_ms: float, allowed_ms: float) -> str:
    if busiest > BUSY:
        return f"its busiest process used {busiest:.0%} of a core: more processes (--workers), or a machine of its own"
    if lag_ms > allowed_ms:
        return (
            f"1 % of its rounds took more than {lag_ms:.1f} ms, {allowed_ms:.1f} are allowed: "
            "other work on this machine, or too much for one process (--workers)"
        )
    if own_delay_ms > allowed_ms:
        return f"1 % of the requests were sent more than {own_delay_ms:.1f} ms late, {allowed_ms:.1f} are allowed"
    return ""


def _joined(parts: Sequence[bytes]) -> np.ndarray[Any, Any]:
    return np.frombuffer(b"".join(parts), np.float64)


def _p99(values: np.ndarray[Any, Any]) -> float:
    return float(np.percentile(values, 99)) if len(values) else 0.0
