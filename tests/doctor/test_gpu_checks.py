"""Broken cards: the real pynvml reads a stand-in library, and exactly the right check of the catalogue changes.

It tests what we make of what NVML says, never a GPU's behaviour.
"""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import msgspec
import pytest

from orchestrator.doctor.checks import gpu, gpu_health
from orchestrator.doctor.require_cuda import judge
from orchestrator.facts.driver_files import nvidia_cards
from orchestrator.facts.gpu_health import CardHealth
from orchestrator.facts.kernel_log import xids
from orchestrator.facts.records import GpuFacts, PcieLink, Unreadable
from orchestrator.plan.records import Weights, WeightsSource
from tests.doctor.broken import changed, findings, verdicts
from tests.doctor.conftest import CARD, facts_of
from tests.plans import plan_of
from tests.standins.nvml.build import environment

HERE = Path(__file__).parents[2]
GPU_CHECKS = (*gpu.CHECKS, *gpu_health.CHECKS)
CARD_3060 = "NVIDIA GeForce RTX 3060,12288,1,8,6"
IN_A_CHILD = """
import json, os, sys
import msgspec
from orchestrator.doctor.checks import gpu_health
from orchestrator.doctor.context import Context
from orchestrator.facts.gpu import read_gpus
from orchestrator.plan.records import Device
from orchestrator.plan.spec import Spec
from orchestrator.state import StackFolder
from tests.doctor.broken import findings
from tests.doctor.conftest import facts_of, on_free_ports
from tests.plans import plan_of
gpu_health.SPACING_S = 0.01
device = Device(kind="gpu", uuid=os.environ.get("PLANNED", "GPU-standin-0"), name="the planned card", index=0)
plan = on_free_ports(plan_of(gpu=True, engine="native", device=device))
own = dict(os.environ)
for change in json.loads(sys.argv[1]):
    os.environ.update(change)
    context = Context(spec=Spec(), facts=facts_of(gpu=read_gpus()), plan=plan, folder=StackFolder("default"))
    found = findings(context)
    for name in change:
        del os.environ[name]
    os.environ.update(own)
    print(json.dumps({name: [one.verdict, one.evidence, one.reason, one.remedy.text, *one.remedy.commands]
                      for name, one in found.items()}))
"""


def ask(env, home, changes):
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CHILD, json.dumps(changes)],
        env={**env, "ORCHESTRATOR_HOME": str(home)}, capture_output=True, text=True, check=False, cwd=HERE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


BEHIND_PRESENT = (
    "gpu.memory.source", "gpu.vram.free", "gpu.cc", "gpu.dtype", "gpu.driver.cuda", "gpu.vram.stable", "plan.util"
)  # fmt: skip
OF_THE_CARD = ("gpu.ecc_xid", "gpu.throttle", "gpu.mode", "gpu.pcie")
BLIND = dict.fromkeys(("gpu.visible", "gpu.present", *BEHIND_PRESENT, *OF_THE_CARD), "skip")


def card(suffix="", base=CARD_3060):
    return {"STANDIN_NVML_GPUS": base + suffix}


CASES = {
    "the library and the module differ": ({"STANDIN_NVML_INIT": "18"}, {"gpu.nvml": "fail", **BLIND}, "sudo reboot"),
    "the module is not loaded": ({"STANDIN_NVML_INIT": "9"}, {"gpu.nvml": "fail", **BLIND}, "sudo modprobe nvidia"),
    "this user may not": ({"STANDIN_NVML_INIT": "4"}, {"gpu.nvml": "fail", **BLIND}, "ls -l /dev/nvidia*"),
    "the card is lost": ({"STANDIN_NVML_HANDLE": "15"}, {"gpu.nvml": "fail", **BLIND}, "fell off the bus"),
    "no memory is told": (
        {"STANDIN_NVML_MEMORY": "3"},
        dict.fromkeys(("gpu.vram.free", "gpu.vram.stable", "plan.util"), "skip") | {"gpu.memory.source": "warn"},
        "--vram",
    ),
    "too little is free": (
        card(base="NVIDIA GeForce RTX 3060,12288,9000,8,6,pid=1"),
        {"gpu.vram.free": "fail", "plan.util": "skip"},
        "pid 1",
    ),
    "the planned card is gone": (
        {"STANDIN_NVML_GPUS": ""},
        dict.fromkeys((*BEHIND_PRESENT, *OF_THE_CARD), "skip") | {"gpu.present": "fail"},
        "GPU-standin-0",
    ),
    "a variable hides it": (
        {"CUDA_VISIBLE_DEVICES": "-1"},
        dict.fromkeys((*BEHIND_PRESENT, *OF_THE_CARD), "skip") | {"gpu.present": "fail"},
        "unset CUDA_VISIBLE_DEVICES",
    ),
    "a variable names an absent one": (
        {"CUDA_VISIBLE_DEVICES": "3"},
        dict.fromkeys(("gpu.present", *BEHIND_PRESENT, *OF_THE_CARD), "skip") | {"gpu.visible": "fail"},
        "names 3",
    ),
    "a variable names an absent other one too": (
        {"CUDA_VISIBLE_DEVICES": "0,GPU-gone"},
        {"gpu.visible": "warn"},
        "GPU-gone",
    ),
    "it was split since": (
        card(",mig=2", base="NVIDIA H100,81559,1,9,0"),
        dict.fromkeys(("gpu.present", *BEHIND_PRESENT, *OF_THE_CARD), "skip") | {"gpu.visible": "fail"},
        "--gpu MIG-standin-0-0",
    ),
    "it was split into nothing": (
        card(",split=1", base="NVIDIA H100,81559,1,9,0"),
        dict.fromkeys(("gpu.present", *BEHIND_PRESENT[:-1]), "skip") | {"gpu.visible": "fail"},
        "--multi-instance-gpu=0",
    ),
    "another job comes and goes": (card(",swing=700"), {"gpu.vram.stable": "warn"}, "nvidia-smi"),
    "too old for the build": (
        card(base="NVIDIA GeForce GTX 1080,12288,1,6,1"),
        {"gpu.cc": "fail", "gpu.dtype": "skip"},
        "older",
    ),
    "too new for the build": (card(base="NVIDIA R100,98304,1,13,0"), {"gpu.cc": "fail", "gpu.dtype": "skip"}, "newer"),
    "an old driver": (
        {"STANDIN_NVML_DRIVER": "550.163.01", "STANDIN_NVML_CUDA": "12040"},
        {"gpu.driver.cuda": "fail"},
        "550.163.01",
    ),
    "memory errors": (card(",ecc=3"), {"gpu.ecc_xid": "warn"}, "3 uncorrected"),
    "pages put aside": (card(",retired=2"), {"gpu.ecc_xid": "warn"}, "2 memory pages"),
    "rows that wait": (card(",pending=1"), {"gpu.ecc_xid": "warn"}, "--gpu-reset"),
    "no spare row": (card(",failure=1"), {"gpu.ecc_xid": "warn"}, "no spare"),
    "too hot": (card(",throttle=64"), {"gpu.throttle": "warn"}, "hardware_thermal"),
    "a low power limit": (card(",limit=100,default=170"), {"gpu.throttle": "warn"}, "--power-limit=170"),
    "taken for itself": (card(",mode=3,pid=1"), {"gpu.mode": "fail"}, "--compute-mode=DEFAULT"),
    "takes no work": (card(",mode=2"), {"gpu.mode": "fail"}, "prohibited"),
    "persistence is off": (card(",persist=0"), {"gpu.mode": "warn"}, "nvidia-persistenced"),
    "a narrow slot": (card(",width=4"), {"gpu.pcie": "warn"}, "riser"),
    "a slow slot at full load": (card(",gen=1,width=16,util=98"), {"gpu.pcie": "warn"}, "generation 1 of 4"),
}
HARMLESS = {
    "a link that rests": card(",gen=1,width=16,util=0"),
    "the power cap at full load": card(",throttle=4"),
    "exclusive, and free": card(",mode=3"),
    "persistence off, and held loaded by a program": card(",persist=0,pid=1"),
    "ECC without errors": card(",ecc=0"),
    "a later card of a built family": card(base="NVIDIA RTX PRO 6001,98304,1,12,1"),
    "named by the beginning of its uuid": {"CUDA_VISIBLE_DEVICES": "GPU-stand"},
}


@pytest.fixture(scope="module")
def asked(standin_nvml, tmp_path_factory):
    """The healthy machine, then each case, in one child (LD_LIBRARY_PATH counts only at a process's start)."""
    changes = [{}, *(change for change, _, _ in CASES.values()), *HARMLESS.values()]
    found = ask(environment(standin_nvml, CARD_3060), tmp_path_factory.mktemp("home"), changes)
    return dict(zip(("healthy", *CASES, *HARMLESS), found, strict=True))


def difference(healthy, broken):
    assert healthy.keys() == broken.keys()
    return {name: broken[name][0] for name in broken if broken[name][0] != healthy[name][0]}


def test_a_healthy_card_warns_of_nothing(asked):
    for check in GPU_CHECKS:
        assert asked["healthy"][check.id][:1] == ["pass"], asked["healthy"][check.id]


@pytest.mark.parametrize("case", CASES)
def test_exactly_the_right_check_changes(asked, case):
    _, expected, word = CASES[case]
    assert difference(asked["healthy"], asked[case]) == expected
    (culprit,) = (name for name, verdict in expected.items() if verdict != "skip")
    said = "\n".join(asked[case][culprit])
    assert word in said
    assert all(asked[case][culprit][2:4])  # a reason and a remedy


@pytest.mark.parametrize("case", HARMLESS)
def test_nothing_changes(asked, case):
    assert difference(asked["healthy"], asked[case]) == {}


def test_no_library_at_all(asked, tmp_path):
    """The same machine without the stand-in in its path: really no libnvidia-ml.so.1, unless a card is here."""
    env = {key: value for key, value in environment(tmp_path, "").items() if key != "LD_LIBRARY_PATH"}
    (broken,) = ask(env, tmp_path, [{}])
    if broken["gpu.nvml"][0] == "pass":
        pytest.skip("this machine has a GPU")
    assert difference(asked["healthy"], broken) == {"gpu.nvml": "fail", **BLIND}


def test_a_slice_that_is_planned(standin_nvml, tmp_path):
    env = environment(standin_nvml, "NVIDIA H100,143360,1,9,0,mig=2,pid=1")
    healthy, gone = ask(
        {**env, "PLANNED": "MIG-standin-0-1"}, tmp_path, [{}, {"CUDA_VISIBLE_DEVICES": "MIG-standin-0-0"}]
    )
    assert {name: healthy[name][0] for name in ("gpu.visible", "gpu.present", "gpu.cc")} == dict.fromkeys(
        ("gpu.visible", "gpu.present", "gpu.cc"), "pass"
    )
    assert difference(healthy, gone)["gpu.present"] == "fail"


# Without a card, and a CPU plan


def without(code, reason="so it is"):
    return facts_of(gpu=GpuFacts(error=Unreadable(code=code, reason=reason)))


@pytest.mark.parametrize("planned", [True, False])
def test_a_machine_without_any_card_hears_nothing_of_cards(context, monkeypatch, planned):
    monkeypatch.setattr(gpu, "nvidia_cards", tuple)
    found = findings(context(facts=without("no_library"), **({} if planned else {"plan": None})), GPU_CHECKS)
    assert {one.verdict for one in found.values()} == {"skip"}


def test_a_card_without_a_driver_is_worth_a_word(context, monkeypatch, tmp_path):
    before = verdicts(context(facts=without("no_library")))
    device = tmp_path / "root/sys/bus/pci/devices/0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030000\n")
    monkeypatch.setattr(gpu, "nvidia_cards", partial(nvidia_cards, root=tmp_path / "root"))
    looked = context(facts=without("no_library"))
    assert changed(before, looked)["gpu.nvml"] == "warn"
    assert "0000:01:00.0" in findings(looked, GPU_CHECKS)["gpu.nvml"].evidence
    meant = msgspec.structs.replace(looked, spec=msgspec.structs.replace(looked.spec, gpu="none"))
    assert findings(meant, GPU_CHECKS)["gpu.nvml"].verdict == "skip"


@pytest.mark.parametrize("code", ["no_driver", "version_mismatch", "timeout", "nvml_error"])
def test_a_broken_driver_warns_a_cpu_plan_and_fails_where_nothing_is_planned(context, code):
    assert findings(context(facts=without(code)), GPU_CHECKS)["gpu.nvml"].verdict == "warn"
    assert findings(context(facts=without(code), plan=None), GPU_CHECKS)["gpu.nvml"].verdict == "fail"


def test_a_cpu_plan_asks_nothing_of_a_healthy_card(context):
    found = findings(context(), GPU_CHECKS)
    assert {name for name, one in found.items() if one.verdict == "pass"} == {"gpu.nvml"}
    assert {one.verdict for one in found.values()} == {"pass", "skip"}


# Types


def typed(dtype, **changes):
    weights = Weights(
        format="safetensors", dtype=dtype, bytes=2**30, source=WeightsSource(kind="folder", reference="/models/m")
    )
    return plan_of(gpu=True, engine="native", weights=weights, **changes)


def test_types_that_the_card_or_the_model_cannot_bear(context):
    turing = facts_of(
        gpu=GpuFacts(gpus=(msgspec.structs.replace(CARD, compute_capability=(7, 5)),), driver="580.95", cuda="13.0")
    )
    healthy = context(plan=typed("float32"))
    broken = context(plan=typed("bfloat16"), facts=turing)
    assert findings(context(plan=typed("bfloat16")), GPU_CHECKS)["gpu.dtype"].verdict == "pass"
    assert changed(healthy, broken, GPU_CHECKS) == {"gpu.dtype": "fail"}
    card = msgspec.structs.replace(typed("float16").card, fp16_safe=False)
    assert changed(healthy, context(plan=typed("float16", card=card)), GPU_CHECKS) == {"gpu.dtype": "fail"}
    safe = msgspec.structs.replace(card, fp16_safe=True)
    assert changed(healthy, context(plan=typed("float16", card=safe)), GPU_CHECKS) == {}


# The kernel's log, recorded


KMSG = """\
6,812,2812345,-;NVRM: loading NVIDIA UNIX x86_64 Kernel Module  580.95.05  Release Build
3,901,98123456,-;NVRM: Xid (PCI:0000:01:00): 31, pid=4211, name=python3, Ch 00000008, MMU Fault
{line}
6,903,98999999,-;usb 1-2: new high-speed USB device
"""


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (
            "3,902,1,-;NVRM: Xid (PCI:0000:01:00): 79, pid='<unknown>', GPU has fallen off the bus.",
            "bad",
        ),
        ("3,902,1,-;NVRM: Xid (PCI:0000:01:00): 48, pid=1, An uncorrectable double bit error (DBE)", "bad"),
        ("3,902,1,-;NVRM: Xid (PCI:0000:41:00): 79, pid=1, GPU has fallen off the bus.", "pass"),
        ("3,902,1,-;NVRM: Xid (PCI:0000:01:00): 13, pid=1, Graphics Exception", "pass"),
    ],
)
def test_faults_of_the_card_in_the_kernels_log(tmp_path, line, verdict):
    log = tmp_path / "kmsg"
    log.write_text(KMSG.format(line=line))
    answer = gpu_health.faults_answer(CARD, CardHealth(bus="0000:01:00"), xids(log))
    assert answer.verdict == verdict, answer


def test_a_log_that_may_not_be_read_is_no_fault(tmp_path):
    log = xids(tmp_path / "nothing")
    assert isinstance(log, Unreadable)
    answer = gpu_health.faults_answer(CARD, CardHealth(), log)
    assert answer.verdict == "pass"
    assert "No such file" in answer.evidence


@pytest.mark.parametrize(
    ("generation", "width", "busy", "verdict"),
    [(4, 16, 99, "pass"), (3, 16, 99, "pass"), (2, 16, 99, "bad"), (1, 16, 3, "pass"), (1, 16, None, "pass"),
     (4, 8, 0, "pass"), (4, 4, 0, "bad"), (None, 16, 0, "skip")],
)  # fmt: skip
def test_half_of_the_link_is_enough(generation, width, busy, verdict):
    link = PcieLink(generation=generation, width=width, max_generation=4, max_width=16)
    assert gpu_health.link_answer(CARD, link, busy).verdict == verdict


# What an image asks for


@pytest.mark.parametrize(
    ("requirement", "cuda", "driver", "verdict"),
    [
        ("cuda>=13.0", "13.0", "580.95.05", "holds"),
        ("cuda>=13.0", "12.4", "550.163.01", "fails"),
        ("cuda>=12.8 brand=tesla,driver>=535,driver<536", "12.2", "535.183.01", "for_some_brands"),
        ("cuda>=12.8 brand=tesla,driver>=535,driver<536", "12.4", "550.163.01", "fails"),
        ("cuda>=12.8 brand=tesla,driver>=535,driver<536", "13.0", "580.65.06", "holds"),
        ("driver>=531", "12.4", "550.163.01", "holds"),
        ("driver>=531", "11.8", "520.61.05", "fails"),
        ("cuda>=12.8", None, None, "holds"),
        ("", "12.4", "550.1", "holds"),
    ],
)
def test_requirements_as_images_write_them(requirement, cuda, driver, verdict):
    assert judge(requirement, cuda=cuda, driver=driver) == verdict
