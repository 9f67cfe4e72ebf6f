import json
import os
import subprocess
import sys
import time

from orchestrator.facts.cached import read_cached
from orchestrator.facts.deadline import read_together
from orchestrator.facts.programs import python_of, read_programs
from orchestrator.facts.read import read_facts
from tests.standins.nvml.build import environment


def test_readers_run_together_and_the_late_one_is_left_out():
    begin = time.monotonic()
    found = read_together(
        {"a": lambda: 1, "b": lambda: 1 / 0, "slow": lambda: time.sleep(5), "also": lambda: time.sleep(0.1) or 2}, 0.4
    )
    assert time.monotonic() - begin < 1
    assert (found["a"], found["also"]) == (1, 2)
    assert isinstance(found["b"], ZeroDivisionError)
    assert "slow" not in found


def test_all_facts_of_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    facts = read_facts(offline=True, engine="native")
    assert facts.host.cores >= 1
    assert facts.docker.error.code == "not_asked"
    assert facts.cached == ()
    assert facts.host.disk[0].free_bytes > 0


def test_a_hanging_driver_does_not_hold_anyone_up(standin_nvml):
    code = (
        "import time; from orchestrator.facts import read; read.DEADLINE_S = 0.5; t = time.monotonic();"
        "f = read.read_facts(offline=True, engine='native'); print(f.gpu.error.code, time.monotonic() - t)"
    )
    env = environment(standin_nvml, "X,1,1,8,6") | {"STANDIN_NVML_INIT_SLEEP": "30"}
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=20)
    code, waited = done.stdout.split()
    assert code == "timeout"
    assert float(waited) < 3
    assert time.monotonic() - begin < 15


def test_cached_models(tmp_path):
    whole, part = tmp_path / "hub--a--b", tmp_path / "hub--c"
    whole.mkdir()
    part.mkdir()
    (whole / ".complete.json").write_text(json.dumps({"bytes": 7}))
    (part / "model.safetensors").write_bytes(b"123")
    assert [(model.key, model.bytes) for model in read_cached(tmp_path)] == [("hub--a--b", 7)]
    assert read_cached(tmp_path / "none") == ()


def test_programs(monkeypatch, tmp_path):
    tool = tmp_path / "llama-server"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = read_programs("3.11")
    assert found.llama_server == str(tool)
    assert found.ollama is None


def test_python_is_the_base_one_not_our_virtual_environment():
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = python_of(version)
    assert found is not None
    assert os.access(found, os.X_OK)
    assert sys.prefix == sys.base_prefix or not found.startswith(sys.prefix)
