"""Our reading of NVML through the real pynvml, against a stand-in library (never a GPU's behaviour)."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from orchestrator.facts.gpu import absent_entries, visible_gpus
from orchestrator.facts.records import Gpu, GpuFacts
from tests.standins.nvml.build import environment

RTX_3060 = "NVIDIA GeForce RTX 3060,12288,1,8,6"
READ = """
import json, msgspec, os, sys
from orchestrator.facts.gpu import read_gpus
found = []
for change in json.loads(sys.argv[1]):
    os.environ.update(change)
    found.append(read_gpus())
    for name in change:
        del os.environ[name]
sys.stdout.buffer.write(msgspec.json.encode(found))
"""
MIB = 2**20


def read_all(folder: Path, gpus: str, changes: list[dict[str, str]]) -> list[GpuFacts]:
    """In one child (LD_LIBRARY_PATH counts only at a process's start), once for each change of the environment."""
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(changes)],
        env=environment(folder, gpus),
        capture_output=True,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=list[GpuFacts])


def read(folder: Path, gpus: str, **change: str) -> GpuFacts:
    return read_all(folder, gpus, [change])[0]


def test_reads_one_card(standin_nvml):
    facts = read(standin_nvml, RTX_3060 + ",pid=1,throttle=4,cores=3584,clock=2100")
    (gpu,) = facts.gpus
    assert (gpu.name, gpu.uuid, gpu.index) == ("NVIDIA GeForce RTX 3060", "GPU-standin-0", 0)
    assert (gpu.total_bytes, gpu.used_bytes, gpu.reserved_bytes) == (12288 * MIB, 1 * MIB, 300 * MIB)
    assert gpu.free_bytes == (12288 - 300 - 1) * MIB
    assert gpu.compute_capability == (8, 6)
    assert gpu.architecture == "Ampere"
    assert (gpu.power_draw_w, gpu.power_limit_w) == (15.5, 170.0)
    assert gpu.throttle_reasons == ("software_power_cap",)
    assert (gpu.cuda_cores, gpu.max_sm_clock_mhz) == (3584, 2100)
    assert (gpu.pcie.generation, gpu.pcie.max_width) == (3, 16)
    assert gpu.processes[0].pid == 1
    assert gpu.processes[0].used_bytes == 1 * MIB
    assert gpu.unreadable["ecc_enabled"].code == "not_supported"
    assert (facts.driver, facts.cuda) == ("580.95.05", "13.0")


def test_old_driver_without_memory_v2_counts_the_reserve_as_used(standin_nvml):
    (gpu,) = read(standin_nvml, RTX_3060 + ",v1=1").gpus
    assert gpu.reserved_bytes is None
    assert gpu.used_bytes == 301 * MIB
    assert gpu.free_bytes == (12288 - 301) * MIB


def test_ecc_throttling_power_and_link_of_a_data_centre_card(standin_nvml):
    card = "NVIDIA A100-SXM4-80GB,81920,700,8,0,ecc=2,throttle=104"
    (gpu,) = read(standin_nvml, card).gpus
    assert (gpu.ecc_enabled, gpu.ecc_uncorrected) == (True, 2)
    assert gpu.throttle_reasons == ("hardware_slowdown", "software_thermal", "hardware_thermal")
    assert (gpu.power_draw_w, gpu.power_limit_w, gpu.power_default_w) == (15.5, 170.0, 170.0)
    link = gpu.pcie
    assert (link.generation, link.width, link.max_generation, link.max_width) == (3, 8, 4, 16)
    assert (gpu.persistence, gpu.temperature_c, gpu.compute_mode, gpu.mig_enabled) == (True, 41, "default", False)


def test_every_code_of_nvml_is_a_value(standin_nvml):
    """Whatever init answers: no card, a code of ours, NVML's number in the reason."""
    import pynvml

    numbers = sorted(value for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_"))
    assert len(numbers) >= 30
    found = read_all(standin_nvml, RTX_3060, [{"STANDIN_NVML_INIT": str(number)} for number in numbers])
    for number, facts in zip(numbers, found, strict=True):
        assert facts.gpus == ()
        assert facts.error is not None
        assert f"NVML {number}" in facts.error.reason
        assert facts.error.code


def test_init_errors_are_values(standin_nvml):
    codes = {
        9: "no_driver",
        18: "version_mismatch",
        4: "no_permission",
        15: "gpu_lost",
        10: "timeout",
        17: "operating_system",
        20: "no_memory",
        999: "nvml_error",
    }
    found = read_all(standin_nvml, RTX_3060, [{"STANDIN_NVML_INIT": str(code)} for code in codes])
    for (code, name), facts in zip(codes.items(), found, strict=True):
        assert facts.gpus == ()
        assert facts.error is not None
        assert facts.error.code == name
        assert str(code) in facts.error.reason


def test_no_library_is_a_value():
    done = subprocess.run(
        [sys.executable, "-c", READ, "[{}]"], capture_output=True, check=True, env={"PATH": "/usr/bin"}
    )
    (facts,) = msgspec.json.decode(done.stdout, type=list[GpuFacts])
    if facts.gpus:
        pytest.skip("this machine has a GPU")
    assert facts.error is not None
    assert facts.error.code in {"no_library", "no_driver"}


def test_every_field_error_is_kept_with_its_reason(standin_nvml):
    """Only uuid, name, memory and capability answer: the card is still there, each other field says why not."""
    codes = [*range(1, 30), 999]
    found = read_all(standin_nvml, RTX_3060, [{"STANDIN_NVML_ALL": str(code)} for code in codes])
    for code, facts in zip(codes, found, strict=True):
        (gpu,) = facts.gpus
        assert gpu.temperature_c is None
        assert gpu.processes == ()
        assert f"NVML {code}" in gpu.unreadable["power_draw_w"].reason
        assert {"temperature_c", "compute_mode", "processes", "pcie.width"} <= set(gpu.unreadable)


def test_lost_card_is_an_error_not_a_traceback(standin_nvml):
    facts = read(standin_nvml, RTX_3060, STANDIN_NVML_HANDLE="15")
    assert facts.gpus == ()
    assert facts.error is not None
    assert facts.error.code == "gpu_lost"


def test_unified_memory(standin_nvml):
    (gpu,) = read(standin_nvml, "Orin (nvgpu),0,0,8,7", STANDIN_NVML_MEMORY="3").gpus
    assert gpu.total_bytes is None
    assert gpu.unified_memory
    assert gpu.unreadable["memory"].code == "not_supported"


def test_mig_slices_are_cards_of_their_own(standin_nvml):
    facts = read(standin_nvml, "NVIDIA A100-SXM4-80GB,81920,700,8,0,mig=2")
    assert [gpu.uuid for gpu in facts.gpus] == ["MIG-standin-0-0", "MIG-standin-0-1"]
    assert all(gpu.parent_uuid == "GPU-standin-0" for gpu in facts.gpus)
    assert facts.gpus[0].total_bytes == 81920 // 7 * MIB
    assert facts.gpus[0].name.endswith("MIG 1g.10gb")


def test_exclusive_mode_and_its_holder(standin_nvml):
    (gpu,) = read(standin_nvml, RTX_3060 + ",mode=3,pid=1").gpus
    assert gpu.compute_mode == "exclusive_process"
    assert gpu.processes


def test_cuda_visible_devices_through_the_library(standin_nvml):
    two = f"{RTX_3060};NVIDIA GeForce RTX 3090,24576,10,8,6"
    facts = read(standin_nvml, two, CUDA_VISIBLE_DEVICES="1", CUDA_DEVICE_ORDER="PCI_BUS_ID")
    assert [gpu.name for gpu in facts.gpus] == ["NVIDIA GeForce RTX 3090"]
    assert facts.visible == "CUDA_VISIBLE_DEVICES=1"


def gpu(index: int, parent: str | None = None, uuid: str | None = None) -> Gpu:
    return Gpu(
        index=index,
        uuid=uuid or f"GPU-{index}abc",
        name="x",
        total_bytes=1,
        used_bytes=0,
        free_bytes=1,
        parent_uuid=parent,
    )


def test_a_number_that_cuda_may_understand_otherwise_is_said():
    cards = [msgspec.structs.replace(gpu(0), name="small"), msgspec.structs.replace(gpu(1), name="large")]
    _, note = visible_gpus(cards, {"CUDA_VISIBLE_DEVICES": "0"})
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in note
    for environ in (
        {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
        {"CUDA_VISIBLE_DEVICES": "GPU-1abc"},
    ):
        assert "numbered" not in visible_gpus(cards, environ)[1]
    assert "numbered" not in visible_gpus([gpu(0), gpu(1)], {"CUDA_VISIBLE_DEVICES": "0"})[1]


@pytest.mark.parametrize(
    ("environ", "left"),
    [
        ({}, [0, 1, 2]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, []),
        ({"CUDA_VISIBLE_DEVICES": "2,0"}, [2, 0]),
        ({"CUDA_VISIBLE_DEVICES": "0,7,1"}, [0]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1"}, [1]),
        ({"NVIDIA_VISIBLE_DEVICES": "none"}, []),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, [0, 1, 2]),
        ({"NVIDIA_VISIBLE_DEVICES": "GPU-2abc"}, [2]),
        ({"NVIDIA_VISIBLE_DEVICES": "GPU-2abc,GPU-0abc", "CUDA_VISIBLE_DEVICES": "0"}, [0]),
    ],
)
def test_restrictions(environ, left):
    found, note = visible_gpus([gpu(0), gpu(1), gpu(2)], environ)
    assert [one.index for one in found] == left
    assert (note is None) == (not environ or environ == {"NVIDIA_VISIBLE_DEVICES": "all"})


@pytest.mark.parametrize(
    ("value", "absent"),
    [
        (None, ()),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("0,1", ()),
        ("0, 7", ("7",)),
        ("GPU-gone,1", ("GPU-gone",)),
    ],
)
def test_entries_that_name_no_card(value, absent):
    cards = [Gpu(index=i, uuid=f"GPU-{i}", name="x", total_bytes=1, used_bytes=0, free_bytes=1) for i in range(2)]
    assert absent_entries(cards, {} if value is None else {"CUDA_VISIBLE_DEVICES": value}) == absent
