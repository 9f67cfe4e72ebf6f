"""Docker and Compose, broken one thing at a time: exactly the right check says so, and what hangs on it is skipped.

What can be broken for real is: the PATH, sockets, users, files. Engines and Compose plugins are stand-ins.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import yaml

from orchestrator.doctor.checks import docker as docker_checks
from orchestrator.doctor.checks import docker_kind, docker_network
from orchestrator.doctor.checks.docker_file import bytes_of
from orchestrator.facts import docker as docker_facts
from orchestrator.facts.docker import read_docker
from orchestrator.facts.records import DiskSpace, DockerFacts, Reach, SourceFacts
from orchestrator.plan.spec import Spec
from tests import plans
from tests.doctor.broken import changed, findings, verdicts
from tests.doctor.conftest import facts_of
from tests.doctor.ports import quiet_ports
from tests.standins.docker_engine import StandInEngine

BEHIND_DAEMON = dict.fromkeys(("compose.version", "docker.rootless", "docker.mtu"), "skip")
BEHIND_CONTEXT = {"docker.access": "skip", "docker.daemon": "skip", **BEHIND_DAEMON}
"""Of those that answered `pass` before: what was a skip on the healthy machine stays one."""


@pytest.fixture
def mtus(tmp_path, monkeypatch):
    def write(bridge, uplink):
        for name, mtu in (("docker0", bridge), ("ens3", uplink)):
            (tmp_path / "net" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "net" / name / "mtu").write_text(f"{mtu}\n")
        routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        (tmp_path / "route").write_text(
            f"{routes}wlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
            "ens3\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        )
        monkeypatch.setattr(docker_network, "DEVICES", tmp_path / "net")
        monkeypatch.setattr(docker_network, "ROUTES", tmp_path / "route")

    return write


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """A folder with all of this machine's programs but its docker."""
    links = tmp_path_factory.mktemp("programs")
    for folder in os.environ["PATH"].split(":"):
        for program in Path(folder).glob("*") if Path(folder).is_dir() else ():
            link = links / program.name
            if program.name != "docker" and not link.is_symlink():
                link.symlink_to(program)
    return links


@pytest.fixture
def machine(tmp_path, monkeypatch, mtus, programs):
    """Exactly the Docker that a test puts there: at first a program that knows nothing, no Compose, no engine."""
    mtus(1500, 1500)
    own = tmp_path / "bin"
    own.mkdir()
    (own / "docker").write_text("#!/bin/sh\nexit 1\n")
    (own / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{own}:{programs}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker-config"))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(docker_facts, "PLUGIN_FOLDERS", ())
    return SimpleNamespace(docker=own / "docker", config=tmp_path / "docker-config")


@pytest.fixture
def engine(machine, monkeypatch):
    """`engine(compose=…)`: an engine that answers, and what our reader makes of it."""
    folder = Path(tempfile.mkdtemp(prefix="engine-"))
    folder.chmod(0o755)
    running = []

    def start(compose="2.40.3", silent=False, **info):
        path = folder / f"docker-{len(running)}.sock"
        running.append(StandInEngine(path, info=info, silent=silent))
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        plugin(machine, compose)
        return path

    yield start
    for one in running:
        one.close()
    shutil.rmtree(folder)


def plugin(machine, version):
    """A stand-in for Compose's plugin: it answers `version --short` and nothing else."""
    file = machine.config / "cli-plugins" / "docker-compose"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    if version is not None:
        file.write_text(f"#!/bin/sh\necho {version}\n")
        file.chmod(0o755)


@pytest.fixture
def plan_of():
    """Plans on ports that are this test's own."""
    ports = quiet_ports()
    return lambda *words, **changes: plans.plan_of(*words, **{"ports": ports, **changes})


@pytest.fixture
def seen(context, machine, plan_of):
    """`seen(…)`: a context with the Docker that is here now, asked offline."""

    def make(docker=None, **changes):
        facts = facts_of(docker=docker or read_docker())
        return context(facts=facts, **{"offline": True, "plan": plan_of(), **changes})

    return make


@pytest.fixture
def healthy(engine, seen):
    engine()
    return verdicts(seen())


def test_a_healthy_machine_is_not_alarming(engine, seen):
    engine()
    found = findings(seen())
    mine = {name: f for name, f in found.items() if name.startswith(("docker.", "compose."))}
    assert {f.verdict for f in mine.values()} == {"pass", "skip"}
    assert mine["docker.daemon"].evidence == "docker 28.5.2, API 1.51"
    assert all(f.reason for f in mine.values() if f.verdict == "skip")


# docker.cli, docker.context, docker.access, docker.daemon: one cause, one failure


def test_no_docker_program(healthy, machine, seen):
    machine.docker.unlink()
    broken = seen(docker=DockerFacts(usable=False, error=read_docker().error))
    skipped = {name: "skip" for name in healthy if name.startswith(("docker.", "compose.")) and healthy[name] == "pass"}
    behind = {name: "skip" for name in skipped if name not in ("docker.cli", "docker.shm", "docker.logs")}
    assert changed(healthy, broken) == {"docker.cli": "fail", **behind}
    finding = findings(broken)["docker.cli"]
    assert finding.remedy.commands == ("orchestrator up --engine native",)


def test_no_docker_is_no_failure_where_nobody_asked_for_containers(machine, context, plan_of):
    machine.docker.unlink()
    for changes in ({"plan": None}, {"plan": None, "spec": Spec(engine="native")}, {"plan": plan_of(engine="native")}):
        found = findings(context(offline=True, **changes))
        assert found["docker.cli"].verdict == "skip"
        assert found["docker.daemon"].verdict == "skip"


def test_no_docker_where_compose_was_asked_for(machine, context):
    machine.docker.unlink()
    assert findings(context(offline=True, plan=None, spec=Spec(engine="compose")))["docker.cli"].verdict == "fail"


def test_an_engine_of_another_machine_by_variable(healthy, seen, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "ssh://user@elsewhere")
    broken = seen()
    assert changed(healthy, broken) == {"docker.context": "fail", **BEHIND_CONTEXT}
    finding = findings(broken)["docker.context"]
    assert finding.remedy.commands == ("unset DOCKER_HOST",)
    assert "elsewhere" not in finding.evidence + finding.reason


def test_an_engine_of_another_machine_by_context(healthy, machine, seen, monkeypatch):
    monkeypatch.delenv("DOCKER_HOST")
    (machine.config / "config.json").write_text('{"currentContext": "far"}')
    meta = machine.config / "contexts/meta/abc/meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": "far", "Endpoints": {"docker": {"Host": "tcp://192.0.2.1:2375"}}}))
    broken = seen()
    assert changed(healthy, broken)["docker.context"] == "fail"
    assert findings(broken)["docker.context"].remedy.commands == ("docker context use default",)


def test_a_stopped_engine(healthy, engine, seen, monkeypatch):
    """A real socket that nobody listens on any more, as a killed dockerd leaves it."""
    with tempfile.TemporaryDirectory() as folder:
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(f"{folder}/docker.sock")
        dead.close()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/docker.sock")
        broken = seen()
    assert changed(healthy, broken) == {"docker.daemon": "fail", **BEHIND_DAEMON}
    finding = findings(broken)["docker.daemon"]
    assert finding.evidence.startswith("not_running:")
    assert "sudo systemctl start docker" in finding.remedy.commands


def test_an_engine_that_was_never_started(healthy, seen, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert changed(healthy, seen()) == {"docker.daemon": "fail", **BEHIND_DAEMON}


def test_an_engine_that_hangs(healthy, engine, seen, monkeypatch):
    monkeypatch.setattr(docker_facts, "ANSWER_S", 0.3)
    engine(silent=True)
    broken = seen()
    assert changed(healthy, broken) == {"docker.daemon": "fail", **BEHIND_DAEMON}
    assert "hangs" in findings(broken)["docker.daemon"].reason


def test_a_socket_that_this_user_may_not_use(healthy, engine, seen):
    """A real socket of mode 000, connected by another user than root: the errno is the kernel's."""
    engine().chmod(0)
    broken = seen(docker=as_nobody(read_docker))
    assert changed(healthy, broken) == {"docker.access": "fail", "docker.daemon": "skip", **BEHIND_DAEMON}
    assert "sudo usermod -aG docker $USER" in findings(broken)["docker.access"].remedy.commands


def as_nobody(read):
    """What `read` finds in a process of its own, as the user nobody where we are root."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            os.write(theirs, msgspec.json.encode(read()))
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with os.fdopen(ours, "rb") as answer:
        return msgspec.json.decode(answer.read(), type=DockerFacts)


# compose.version


@pytest.mark.parametrize("version", ["1.29.2", "2.19.1", None])
def test_compose_is_too_old_or_missing(healthy, engine, seen, version):
    engine(compose=version)
    assert changed(healthy, seen()) == {"compose.version": "fail"}


def edited(context, **changes):
    """compose.yaml on the disk, as the plan writes it but for one service's keys."""
    from orchestrator.doctor.rendered import rendered_services

    services = rendered_services(context).services
    for role, keys in changes.items():
        for key, value in keys.items():
            services[role].pop(key, None)
            if value is not None:
                services[role][key] = value
    file = context.folder.rendered / "compose.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"services": services}))
    return context


def test_compose_2_26_honours_our_own_way_of_asking_for_a_gpu(engine, seen, plan_of):
    engine(compose="2.26.1-4")
    finding = findings(seen(plan=plan_of(gpu=True)))["compose.version"]
    assert finding.verdict == "pass"
    assert "deploy" in finding.evidence


def test_compose_2_26_ignores_gpus_without_a_word(engine, seen, plan_of):
    """Measured (facts): rc 0, and the service runs without a GPU."""
    engine(compose="2.26.1-4")
    context = seen(plan=plan_of(gpu=True))
    before = verdicts(context)
    edited(context, embeddings={"deploy": None, "gpus": "all"})
    difference = changed(before, context)
    assert difference.pop("plan.drift", "warn") == "warn"
    assert difference == {"compose.version": "fail"}
    assert "CPU" in findings(context)["compose.version"].reason


def test_a_newer_compose_honours_gpus(engine, seen, plan_of):
    engine(compose="2.40.3")
    context = edited(seen(plan=plan_of(gpu=True)), embeddings={"deploy": None, "gpus": "all"})
    assert findings(context)["compose.version"].verdict == "pass"


# docker.rootless, docker.snap


def test_rootless_with_a_gpu(engine, seen, monkeypatch, tmp_path, plan_of):
    monkeypatch.setattr(docker_kind, "NVIDIA_CONFIG", tmp_path / "config.toml")
    plan = plan_of(gpu=True)
    engine()
    before = verdicts(seen(plan=plan))
    engine(SecurityOptions=["name=seccomp", "name=rootless"])
    assert changed(before, seen(plan=plan)) == {"docker.rootless": "fail"}
    (tmp_path / "config.toml").write_text("[nvidia-container-cli]\nno-cgroups = true\n")
    assert changed(before, seen(plan=plan)) == {}


def test_rootless_without_a_gpu_or_with_cdi_is_well(healthy, engine, seen, plan_of):
    engine(SecurityOptions=["name=rootless"])
    assert changed(healthy, seen()) == {}
    devices = [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]
    engine(SecurityOptions=["name=rootless"], DiscoveredDevices=devices)
    assert findings(seen(plan=plan_of(gpu=True)))["docker.rootless"].verdict == "pass"


def test_docker_desktop_on_linux(healthy, engine, seen, plan_of):
    engine(OperatingSystem="Docker Desktop")
    assert changed(healthy, seen()) == {"docker.rootless": "warn"}
    assert findings(seen(plan=plan_of(gpu=True)))["docker.rootless"].verdict == "fail"


def test_docker_desktop_under_wsl_has_the_gpu(engine, seen, plan_of):
    engine(OperatingSystem="Docker Desktop")
    facts = facts_of(docker=read_docker())
    facts = msgspec.structs.replace(facts, host=msgspec.structs.replace(facts.host, wsl=True))
    context = msgspec.structs.replace(seen(plan=plan_of(gpu=True)), facts=facts)
    assert findings(context)["docker.rootless"].verdict == "pass"


def test_docker_from_a_snap(healthy, engine, seen):
    engine(DockerRootDir="/var/snap/docker/common/var-lib-docker")
    assert changed(healthy, seen()) == {"docker.snap": "warn"}


# host.disk.docker


def test_no_room_for_the_images_that_are_missing(machine, engine, seen, monkeypatch, tmp_path):
    """The file system's numbers are made up; that its images are missing is what the stand-in's empty list says."""
    engine(DockerRootDir=str(tmp_path))
    answers(machine, "exit 0")
    space = DiskSpace(path=str(tmp_path), free_bytes=10**12, total_bytes=10**12)
    monkeypatch.setattr(docker_checks, "disk_space", lambda path: space)
    before = verdicts(seen())
    assert before["host.disk.docker"] == "pass"
    space = msgspec.structs.replace(space, free_bytes=10**8)
    assert changed(before, seen()) == {"host.disk.docker": "fail"}


# docker.proxy


def proxied(machine, **settings):
    machine.config.mkdir(exist_ok=True)
    (machine.config / "config.json").write_text(json.dumps({"proxies": {"default": settings}}))


def test_a_proxy_of_the_client_is_no_matter_for_our_own_file(healthy, machine, seen):
    proxied(machine, httpProxy="http://proxy.example:3128")
    assert changed(healthy, seen()) == {}


def test_a_proxy_that_hides_the_neighbours(machine, engine, seen):
    engine()
    context = seen()
    proxied(machine, httpProxy="http://proxy.example:3128", noProxy="example.com")
    before = verdicts(context)
    edited(context, webui={"environment": ["PORT=8080"]})
    difference = changed(before, context)
    assert difference.pop("plan.drift", "warn") == "warn"
    assert difference == {"docker.proxy": "warn"}
    finding = findings(context)["docker.proxy"]
    assert finding.evidence == "webui: vectors not in NO_PROXY"
    assert "example.com,vectors" in finding.remedy.text
    proxied(machine, httpProxy="http://proxy.example:3128", noProxy="example.com,vectors")
    assert findings(context)["docker.proxy"].verdict == "pass"


# docker.dns: the program's answers are stand-ins here; tests/integration/test_doctor_docker.py asks the real engine


def answers(machine, script):
    machine.docker.write_text(f"#!/bin/sh\n{script}\n")


RUNNING = tuple(
    SimpleNamespace(role=role, pid=7, container=f"x-{role}-1") for role in ("embeddings", "vectors", "webui")
)


def test_a_name_is_asked_inside_the_running_web_interface(machine, engine, seen):
    engine()
    answers(machine, '[ "$1 $2" = "exec x-webui-1" ] && echo "172.18.0.2 $7" || exit 1')
    finding = findings(seen(running=RUNNING))["docker.dns"]
    assert (finding.verdict, finding.evidence) == ("pass", "embeddings → 172.18.0.2; vectors → 172.18.0.2")


def test_a_service_that_was_stopped_has_no_name_and_is_not_asked_for(machine, engine, seen):
    """stack.state tells that it does not run: one cause, one failure."""
    engine()
    answers(machine, '[ "$7" = vectors ] && echo "172.18.0.2 $7"')
    stopped = SimpleNamespace(role="embeddings", pid=None, container="x-embeddings-1")
    finding = findings(seen(running=(stopped, *RUNNING[1:])))["docker.dns"]
    assert (finding.verdict, finding.evidence) == ("pass", "vectors → 172.18.0.2")


def test_a_neighbour_that_is_not_found(machine, engine, seen):
    engine()
    answers(machine, 'echo "172.18.0.2 $7"')
    before = verdicts(seen(running=RUNNING))
    answers(machine, "exit 2")
    assert changed(before, seen(running=RUNNING)) == {"docker.dns": "fail"}


def test_a_name_server_that_only_this_machine_reaches(machine, engine, seen, plan_of):
    """systemd-resolved on 127.0.0.53, or a VPN's: the engine hands containers what they cannot reach."""
    engine()
    ollama = plan_of("ollama")
    sources = SourceFacts(**dict.fromkeys(("hub", "ollama", "pypi", "registry"), Reach(reachable=True)))
    answers(machine, '[ "$7" != registry.ollama.ai ] && echo "172.18.0.2 $7"')
    context = msgspec.structs.replace(seen(plan=ollama, running=RUNNING), offline=False)
    finding = findings(msgspec.structs.replace(context, facts=facts_of(docker=context.facts.docker, sources=sources)))
    assert finding["docker.dns"].verdict == "fail"
    assert "daemon.json" in finding["docker.dns"].remedy.text


def test_an_image_with_nothing_to_ask_with_is_no_failure(machine, engine, seen):
    engine()
    answers(machine, f"exit {docker_network.NO_TOOL}")
    assert findings(seen(running=RUNNING))["docker.dns"].verdict == "skip"


def test_a_docker_that_hangs_over_a_name(machine, engine, seen, monkeypatch):
    engine()
    monkeypatch.setattr(docker_network, "ANSWER_S", 0.2)
    answers(machine, "exec sleep 5")
    finding = findings(seen(running=RUNNING))["docker.dns"]
    assert (finding.verdict, "no answer within" in finding.evidence) == ("fail", True)


# docker.mtu


def test_a_bridge_larger_than_the_uplink(engine, seen, mtus, plan_of):
    engine()
    before = verdicts(seen(plan=plan_of("ollama")))
    mtus(1500, 1400)
    assert changed(before, seen(plan=plan_of("ollama"))) == {"docker.mtu": "warn"}
    finding = findings(seen(plan=plan_of("ollama")))["docker.mtu"]
    assert finding.evidence == "docker0 1500, ens3 1400"
    assert '{"mtu": 1400' in finding.remedy.text


def test_packet_sizes_are_no_matter_where_no_container_fetches_anything(healthy, engine, seen, mtus):
    mtus(1500, 1400)
    assert changed(healthy, seen()) == {}


# docker.shm, docker.logs


@pytest.mark.parametrize("size", [None, "64m", 67108864, "0.5gb"])
def test_too_little_shared_memory(engine, seen, size):
    engine()
    context = seen()
    before = verdicts(context)
    edited(context, embeddings={"shm_size": size})
    difference = changed(before, context)
    assert difference.pop("plan.drift", "warn") == "warn"
    assert difference == {"docker.shm": "fail"}


def test_the_hosts_own_shared_memory_is_enough(engine, seen):
    engine()
    context = edited(seen(), embeddings={"shm_size": None, "ipc": "host"})
    assert findings(context)["docker.shm"].verdict == "pass"


def test_llamacpp_shares_no_memory(engine, seen, plan_of):
    engine()
    assert findings(seen(plan=plan_of("llamacpp")))["docker.shm"].verdict == "skip"


@pytest.mark.parametrize("logging", [None, {"driver": "json-file"}, {"driver": "json-file", "options": {"tag": "x"}}])
def test_logs_without_an_end(engine, seen, logging):
    engine()
    context = seen()
    before = verdicts(context)
    edited(context, webui={"logging": logging})
    difference = changed(before, context)
    assert difference.pop("plan.drift", "warn") == "warn"
    assert difference == {"docker.logs": "warn"}
    assert "webui" in findings(context)["docker.logs"].evidence


@pytest.mark.parametrize("driver", ["local", "journald", "none"])
def test_drivers_that_end_by_themselves(engine, seen, driver):
    engine()
    assert findings(edited(seen(), webui={"logging": {"driver": driver}}))["docker.logs"].verdict == "pass"


def test_a_file_that_is_none_is_never_a_pass(engine, seen):
    engine()
    context = seen()
    (context.folder.rendered).mkdir(parents=True)
    (context.folder.rendered / "compose.yaml").write_text("services: [oh no")
    found = findings(context)
    for name in ("docker.shm", "docker.logs", "net.bind"):
        assert found[name].verdict == "error"
        assert "compose.yaml" in found[name].reason


@pytest.mark.parametrize(
    ("said", "size"),
    [("4096mb", 2**32), ("4g", 2**32), ("4gib", 2**32), (4294967296, 2**32), ("64k", 2**16), ("x", None), (None, None)],
)
def test_sizes_as_compose_reads_them(said, size):
    assert bytes_of(said) == size
