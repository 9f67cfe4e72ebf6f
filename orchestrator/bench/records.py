"""What a run is made of: what was asked, what each request saw, what the machine did meanwhile.

The raw records are the product; every report is a view on them. Times are seconds since the run's start on one
monotonic clock that all workers share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    import numpy as np

Api = Literal["openai", "ollama"]
Arrival = Literal["closed", "poisson", "constant"]
Outcome = Literal["ok", "wrong", "refused", "limited", "timed_out", "dropped"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "wrong", "refused", "limited", "timed_out", "dropped")
"""How a request ended; `Requests.outcome` holds the index. wrong: a 200 whose vectors are not right. refused: another
status. limited: 429 or 503. dropped: the connection ended before the answer was whole."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    """Base URL, without `/v1` and without a trailing slash."""
    model: str
    api: Api = "openai"
    key: str = ""

    def __repr__(self) -> str:
        return f"Endpoint({self.api} {self.url}, {self.model})"


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent, and when."""

    tokens: str = "32"
    """Tokens per document, special ones included: a number, short, chunk, page, mixed, or `file`."""
    batch: int = 32
    """Documents per request."""
    arrival: Arrival = "closed"
    concurrency: int = 8
    """Requests in flight at the most; closed loop: exactly."""
    rate: float | None = None
    """Requests per second (open loop)."""
    warmup_s: float = 3.0
    duration_s: float = 20.0
    """Measured time, after the warm-up."""
    timeout_s: float = 30.0
    workers: int = 1
    """Client processes."""
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class Requests:
    """One row a request, in the order of intended send time; the warm-up's are among them (`intended_s` < 0)."""

    intended_s: np.ndarray[Any, Any]
    """float64; when the pacer wanted it sent. Latency counts from here. 0 = the end of the warm-up."""
    sent_s: np.ndarray[Any, Any]
    """float64; when its last byte was handed to the kernel."""
    done_s: np.ndarray[Any, Any]
    """float64; when the last byte of the answer was there, or when it was given up."""
    outcome: np.ndarray[Any, Any]
    """uint8; index into OUTCOMES."""
    status: np.ndarray[Any, Any]
    """int16; HTTP status, 0 where there was none."""
    documents: np.ndarray[Any, Any]
    """int32; sent in this request."""
    tokens_sent: np.ndarray[Any, Any]
    """int64; as the workload counts them."""
    tokens_counted: np.ndarray[Any, Any]
    """int64; `usage` of the answer, -1 where it does not tell."""
    received_bytes: np.ndarray[Any, Any]
    """int64; the answer's body."""
    worker: np.ndarray[Any, Any]
    """int16; the client process."""


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of wrong answer: what was seen, how often, and the first example in words."""

    kind: str
    """count, order, dimension, not_finite, norm, tokens, duplicate, model, not_json, not_base64, resampled."""
    count: int
    example: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which requests ended without an answer of vectors: how often, and the first one in words."""

    outcome: Outcome
    count: int
    example: str


class ClientReport(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the client could keep up; a run that it limited is no result."""

    workers: int
    cpu_s: float
    """User and system time of all workers within the measured time."""
    wall_s: float
    busiest_worker: float
    """CPU share of one core of the busiest worker, 0 to 1."""
    lag_ms_p99: float
    lag_ms_max: float
    """How late the event loop woke, against what it asked for."""
    late_ms_p99: float | None
    """Open loop: how long after the intended time a request was sent."""
    valid: bool
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One thing that was read again and again through the run."""

    name: str
    """gpu.utilisation, gpu.memory, gpu.power, gpu.sm_clock, server.rss, server.cpu, ..."""
    unit: str
    """share, bytes, W, MHz, °C, cores, tokens, requests."""
    time_s: np.ndarray[Any, Any]
    value: np.ndarray[Any, Any]


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What the run was asked to prove. Each None is not asked for."""

    docs_per_s: float | None = None
    tokens_per_doc: float | None = None
    """The length that `docs_per_s` is meant for (a preset's target); None: whatever length was sent."""
    p95_ms: float | None = None
    max_errors: float = 0.0
    """Share of the measured requests that may fail."""


class MeasuredPeak(msgspec.Struct, frozen=True, kw_only=True):
    """What a plain matrix product reached on this very device."""

    tflops: float
    dtype: str
    basis: str
    """Library, size of the matrices, threads."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The physics of one device, model and type; None is unknown, never a guess."""

    weights_flops_per_token: float | None = None
    """2 x the weights that a token passes through."""
    attention_flops: float = 0.0
    """Times the square of a document's tokens."""
    peak_tflops: float | None = None
    """The data sheet's, dense, for the type that the backend computes in."""
    peak_basis: str = ""
    """Which peak, or why none is known."""
    realistic: float | None = None
    """Share of the peak that published runs reach."""
    weight_passes_per_s: float | None = None
    """Memory bandwidth over the weights' bytes: every batch reads all weights once."""
    batched_tokens: int = 0
    advice: tuple[str, ...] = ()
    """What would reach the goal where the ceiling lies below it."""
    measured: MeasuredPeak | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One measurement, whole: what `bench report RUN` reads back."""

    endpoint: Endpoint
    """Its key is never stored."""
    load: Load
    started_at: str
    """ISO 8601, UTC."""
    requests: Requests
    client: ClientReport
    dimension: int
    tokens_per_doc: float
    """Mean of what was sent, special tokens included."""
    wrongs: tuple[Wrong, ...] = ()
    failures: tuple[Failure, ...] = ()
    telemetry: tuple[Series, ...] = ()
    fingerprint: dict[str, Any] = field(default_factory=dict)
    goal: Goal = field(default_factory=Goal)
    limits: Limits = field(default_factory=Limits)
    notes: tuple[str, ...] = ()
    """What a reader of the result must know: the server does not tell its tokens, vectors came as JSON numbers, ..."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Runs that differ in their load only, in the order in which they were made."""

    points: tuple[Run, ...]
    started_at: str
