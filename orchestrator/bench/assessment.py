"""A stored run with everything that follows from it: what every report is a view on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from orchestrator.bench.ceiling import Ceiling, ceiling_at
from orchestrator.bench.energy import Energy, energy_of
from orchestrator.bench.records import Goal, Run
from orchestrator.bench.statistics import Statistics, statistics_of
from orchestrator.bench.verdict import Verdict, judge_run


@dataclass(frozen=True, kw_only=True)
class Assessment:
    run: Run
    goal: Goal
    figures: Statistics
    ceiling: Ceiling
    energy: Energy | None
    verdict: Verdict
    run_dir: str


def assess(run: Run, run_dir: str, goal: Goal | None = None) -> Assessment:
    """Judged by the run's own goal, or by another one (`bench report RUN --target N`)."""
    asked = goal or run.goal
    figures = statistics_of(run)
    ceiling = ceiling_at(run.limits, figures.tokens_per_doc, figures.docs_per_s)
    return Assessment(
        run=run,
        goal=asked,
        figures=figures,
        ceiling=ceiling,
        energy=energy_of(run, figures),
        verdict=judge_run(run, figures, ceiling, asked),
        run_dir=run_dir,
    )


def bench_data(assessment: Assessment) -> dict[str, Any]:
    """`data` of `bench --json`. Keys may be added, none removed."""
    run, figures, ceiling = assessment.run, assessment.figures, assessment.ceiling
    interval = figures.docs_per_s_interval
    return {
        "docs_per_s": figures.docs_per_s,
        "docs_per_s_interval": [interval.low, interval.high] if interval else None,
        "tokens_per_s": figures.tokens_per_s,
        "tokens_per_doc": figures.tokens_per_doc,
        "requests": figures.requests,
        "errors": {name: count for name, count in figures.outcomes.items() if name != "ok"},
        "latency_ms": {"p50": figures.latency.p50, "p90": figures.latency.p90, "p99": figures.latency.p99}
        | {"p95": figures.latency.p95, "max": figures.latency.max, "n": figures.latency.n},
        "client": {"valid": run.client.valid, "cpu_s": run.client.cpu_s, "reason": run.client.reason},
        "limits": msgspec.to_builtins(ceiling)
        | {
            "ceiling_docs_per_s": ceiling.docs_per_s,
            "peak_tflops": run.limits.peak_tflops,
            "measured_peak": msgspec.to_builtins(run.limits.measured),
        },
        "verdict": msgspec.to_builtins(assessment.verdict),
        "run_dir": assessment.run_dir,
        "steadiness": msgspec.to_builtins(figures.steadiness),
        "energy": msgspec.to_builtins(assessment.energy),
        "goal": msgspec.to_builtins(assessment.goal),
        "load": msgspec.to_builtins(run.load),
        "model": run.endpoint.model,
        "wrongs": msgspec.to_builtins(run.wrongs),
        "failures": msgspec.to_builtins(run.failures),
        "fingerprint": run.fingerprint,
    }
