"""Every form of a report: complete, escaped, readable where it will be read."""

import csv
import io
import re
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from rich.console import Console

from orchestrator.bench.assessment import assess
from orchestrator.bench.records import Failure, Goal, Load, MeasuredPeak, Wrong
from orchestrator.bench.report.csv import requests_csv
from orchestrator.bench.report.histogram import log_bins
from orchestrator.bench.report.html import page, sweep_page
from orchestrator.bench.report.junit import cases_of_run, junit
from orchestrator.bench.report.markdown import markdown
from orchestrator.bench.report.plots import Scale, log_ticks, round_ticks
from orchestrator.bench.report.terminal import bar, sparkline, summary, sweep_summary
from orchestrator.bench.report.words import number, share
from orchestrator.bench.sweep_points import knee, lines_of, points_of
from tests.bench.runs import CLIENT, closed_loop, requests_of, run_of, series_of
from tests.bench.test_verdict import PRESET, limits_of, run_at

MEASURED = MeasuredPeak(tflops=23.7, dtype="bfloat16", basis="torch 2.11.0")
NASTY = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def impossible():
    telemetry = (
        series_of("gpu.power", "W", 165.0, end_s=20.5),
        series_of("gpu.memory", "bytes", 9e9),
        series_of("server.tokens", "tokens", np.arange(104.0)),
    )
    limits = msgspec.structs.replace(limits_of(), measured=MEASURED)
    fingerprint = {"gpu.name": "NVIDIA GeForce RTX 3060", "host.cores": 16, "package.vllm": "0.32.0"}
    run = run_at(60, limits=limits, goal=PRESET, telemetry=telemetry, fingerprint=fingerprint)
    return assess(run, "bench/20261128T120000Z")


def printed(renderable, width=80):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def test_the_summary_fits_80_columns_without_colour_and_says_everything(impossible):
    text = printed(summary(impossible))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    flat = " ".join(text.split())
    for words in (
        "target impossible",
        "60 documents/s of 32 tokens",
        "1,920 tokens/s",
        "ceiling 109.5 documents/s",
        "55% of 25.5 TFLOPS",
        "of a matrix product 59%",
        "p50 50 ms",
        "0 of 1199 requests",
        "kept up",
        "J per million tokens",
        "up to 4.4 tokens per document",
        "bench/20261128T120000Z",
    ):
        assert words in flat, words


def test_a_run_without_anything_is_still_a_summary():
    run = run_of(requests_of([], []))
    assert "not one request was answered right" in " ".join(printed(summary(assess(run, "b"))).split())
    assert "<svg" not in page(assess(run, "b"))


def test_percentiles_that_cannot_be_told_say_how_many_requests_are_missing():
    text = printed(summary(assess(run_of(requests_of(np.arange(0, 20, 0.2), 0.1)), "b")))
    assert "n too small (100 of 662)" in " ".join(text.split())


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.1234, "0.123"), (62.81, "62.8"), (109.51, "109.5"), (800.0, "800"), (1640, "1,640")],
)
def test_numbers_have_three_figures(value, text):
    assert number(value) == text


def test_shares_keep_small_ones_visible():
    assert [share(value) for value in (0, 0.0038, 0.05, 0.57, 11.4)] == ["0%", "0.38%", "5%", "57%", "1140%"]


def test_bars_and_sparklines_keep_their_width():
    assert [len(bar(part)) for part in (0, 0.0001, 0.5, 1)] == [36] * 4
    assert bar(0.0001).strip()
    assert sparkline([0, 4, 8]) == "▁▅█"
    assert sparkline([0, 0]) == "▁▁"


def test_the_page_needs_nothing_from_outside(impossible):
    html = page(impossible)
    assert not re.findall(r"""(?:src|href)\s*=|https?://(?!127\.0\.0\.1)|@import|url\(|<script""", html)
    assert "prefers-color-scheme: dark" in html
    for title in ("Throughput over time", "Latency over time", "Latency distribution", "Roofline", "GPU power"):
        assert f"<h2>{title}</h2>" in html, title


def test_every_picture_is_whole_and_inside_its_frame(impossible):
    for svg in re.findall(r"<svg.*?</svg>", page(impossible), re.DOTALL):
        root = ElementTree.fromstring(svg)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        assert "nan" not in svg
        for node in root.iter():
            for name, limit in (("x", width), ("x1", width), ("cx", width), ("y", height), ("y1", height)):
                if name in node.attrib:
                    assert -1 <= float(node.attrib[name]) <= limit + 1, ElementTree.tostring(node)


def test_foreign_words_cannot_break_the_page_or_the_table():
    run = run_of(
        wrongs=(Wrong(kind="model", count=1, example=NASTY),),
        failures=(Failure(outcome="refused", count=2, example=f"500 {NASTY}"),),
        fingerprint={"host.processor": NASTY, "note": "a|b"},
        notes=(NASTY,),
    )
    assessment = assess(run, "b")
    assert NASTY not in page(assessment)
    assert page(assessment).count("&lt;script&gt;") >= 4
    assert "<script>" not in markdown(assessment)
    assert "a\\|b" in markdown(assessment)
    ElementTree.fromstring(junit(assessment))


def test_a_sweep_has_curves_with_their_knee():
    runs = []
    for concurrency in (1, 2, 4, 8, 16):
        requests = closed_loop(concurrency, concurrency=concurrency, mean_s=0.05 * max(1, concurrency / 4))
        runs.append(run_of(requests, load=Load(concurrency=concurrency)))
    points = points_of(reversed(runs))
    (line,) = lines_of(points)
    assert [point.load for point in line] == [1, 2, 4, 8, 16]
    assert knee(line).load == 4
    html = sweep_page(points, assess(runs[-1], "b"))
    assert "Throughput against load" in html
    assert "knee: 4 at once" in html
    text = printed(sweep_summary(points))
    assert max(len(each) for each in text.splitlines()) <= 80
    assert "4 at once gives" in text
    still_rising = points_of(runs[:3])
    assert "still rose at the last point" in " ".join(printed(sweep_summary(still_rising)).split())


def test_csv_has_every_request_with_its_outcome():
    run = run_of(requests_of([-1.0, 0.0, 1.0], [0.1, 0.2, 0.3], outcomes=["ok", "limited", "timed_out"]))
    rows = list(csv.DictReader(io.StringIO(requests_csv(run))))
    assert [row["outcome"] for row in rows] == ["ok", "limited", "timed_out"]
    assert [float(row["latency_ms"]) for row in rows] == pytest.approx([100, 200, 300])
    assert rows[0]["intended_s"] == "-1.000000"


def test_markdown_leads_with_the_verdict_and_the_length(impossible):
    text = markdown(impossible)
    assert text.startswith("## ✗ target impossible: 60 documents/s of 32 tokens\n")
    assert "| ceiling | **109.5 documents/s** |" in text


@pytest.mark.parametrize(
    ("run", "verdicts"),
    [
        (run_at(100, goal=Goal(docs_per_s=90, p95_ms=60)), {"valid": "pass", "target": "pass", "p95": "pass"}),
        (run_at(100, goal=Goal(docs_per_s=110, p95_ms=40)), {"valid": "pass", "target": "fail", "p95": "fail"}),
        (run_at(100, goal=Goal()), {"valid": "pass", "target": "skip", "p95": "skip", "errors": "pass"}),
        (
            run_at(100, goal=Goal(docs_per_s=1), client=msgspec.structs.replace(CLIENT, valid=False, reason="lag")),
            {"valid": "fail", "target": "skip"},
        ),
    ],
)
def test_junit_has_a_case_for_each_promise(run, verdicts):
    assessment = assess(run, "b")
    found = {case.id: case.verdict for case in cases_of_run(assessment)}
    assert verdicts.items() <= found.items()
    root = ElementTree.fromstring(junit(assessment))
    assert int(root.attrib["failures"]) == list(found.values()).count("fail")


def test_an_impossible_target_is_a_failure_that_says_why(impossible):
    root = ElementTree.fromstring(junit(impossible))
    (failure,) = root.iter("failure")
    assert "lie above the ceiling" in failure.attrib["message"]


def test_bins_hold_every_value():
    values = np.array([0.0, 0.4, 1.0, 1.0, 1e5])
    assert sum(one.size for one in log_bins(values[1:], 10)) == 4
    assert sum(one.size for one in log_bins(np.full(7, 50.0), 8)) == 7
    assert log_bins(np.array([]), 8) == []


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 100, [0, 20, 40, 60, 80, 100]), (-3, 20, [0, 5, 10, 15, 20]), (0, 0.9, [0, 0.2, 0.4, 0.6, 0.8])],
)
def test_ticks_are_round(low, high, ticks):
    assert round_ticks(low, high, 5) == pytest.approx(ticks)


def test_log_ticks_thin_out():
    assert log_ticks(10, 5000, 8) == [10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
    assert log_ticks(1e-3, 1e6, 5) == [1e-2, 1, 1e2, 1e4, 1e6]
    assert Scale(low=1, high=100, start=0, end=10, log=True)(10) == pytest.approx(5)
