"""A run, or a sweep, as one page that needs nothing else: no network, no script; light and dark."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.bench.assessment import Assessment
from orchestrator.bench.report import charts
from orchestrator.bench.report.words import (
    MARKS,
    TITLES,
    headline,
    interval_text,
    number,
    percentile_text,
    rows_of,
    share,
)
from orchestrator.bench.sweep_points import Point, knee_of
from orchestrator.bench.verdict import applies
from orchestrator.shipped import shipped_folder

if TYPE_CHECKING:
    from jinja2 import Template

GROUPS = (
    ("host.", "Machine"),
    ("gpu.", "Card"),
    ("image.", "Images"),
    ("package.", "Packages"),
    ("", "Stack"),
)


def page(assessment: Assessment) -> str:
    return _template().render(
        **_told_of(assessment),
        title=headline(assessment),
        verdict_title=TITLES[assessment.verdict.word],
        pictures=_pictures(charts.throughput(assessment), charts.latency_over_time(assessment), *_pair(assessment)),
        sweep=[],
        knees=[],
        points=[],
    )


def sweep_page(points: list[Point], best: Assessment) -> str:
    """The sweep's curves first, then its best point as any other run."""
    word = best.verdict.word
    return _template().render(
        **_told_of(best),
        title=f"sweep of {best.run.endpoint.model}: up to {headline(best)}",
        verdict_title=f"best of {len(points)} points" + (f": {TITLES[word]}" if word != "no_target" else ""),
        pictures=_pictures(charts.throughput(best), None, *_pair(best)),
        sweep=charts.sweep(points),
        knees=knee_of(points),
        points=points,
    )


def _told_of(assessment: Assessment) -> dict[str, Any]:
    """What both pages say of a run."""
    return {
        "word": assessment.verdict.word,
        "mark": MARKS[assessment.verdict.word],
        "a": assessment,
        "big": number(assessment.figures.docs_per_s),
        "length": number(assessment.figures.tokens_per_doc),
        "interval": interval_text(assessment),
        "bars": _bars(assessment),
        "tiles": _tiles(assessment),
        "rows": rows_of(assessment),
        "telemetry": charts.telemetry(assessment),
        "tables": _tables(assessment),
        "number": number,
    }


def _pictures(*rows: charts.Chart | list[charts.Chart] | None) -> list[list[charts.Chart]]:
    return [row if isinstance(row, list) else [row] for row in rows if row]


def _pair(assessment: Assessment) -> list[list[charts.Chart]]:
    """Side by side; the distribution alone gets the whole width."""
    roof = charts.roofline(assessment)
    spread = charts.distribution(assessment, charts.HALF_WIDTH if roof else charts.WIDTH)
    return [[chart for chart in (spread, roof) if chart]]


def _bars(assessment: Assessment) -> list[dict[str, Any]]:
    """Measured, target and ceiling on one scale."""
    figures, goal, ceiling = assessment.figures, assessment.goal, assessment.ceiling
    found: list[tuple[str, float, str]] = [("measured", figures.docs_per_s, assessment.verdict.word)]
    if goal.docs_per_s is not None and applies(goal, figures.tokens_per_doc):
        found.append(("target", goal.docs_per_s, "target"))
    if ceiling.realistic_docs_per_s is not None:
        found.append(("published runs", ceiling.realistic_docs_per_s, "realistic"))
    if ceiling.docs_per_s is not None:
        found.append(("ceiling", ceiling.docs_per_s, "ceiling"))
    longest = max(value for _, value, _ in found) or 1.0
    return [
        {"name": name, "text": number(value), "percent": f"{value / longest * 100:.2f}", "kind": kind}
        for name, value, kind in found
    ]


def _tiles(assessment: Assessment) -> list[dict[str, str]]:
    figures, ceiling, energy = assessment.figures, assessment.ceiling, assessment.energy
    latency = figures.latency
    tiles = [{"name": "tokens/s", "value": number(figures.tokens_per_s), "detail": "special tokens included"}]
    for name, percentile in (("p50", 0.5), ("p99", 0.99)):
        value = getattr(latency, name)
        text = f"{number(value)} ms" if value is not None else "—"
        detail = "from the intended time" if value is not None else percentile_text(latency, name, percentile)
        tiles.append({"name": f"latency {name}", "value": text, "detail": detail})
    if ceiling.share_of_peak is not None:
        peak = number(assessment.run.limits.peak_tflops or 0)
        tiles.append(
            {"name": "of the peak", "value": share(ceiling.share_of_peak), "detail": f"{peak} TFLOPS, data sheet"}
        )
    if ceiling.share_of_measured is not None and assessment.run.limits.measured is not None:
        peak = number(assessment.run.limits.measured.tflops)
        tiles.append(
            {
                "name": "of a matrix product",
                "value": share(ceiling.share_of_measured),
                "detail": f"{peak} TFLOPS, measured",
            }
        )
    errors = share(figures.error_share) if figures.errors else "0"
    tiles.append({"name": "errors", "value": errors, "detail": f"{figures.errors} of {figures.requests} requests"})
    if energy is not None and energy.j_per_million_tokens is not None:
        idle = f"idle {number(energy.idle_w)} W" if energy.idle_w is not None else "idle was not read"
        value = f"{number(energy.j_per_million_tokens)} J"
        tiles.append({"name": "per million tokens", "value": value, "detail": f"{number(energy.mean_w)} W, {idle}"})
    return tiles


def _tables(assessment: Assessment) -> list[dict[str, Any]]:
    run = assessment.run
    load = {name: str(value) for name, value in msgspec.structs.asdict(run.load).items() if value is not None}
    client = {name: str(value) for name, value in msgspec.structs.asdict(run.client).items() if value not in (None, "")}
    outcomes = {name.replace("_", " "): str(count) for name, count in assessment.figures.outcomes.items()}
    tables = [
        {"name": "Load", "rows": {"endpoint": run.endpoint.url, "api": run.endpoint.api, **load}},
        {"name": "Outcomes of the requests", "rows": outcomes},
        {"name": "Client", "rows": client},
    ]
    left = dict(run.fingerprint)
    for prefix, name in GROUPS:
        rows = {key.removeprefix(prefix): str(left.pop(key)) for key in list(left) if key.startswith(prefix)}
        if rows:
            tables.append({"name": name, "rows": rows})
    return tables


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(shipped_folder("templates")),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("bench-report.html.j2")
