"""What only a diagnosis reads of a card: the real pynvml against the stand-in library."""

import json
import subprocess
import sys

import pytest

from orchestrator.facts import gpu_health
from orchestrator.facts.records import Unreadable
from tests.standins.nvml.build import environment

READ = """
import json, msgspec
from orchestrator.facts.gpu_health import free_bytes, read_health
answers = (read_health("GPU-standin-0"), read_health("GPU-other"), free_bytes("GPU-standin-0"), free_bytes("GPU-other"))
print(json.dumps(msgspec.to_builtins(answers)))
"""


def read(folder, **change):
    env = environment(folder, "NVIDIA H100,81559,100,9,0,retired=2,failure=1,util=63") | change
    done = subprocess.run([sys.executable, "-c", READ], env=env, capture_output=True, check=True)
    return json.loads(done.stdout)


def test_what_a_card_tells(standin_nvml):
    health, other, free, free_of_other = read(standin_nvml)
    assert (health["bus"], health["retired_pages"], health["busy_percent"]) == ("0000:01:00", 2, 63)
    assert (health["remap_pending"], health["remap_failed"]) == (False, True)
    assert other["code"] == free_of_other["code"] == "not_found"
    assert free == (81559 - 300 - 100) * 2**20


def test_each_refusal_is_kept_by_its_field(standin_nvml):
    health, *_ = read(standin_nvml, STANDIN_NVML_ALL="3")
    assert health["retired_pages"] is None
    assert set(health["unreadable"]) == {"bus", "retired_pages", "remap", "busy_percent"}


def test_no_library(monkeypatch):
    monkeypatch.setattr(gpu_health, "library_found", lambda: False)
    for answer in (gpu_health.read_health("GPU-x"), gpu_health.free_bytes("GPU-x")):
        assert isinstance(answer, Unreadable)
        assert answer.code == "no_library"


@pytest.mark.parametrize("code", ["9", "18"])
def test_a_driver_that_does_not_start(standin_nvml, code):
    assert all(
        answer["code"] in ("no_driver", "version_mismatch") for answer in read(standin_nvml, STANDIN_NVML_INIT=code)
    )
