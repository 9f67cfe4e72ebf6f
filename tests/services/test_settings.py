"""The plan's settings as flags and variables."""

from __future__ import annotations

from orchestrator.services.settings import flags_of, variables_of


def test_true_is_a_flag_alone_and_false_is_none() -> None:
    assert flags_of({"--metrics": True, "--no": False, "-t": 2}) == ("--metrics", "-t", "2")


def test_the_plans_value_replaces_the_default_once() -> None:
    assert flags_of({"--port": 9}, {"--host": "h", "--port": 1}) == ("--host", "h", "--port", "9")


def test_a_default_can_be_taken_away() -> None:
    assert flags_of({"--metrics": False}, {"--metrics": True}) == ()


def test_only_capitals_are_variables() -> None:
    assert variables_of({"OLLAMA_X": 1, "ON": True, "num_ctx": 2, "--flag": 3}) == {"OLLAMA_X": "1", "ON": "1"}
