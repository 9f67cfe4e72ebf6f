"""`bench compare`: two stored measurements, each one run or several; unlike conditions are refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.bench.assessment import assess
from orchestrator.bench.compare import Comparison, Regression, compare, regression_of
from orchestrator.bench.fingerprint import unlike_runs
from orchestrator.bench.records import Run
from orchestrator.bench.store import is_sweep, read_run, read_sweep
from orchestrator.errors import EXIT_OK, EXIT_USAGE, EXIT_VERDICT, OrchestratorError
from orchestrator.result import Result


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What may differ, and how much may be lost."""

    force: bool = False
    allowed: tuple[str, ...] = ()
    """Fields, or groups of fields (`package`), that may differ."""
    max_regression: float | None = None


@dataclass(frozen=True, kw_only=True)
class Compared:
    comparison: Comparison
    regression: Regression | None
    differing: tuple[str, ...]
    a: str
    b: str


def compare_stored(a: Path, b: Path, terms: Terms) -> Compared:
    return compare_measured(read_runs(a), read_runs(b), terms, a=str(a), b=str(b))


def compare_measured(first: Sequence[Run], second: Sequence[Run], terms: Terms, *, a: str, b: str) -> Compared:
    for name, runs in ((a, first), (b, second)):
        for run in runs:
            _refuse_invalid(name, run)
    differing = _refuse_unlike(first, second, terms)
    comparison = compare(first, second)
    if differing:
        note = f"compared although they differ in {'; '.join(differing)}"
        comparison = msgspec.structs.replace(comparison, notes=(*comparison.notes, note))
    regression = regression_of(comparison, terms.max_regression) if terms.max_regression is not None else None
    return Compared(comparison=comparison, regression=regression, differing=differing, a=a, b=b)


def read_runs(path: Path) -> tuple[Run, ...]:
    """One run; or several, made one after the other with the same load and kept together."""
    if not is_sweep(path):
        return (read_run(path),)
    runs = read_sweep(path).points
    for run in runs[1:]:
        differing = unlike_runs(runs[0], run)
        if differing:
            raise OrchestratorError(
                "not_repeated",
                f"{path} is a sweep, not a repetition: its points differ in {'; '.join(differing)}",
                remedy=f"name one of its points, for example {path / 'point-000'}",
                exit_code=EXIT_USAGE,
            )
    return runs


def _refuse_invalid(name: str, run: Run) -> None:
    verdict = assess(run, name).verdict
    if verdict.word == "invalid":
        raise OrchestratorError(
            "run_invalid",
            f"{name} is not a result that could be compared: {verdict.reason}",
            remedy="measure it again",
        )


def _refuse_unlike(first: Sequence[Run], second: Sequence[Run], terms: Terms) -> tuple[str, ...]:
    """The differing fields that were let through."""
    differing = tuple(dict.fromkeys(line for a in first for b in second for line in unlike_runs(a, b)))
    refused = [line for line in differing if not terms.force and not _is_allowed(line, terms.allowed)]
    if refused:
        raise OrchestratorError(
            "unlike",
            f"A and B were measured under unlike conditions: {'; '.join(refused)}",
            remedy="measure both alike; or say what may differ: --allow FIELD (or a group: --allow package); "
            "--force compares whatever it is",
            evidence="\n".join(refused),
            exit_code=EXIT_USAGE,
        )
    return differing


def _is_allowed(line: str, allowed: tuple[str, ...]) -> bool:
    field = line.partition(":")[0]
    return any(field == name or field.startswith(f"{name}.") for name in allowed)


def result_of(compared: Compared) -> Result:
    comparison, regression = compared.comparison, compared.regression
    data: dict[str, Any] = {
        "comparison": msgspec.to_builtins(comparison),
        "regression": msgspec.to_builtins(regression),
        "differing": compared.differing,
        "a": compared.a,
        "b": compared.b,
    }
    failed = regression.regressed if regression is not None else comparison.word == "worse"
    return Result(command="bench", data=data, exit_code=EXIT_VERDICT if failed else EXIT_OK)
