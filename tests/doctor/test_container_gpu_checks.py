"""The way of a card into a container, broken at each of its places.

The texts are those that the real engine and toolkit gave (measured, or reported upstream); `docker` and `nvidia-ctk`
are stand-ins. tests/integration/test_container_gpu.py asks the real engine.
"""

from functools import partial
from types import SimpleNamespace

import msgspec
import pytest

from orchestrator.doctor.checks import container_gpu, gpu, gpu_health, host
from orchestrator.facts.cdi import read_cdi
from orchestrator.facts.container_toolkit import CgroupSettings, read_cgroup_settings
from orchestrator.facts.records import GpuFacts
from tests.doctor.broken import changed, findings, verdicts
from tests.doctor.conftest import CARD, facts_of
from tests.plans import GPU_UUID, plan_of
from tests.standins.programs import StandInProgram, path_with

DRIVER = "580.95.05"
CARDS = f"GPU 0: NVIDIA GeForce RTX 3060 (UUID: {GPU_UUID})\n"
IMAGE = "docker.io/vllm/vllm-openai:v0.32.0"
ANSWERS = {
    "image inspect": (0, "[]", ""),
    "run ": (0, CARDS, ""),
    "exec ": (0, CARDS, ""),
    "info": (0, "cgroupfs\n", ""),
    "restart": (0, "", ""),
    "rm ": (0, "", ""),
}
REFUSED = (
    'docker: Error response from daemon: could not select device driver "nvidia" with capabilities: [[gpu]]\n\n'
    "Run 'docker run --help' for more information\n"
)
NOT_INJECTED = (
    "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: "
    'unable to start container process: exec: "nvidia-smi": executable file not found in $PATH: unknown\n'
)
HOOK_FAILED = (
    "docker: Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime "
    "create failed: runc create failed: unable to start container process: error during container init: error running "
    "prestart hook #0: exit status 1, stdout: , stderr: Auto-detected mode as 'legacy'\nnvidia-container-cli: "
    "initialization error: nvml error: driver not loaded: unknown\n"
)
CDI_GONE = (
    "docker: Error response from daemon: CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=0\n"
)
LOST = "Failed to initialize NVML: Unknown Error\n"


@pytest.fixture
def docker(tmp_path, monkeypatch):
    program = StandInProgram(tmp_path / "bin", "docker", ANSWERS)
    monkeypatch.setenv("PATH", path_with(tmp_path / "bin"))
    return program


@pytest.fixture
def toolkit(tmp_path, docker):
    said = "NVIDIA Container Toolkit CLI version 1.18.2\ncommit: 51b8a1a2\n"
    return StandInProgram(tmp_path / "bin", "nvidia-ctk", {"--version": (0, said, "")})


def facts_with(**docker):
    facts = facts_of(gpu=GpuFacts(gpus=(CARD,), driver=DRIVER, cuda="13.0"))
    usual = {"gpu": True, "runtimes": ("nvidia", "runc")}
    return msgspec.structs.replace(facts, docker=msgspec.structs.replace(facts.docker, **(usual | docker)))


@pytest.fixture
def machine(context, toolkit, tmp_path, monkeypatch):
    """A plan for a card in a container on a machine that has all for it; `cdi(...)` writes a specification."""
    monkeypatch.setattr(container_gpu, "read_cdi", partial(read_cdi, root=tmp_path / "root"))
    monkeypatch.setattr(container_gpu, "read_cgroup_settings", partial(read_cgroup_settings, root=tmp_path / "root"))

    def make(facts=None, **changes):
        return context(plan=plan_of(gpu=True), facts=facts or facts_with(), **changes)

    return make


@pytest.fixture
def cdi(tmp_path):
    def write(version, *, present=True, text=None):
        root = tmp_path / "root"
        library = root / f"usr/lib/libcuda.so.{version}"
        library.parent.mkdir(parents=True, exist_ok=True)
        if present:
            library.touch()
        file = root / "var/run/cdi/nvidia.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text or SPECIFICATION.format(version=version))

    return write


SPECIFICATION = """\
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
  - name: "0"
    containerEdits:
      deviceNodes: [{{path: /dev/nvidia0}}]
  - name: all
    containerEdits:
      deviceNodes: [{{path: /dev/nvidia0}}]
containerEdits:
  env: [NVIDIA_VISIBLE_DEVICES=void]
  mounts:
    - hostPath: /usr/lib/libcuda.so.{version}
      containerPath: /usr/lib/libcuda.so.{version}
      options: [ro, nosuid, nodev, bind]
"""
NEAR = (*host.CHECKS, *gpu.CHECKS, *gpu_health.CHECKS, *container_gpu.CHECKS)
"""Where several cases differ in a text only: the catalogue without what asks the engine other things."""
BEHIND_RUNTIME = dict.fromkeys(("ctk.cdi", "ctk.smoke", "ctk.cgroup"), "skip")


def test_a_healthy_machine_warns_of_nothing(machine, cdi):
    found = findings(machine(), container_gpu.CHECKS)
    assert {name: one.verdict for name, one in found.items()} == {
        "ctk.installed": "pass", "ctk.runtime": "pass", "ctk.cdi": "pass", "ctk.smoke": "pass", "ctk.cgroup": "pass",
        "ctk.live": "skip",  # nothing runs
    }  # fmt: skip
    cdi(DRIVER)
    assert findings(machine(), container_gpu.CHECKS)["ctk.cdi"].verdict == "pass"


@pytest.mark.parametrize("plan", [plan_of(), plan_of(engine="native"), plan_of(gpu=True, engine="native")])
def test_other_plans_are_not_asked(context, plan):
    found = findings(context(plan=plan), container_gpu.CHECKS)
    assert {one.verdict for one in found.values()} == {"skip"}


# Toolkit and engine


def test_no_toolkit(machine, toolkit):
    before = verdicts(machine(facts_with()))
    toolkit.path.unlink()
    looked = machine(facts_with(gpu=False, runtimes=("runc",)))
    assert changed(before, looked) == {"ctk.installed": "fail", "ctk.runtime": "skip", **BEHIND_RUNTIME}
    assert "install-guide" in findings(looked, container_gpu.CHECKS)["ctk.installed"].remedy.text


def test_a_list_of_cards_that_nothing_can_renew(machine, toolkit):
    before = verdicts(machine())
    toolkit.path.unlink()
    assert changed(before, machine()) == {"ctk.installed": "warn"}


def test_no_nvidia_runtime(machine):
    looked = machine(facts_with(gpu=False, runtimes=("runc",)))
    assert changed(machine(), looked) == {"ctk.runtime": "fail", **BEHIND_RUNTIME}
    finding = findings(looked, container_gpu.CHECKS)["ctk.runtime"]
    assert "sudo nvidia-ctk runtime configure --runtime=docker" in finding.remedy.commands


# CDI, recorded


def only_cdi():
    return facts_with(runtimes=("runc",), cdi_devices=("nvidia.com/gpu=0", "nvidia.com/gpu=all"))


@pytest.mark.parametrize(("facts", "verdict"), [(only_cdi(), "fail"), (facts_with(), "warn")])
def test_a_list_older_than_the_driver(machine, cdi, facts, verdict):
    cdi(DRIVER)
    before = verdicts(machine(facts), NEAR)
    cdi("550.163.01")
    got = changed(before, machine(facts), NEAR)
    assert got == {"ctk.cdi": verdict} | ({"ctk.smoke": "skip"} if verdict == "fail" else {})
    finding = findings(machine(facts), container_gpu.CHECKS)["ctk.cdi"]
    assert "550.163.01" in finding.reason
    assert "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml" in finding.remedy.commands


def test_a_list_that_is_gone(machine, cdi, tmp_path):
    cdi(DRIVER)
    before = verdicts(machine(only_cdi()), NEAR)
    (tmp_path / "root/var/run/cdi/nvidia.yaml").unlink()
    assert changed(before, machine(only_cdi()), NEAR) == {"ctk.cdi": "fail", "ctk.smoke": "skip"}


def test_a_list_of_files_that_are_gone(machine, cdi, tmp_path):
    cdi(DRIVER)
    before = verdicts(machine(only_cdi()), NEAR)
    (tmp_path / f"root/usr/lib/libcuda.so.{DRIVER}").unlink()
    assert changed(before, machine(only_cdi()), NEAR) == {"ctk.cdi": "fail", "ctk.smoke": "skip"}


def test_a_list_that_cannot_be_read(machine, cdi):
    cdi(DRIVER)
    before = verdicts(machine(only_cdi()), NEAR)
    cdi(DRIVER, text="kind: [nvidia.com/gpu\n")
    assert changed(before, machine(only_cdi()), NEAR) == {"ctk.cdi": "fail", "ctk.smoke": "skip"}


def test_another_vendors_list_is_none_of_ours(machine, tmp_path):
    file = tmp_path / "root/etc/cdi/other.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("cdiVersion: 0.5.0\nkind: vendor.com/device\ndevices: []\n")
    assert read_cdi(tmp_path / "root") == ()


# The container that asks for the card


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ((125, "", REFUSED), "no NVIDIA container toolkit"),
        ((125, "", CDI_GONE), "older than the driver"),
        ((125, "", HOOK_FAILED), "no working NVIDIA driver"),
        ((127, "", NOT_INJECTED), "dropped on its way"),
        ((255, LOST, ""), "lost its GPU"),
        ((9, "", "something new\n"), "something new"),
        ((0, "GPU 0: NVIDIA GeForce RTX 3060 (UUID: GPU-another)\n", ""), "another card"),
        ((0, "", ""), "another card"),
    ],
)
def test_a_container_that_does_not_get_the_card(machine, docker, answer, word):
    before = verdicts(machine(), NEAR)
    docker.says({**ANSWERS, "run ": answer})
    assert changed(before, machine(), NEAR) == {"ctk.smoke": "fail"}
    finding = findings(machine(), container_gpu.CHECKS)["ctk.smoke"]
    assert word in finding.reason
    assert finding.remedy.commands


def test_what_is_asked_of_the_engine_and_that_nothing_is_left(machine, docker):
    findings(machine(), container_gpu.CHECKS)
    asked = docker.asked()  # in the order in which checks beside it asked too
    (run,) = (words for words in asked if words[0] == "run")
    assert run[run.index("--gpus") + 1] == f"driver=nvidia,device={GPU_UUID}"
    assert run[-2:] == [IMAGE, "-L"]
    assert (run[1], run[run.index("--pull") + 1], run[run.index("--network") + 1]) == ("--rm", "never", "none")
    name = run[run.index("--name") + 1]
    assert ["rm", "--force", "--volumes", name] in asked[asked.index(run) :]


def test_a_container_that_hangs_is_bounded_and_removed(machine, docker, monkeypatch):
    docker.path.write_text('#!/bin/sh\necho "$1" >> "$0.log"\n[ "$1" = run ] && exec sleep 60\nexit 0\n')
    monkeypatch.setattr(container_gpu, "SMOKE_S", 0.5)
    finding = findings(machine(), (container_gpu.SMOKE,))["ctk.smoke"]
    assert finding.verdict == "fail"
    assert "did not answer in time" in finding.reason
    assert docker.log.read_text().split()[-1] == "rm"


def test_nothing_is_pulled_for_a_check(machine, docker):
    docker.says({**ANSWERS, "image inspect": (1, "[]", f"Error response from daemon: No such image: {IMAGE}\n")})
    finding = findings(machine(), container_gpu.CHECKS)["ctk.smoke"]
    assert finding.verdict == "skip"
    assert IMAGE in finding.reason
    assert not [words for words in docker.asked() if words[0] in ("run", "pull")]


# Losing it again


def settings(links=1, no_cgroups=False):
    return CgroupSettings(no_cgroups=no_cgroups, device_links=links)


@pytest.mark.parametrize(
    ("driver", "found", "rootless", "cdi", "verdict"),
    [
        ("cgroupfs", settings(0), False, False, "pass"),
        ("systemd", settings(2), False, False, "pass"),
        ("systemd", settings(0), False, True, "pass"),
        ("systemd", settings(0), False, False, "bad"),
        ("cgroupfs", settings(1, no_cgroups=True), False, False, "bad"),
        ("none", settings(1, no_cgroups=True), True, False, "pass"),
    ],
)
def test_what_makes_containers_lose_their_card(driver, found, rootless, cdi, verdict):
    assert container_gpu.cgroup_answer(driver, found, rootless=rootless, cdi=cdi).verdict == verdict


def test_the_known_pattern_on_a_whole_machine(machine, docker, tmp_path):
    before = verdicts(machine())
    docker.says({**ANSWERS, "info": (0, "systemd\n", "")})
    assert changed(before, machine()) == {"ctk.cgroup": "warn"}
    links = tmp_path / "root/dev/char"
    links.mkdir(parents=True)
    (links / "195:0").symlink_to("../nvidia0")
    assert findings(machine(), container_gpu.CHECKS)["ctk.cgroup"].verdict == "pass"


def test_no_cgroups_without_need(machine, tmp_path):
    before = verdicts(machine(), NEAR)
    file = tmp_path / "root/etc/nvidia-container-runtime/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[nvidia-container-cli]\nno-cgroups = true\n")
    assert changed(before, machine(), NEAR) == {"ctk.cgroup": "warn"}


# The one that runs


def embedder(container="default-embeddings-1"):
    return (SimpleNamespace(role="embeddings", pid=None, container=container),)


@pytest.mark.parametrize(
    ("answer", "verdict", "word"),
    [
        ((0, CARDS, ""), "pass", ""),
        ((255, LOST, ""), "bad", "lost its GPU"),
        ((0, "GPU 0: x (UUID: GPU-another)\n", ""), "bad", "another card"),
        ((127, "", NOT_INJECTED), "skip", "embed.ready"),
    ],
)
def test_the_running_container(context, docker, answer, verdict, word):
    docker.says({**ANSWERS, "exec ": answer})
    looked = context(plan=plan_of(gpu=True), facts=facts_with(), running=embedder())
    found = container_gpu.live(looked)
    assert found.verdict == verdict
    assert word in found.reason
    assert docker.asked()[-1] == ["exec", "default-embeddings-1", "nvidia-smi", "-L"]


def test_the_fix_restarts_exactly_that_container(context, docker):
    looked = context(plan=plan_of(gpu=True), facts=facts_with(), running=embedder())
    container_gpu.LIVE.fix.apply(looked)
    assert docker.asked() == [["restart", "--time", "30", "default-embeddings-1"]]


def test_nothing_runs(context, docker):
    assert container_gpu.live(context(plan=plan_of(gpu=True), facts=facts_with())).verdict == "skip"
    assert docker.asked() == []


def test_the_servers_image_is_the_planned_one():
    assert container_gpu.server_image(plan_of(gpu=True)) == IMAGE
    assert "llama.cpp:server-cuda" in container_gpu.server_image(plan_of("llamacpp", gpu=True))
    assert "ollama/ollama" in container_gpu.server_image(plan_of("ollama", gpu=True))
