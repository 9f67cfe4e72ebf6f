"""The real kernel's answer, and the words for each."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from orchestrator.facts import clock

PYTHON_ADJTIMEX = "import ctypes; print(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)))"


def test_the_real_kernel_is_asked():
    state = int(subprocess.run([sys.executable, "-c", PYTHON_ADJTIMEX], capture_output=True, check=True).stdout)
    expected = None if state < 0 else state != clock.TIME_ERROR
    assert clock.kernel_clock().yes is expected


@pytest.mark.parametrize(("state", "yes"), [(0, True), (1, True), (5, False), (-1, None)])
def test_what_each_answer_means(monkeypatch, state, yes):
    monkeypatch.setattr(
        clock.ctypes, "CDLL", lambda *_names, **_options: SimpleNamespace(adjtimex=lambda buffer: state)
    )
    found = clock.kernel_clock()
    assert found.yes is yes
    assert found.reason


def test_a_c_library_without_it(monkeypatch):
    monkeypatch.setattr(clock.ctypes, "CDLL", lambda *_names, **_options: SimpleNamespace())
    assert clock.kernel_clock().yes is None
