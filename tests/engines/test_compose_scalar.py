"""Any value survives YAML and Compose."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engines.compose_scalar import scalar, text

ANY_TEXT = st.text(st.characters(exclude_categories=("Cs",)))


@given(ANY_TEXT)
def test_every_text_is_read_back(value: str) -> None:
    for written in (scalar(value), text(value)):
        assert "\n" not in written
        read = yaml.safe_load(f"key: {written}\nnext: 1")
        assert read == {"key": value.replace("$", "$$"), "next": 1}


@given(ANY_TEXT)
def test_also_inside_a_flow_list(value: str) -> None:
    assert yaml.safe_load(f"[{text(value)}, {text(value)}]") == [value.replace("$", "$$")] * 2


@pytest.mark.parametrize("word", ["yes", "NO", "null", "true", "1.0", "0x1f", "3000", "~", "", "1e3", "a: b", "- x"])
def test_what_yaml_would_take_for_something_else_stays_text(word: str) -> None:
    assert yaml.safe_load(scalar(word)) == word


@pytest.mark.parametrize("word", ["serve", "--host", "-c", "/models/x.gguf", "v0.12.4"])
def test_plain_words_stay_plain(word: str) -> None:
    assert scalar(word) == word
