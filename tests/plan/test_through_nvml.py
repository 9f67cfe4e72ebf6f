"""From a (stand-in) NVML through the real pynvml to a plan, in one child process for all machines."""

import json
import subprocess
import sys

import pytest

from tests.standins.nvml.build import environment

MACHINES = {
    "idle 3060": "NVIDIA GeForce RTX 3060,12288,1,8,6",
    "3060 with 4 GiB taken": "NVIDIA GeForce RTX 3060,12288,4096,8,6",
    "1080 Ti": "NVIDIA GeForce GTX 1080 Ti,11264,1,6,1",
    "T4": "Tesla T4,15360,1,7,5",
    "two cards": "NVIDIA GeForce RTX 3060,12288,1,8,6;NVIDIA GeForce RTX 3090,24576,1,8,6",
    "two small cards": "NVIDIA GeForce RTX 3050,8192,1,8,6;NVIDIA GeForce RTX 3050,8192,1,8,6",
    "MIG": "NVIDIA A100-SXM4-80GB,81920,700,8,0,mig=7",
    "exclusive and taken": "NVIDIA GeForce RTX 3090,24576,500,8,6,mode=3,pid=1",
    "exclusive and free": "NVIDIA GeForce RTX 3090,24576,1,8,6,mode=3",
    "unknown card": "NVIDIA GeForce RTX 3060 Laptop GPU,6144,1,8,6,cores=3840,clock=2100",
    "A10 is not A100": "NVIDIA A10,23028,1,8,6",
}
NVML_CODES = (1, 2, 3, 4, 9, 10, 13, 15, 17, 18, 20, 999)
READ = """
import json, msgspec, os, sys
from orchestrator.catalog.gpus import cards
from orchestrator.catalog.models import models
from orchestrator.catalog.pins import load_pins
from orchestrator.errors import OrchestratorError
from orchestrator.facts.gpu import read_gpus
from orchestrator.facts.read import read_facts
from orchestrator.plan.choose import choose
from orchestrator.plan.simulate import with_all_sources
from orchestrator.plan.spec import Spec

base, found = with_all_sources(read_facts(offline=True)), {}
base = msgspec.structs.replace(base, docker=msgspec.structs.replace(base.docker, gpu=True))
for name, (gpus, knobs) in json.loads(sys.argv[1]).items():
    os.environ |= {"STANDIN_NVML_GPUS": gpus, **knobs}
    facts = msgspec.structs.replace(base, gpu=read_gpus())
    for knob in knobs:
        del os.environ[knob]
    try:
        model = "all-minilm-l6-v2" if "INIT" in str(knobs) or "HANDLE" in str(knobs) else None
        decision = choose(Spec(model=model), facts, models(), cards(), load_pins())
        found[name] = {"plan": decision.plan, "rejected": decision.rejected, "throughput": decision.throughput}
    except OrchestratorError as error:
        found[name] = {"plan": None, "code": error.code, **error.data}
sys.stdout.buffer.write(msgspec.json.encode(found))
"""


@pytest.fixture(scope="module")
def planned(standin_nvml, tmp_path_factory):
    machines = {name: (gpus, {}) for name, gpus in MACHINES.items()}
    machines["unified memory"] = ("Orin (nvgpu),0,0,8,7", {"STANDIN_NVML_MEMORY": "3"})
    machines["lost card"] = (MACHINES["idle 3060"], {"STANDIN_NVML_HANDLE": "15"})
    for number in NVML_CODES:
        machines[f"init answers {number}"] = (MACHINES["idle 3060"], {"STANDIN_NVML_INIT": str(number)})
    env = environment(standin_nvml, "") | {"ORCHESTRATOR_HOME": str(tmp_path_factory.mktemp("home"))}
    done = subprocess.run([sys.executable, "-c", READ, json.dumps(machines)], env=env, capture_output=True, check=True)
    return json.loads(done.stdout)


def chosen(planned, machine):
    plan = planned[machine]["plan"]
    return plan["backend"], plan["weights"]["dtype"], plan["device"]["index"]


def test_an_idle_3060_serves_16_bit(planned):
    assert chosen(planned, "idle 3060") == ("vllm", "bfloat16", 0)
    plan = planned["idle 3060"]["plan"]
    assert plan["max_length"] < 32768
    assert plan["memory"]["free_bytes"] <= 11906 * 2**20
    assert planned["idle 3060"]["throughput"]["verdict"] == "impossible"


def test_with_4_gib_taken_it_serves_q4(planned):
    assert chosen(planned, "3060 with 4 GiB taken") == ("ollama", "Q4_K_M", 0)


def test_1080_ti_never_vllm(planned):
    assert chosen(planned, "1080 Ti")[0] == "ollama"


def test_t4_in_float16(planned):
    assert chosen(planned, "T4") == ("vllm", "float16", 0)


def test_two_cards(planned):
    assert chosen(planned, "two cards") == ("vllm", "bfloat16", 1)
    assert chosen(planned, "two small cards")[0] == "ollama"


def test_mig_slices(planned):
    plan = planned["MIG"]["plan"]
    assert plan["device"]["uuid"].startswith("MIG-standin-0-")
    assert plan["memory"]["free_bytes"] < 12 * 2**30


def test_exclusive_mode(planned):
    taken = planned["exclusive and taken"]
    assert taken["plan"] is None
    assert {one["code"] for one in taken["rejected"]} == {"gpu_exclusive"}
    assert chosen(planned, "exclusive and free")[0] == "vllm"


@pytest.mark.parametrize("number", NVML_CODES)
def test_a_card_that_nvml_cannot_tell_of_is_no_card_and_the_plan_says_why(planned, number):
    found = planned[f"init answers {number}"]
    assert found["plan"]["device"]["kind"] == "cpu"
    assert f"NVML {number}" in found["plan"]["reasons"]["device"]


def test_a_lost_card(planned):
    found = planned["lost card"]
    assert found["plan"]["device"]["kind"] == "cpu"
    assert "fell off the bus" in found["plan"]["reasons"]["device"]


def test_unified_memory_counts_the_machines_ram(planned):
    found = planned["unified memory"]
    numbers = [found["plan"]["memory"]] if found["plan"] else [one for one in found["rejected"] if one["need_bytes"]]
    assert numbers
    assert all(one["free_bytes"] > 0 for one in numbers)


def test_an_unknown_card_is_limited_by_its_own_units(planned):
    assert "30 SMs" in planned["unknown card"]["throughput"]["reason"]


def test_cards_are_matched_by_their_whole_name(planned):
    assert "NVIDIA A10: 125.0 TFLOPS" in planned["A10 is not A100"]["throughput"]["reason"]
