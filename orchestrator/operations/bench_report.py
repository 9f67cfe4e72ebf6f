"""`bench report`: a stored run, or a sweep, judged again and shown in the form that was asked for. Measures nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from orchestrator.bench.assessment import Assessment, assess, bench_data
from orchestrator.bench.records import Goal, Sweep
from orchestrator.bench.store import is_sweep, newest_run_folder, read_run, read_sweep
from orchestrator.bench.sweep_points import Point, knee_of, points_of
from orchestrator.errors import usage_error
from orchestrator.result import Result
from orchestrator.state import StackFolder, write_whole

Format = Literal["csv", "markdown", "junit", "html"]
PAGE = "report.html"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the run is judged by, where it is not by its own goal."""

    docs_per_s: float | None = None
    p95_ms: float | None = None
    max_errors: float | None = None


@dataclass(frozen=True, kw_only=True)
class Reported:
    """One run; or the best point of a sweep, with all points."""

    assessment: Assessment
    points: tuple[Point, ...] = ()


def report(path: Path | None, stack: str, asked: Asked) -> Reported:
    """`path` is a run's or a sweep's folder; None: the newest of the stack."""
    folder = path if path is not None else newest_run_folder(StackFolder(stack).path)
    if is_sweep(folder):
        return _of_sweep(folder, read_sweep(folder), asked)
    run = read_run(folder)
    return Reported(assessment=assess(run, str(folder), goal_of(run.goal, asked)))


def _of_sweep(folder: Path, sweep: Sweep, asked: Asked) -> Reported:
    assessments = [assess(run, str(folder), goal_of(run.goal, asked)) for run in sweep.points]
    believed = [one for one in assessments if one.verdict.word != "invalid"] or assessments
    best = max(believed, key=lambda one: one.figures.docs_per_s)
    return Reported(assessment=best, points=tuple(points_of(sweep.points)))


def goal_of(own: Goal, asked: Asked) -> Goal:
    """What was asked for now goes before what was asked for then. A target of now is for the length that was sent."""
    changes: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(asked).items() if value is not None
    }
    if asked.docs_per_s is not None:
        changes["tokens_per_doc"] = None
    return msgspec.structs.replace(own, **changes)


def result_of(reported: Reported) -> Result:
    """The one object of `--json`."""
    assessment = reported.assessment
    data = bench_data(assessment)
    if reported.points:
        data |= {"points": list(reported.points), "knees": knee_of(list(reported.points))}
    return Result(command="bench", data=data, exit_code=assessment.verdict.exit_code)


def text_of(reported: Reported, form: Format) -> str:
    assessment = reported.assessment
    if form == "html":
        from orchestrator.bench.report.html import page, sweep_page

        return sweep_page(list(reported.points), assessment) if reported.points else page(assessment)
    if form == "csv" and reported.points:
        raise usage_error(
            "--format",
            "csv",
            "a sweep has no one table of requests",
            f"name one of its points, for example {assessment.run_dir}/point-000",
        )
    return _views()[form](assessment)


def _views() -> dict[str, Callable[[Assessment], str]]:
    from orchestrator.bench.report.csv import requests_csv
    from orchestrator.bench.report.junit import junit
    from orchestrator.bench.report.markdown import markdown

    return {"csv": lambda assessment: requests_csv(assessment.run), "markdown": markdown, "junit": junit}


def write_report(reported: Reported, form: Format, out: Path | None) -> Path | None:
    """Where it was written; None where it belongs on stdout. A page is always a file: beside its run, if not told."""
    if out is None and form != "html":
        return None
    place = out or Path(reported.assessment.run_dir) / PAGE
    write_whole(place, text_of(reported, form))
    return place
