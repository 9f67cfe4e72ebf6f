"""Doctor's Docker checks against the real engine, the real registry, and a dockerd of the test's own to break."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from orchestrator.doctor.causes import match_cause
from orchestrator.doctor.check import Answer
from orchestrator.doctor.checks import docker_network, sources
from orchestrator.doctor.context import Context
from orchestrator.facts.docker import read_docker
from orchestrator.plan.spec import Spec
from orchestrator.state import StackFolder
from orchestrator.waiting import wait_until
from tests.doctor.broken import changed, findings, verdicts
from tests.doctor.conftest import facts_of
from tests.doctor.ports import quiet_ports
from tests.integration.docker_fixtures import (
    Registry,
    docker,
    engine_contents,
    free_port,
    import_small_image,
    inspect,
    local_registry,
    of_project,
    remove_image,
    why_no_engine,
)
from tests.plans import plan_of

NO_ENGINE = why_no_engine()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.docker,
    pytest.mark.skipif(NO_ENGINE is not None, reason=str(NO_ENGINE)),
]
LIMIT_S = 30.0
"""A container starts within a second or two; CI runs other things beside it."""


@pytest.fixture
def looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Context]:
    """`looked(…)`: a Compose plan, and the Docker that is here now."""
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    ports = quiet_ports()

    def make(**changes: object) -> Context:
        fields = {
            "spec": Spec(),
            "facts": facts_of(docker=read_docker()),
            "plan": plan_of(ports=ports),
            "folder": StackFolder("default"),
            "offline": True,
            **changes,
        }
        return Context(**fields)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="module")
def asker() -> Iterator[str]:
    """An image with a shell and getent, put together from this machine's own: nothing is pulled."""
    reference = "orchestrator-test/asker:1.0"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for program in ("sh", "getent", "sleep"):
            found = Path(shutil.which(program) or "").resolve()
            _copy(found, root)
            for library in subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout.split():
                if library.startswith("/"):
                    _copy(Path(library), root)
            (root / "bin").mkdir(exist_ok=True)
            (root / "bin" / program).symlink_to(found)
        (root / "etc").mkdir()
        (root / "etc" / "nsswitch.conf").write_text("hosts: files dns\n")
        tar = subprocess.run(["tar", "-C", folder, "-c", "."], capture_output=True, check=True)
    subprocess.run(
        ["docker", "import", "--change", "ENV PATH=/bin", "-", reference],
        input=tar.stdout,
        capture_output=True,
        check=True,
    )
    yield reference
    remove_image(reference)


def _copy(path: Path, root: Path) -> None:
    target = root / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target)


def test_a_healthy_engine_says_nothing_alarming(looked: Callable[..., Context]) -> None:
    found = findings(looked(), limit_s=LIMIT_S)
    mine = {
        name: finding for name, finding in found.items() if name.startswith(("docker.", "compose.", "net.", "sec."))
    }
    assert {name: f.verdict for name, f in mine.items() if f.verdict not in ("pass", "skip")} == {}
    assert {mine[name].verdict for name in ("docker.cli", "docker.access", "docker.daemon", "compose.version")} == {
        "pass"
    }


# docker.dns


def test_a_name_resolves_in_a_container_made_for_it(
    looked: Callable[..., Context], asker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_network, "images_of", lambda plan: {"chroma": asker})
    answer = asked_without_haste(looked(), monkeypatch)
    assert answer.verdict == "pass", answer
    assert answer.evidence.startswith("embeddings → ")
    left = of_project(engine_contents(), "orchestrator-doctor")
    assert not left.networks
    assert not docker("ps", "--all", "--quiet", "--filter", f"label={docker_network.LABEL}")


def asked_without_haste(context: Context, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """The check itself, with as much time as a machine at full load may need to start a container."""
    monkeypatch.setattr(docker_network, "ANSWER_S", 60)
    return docker_network.DNS.answer(context)


def test_the_services_of_a_running_stack_find_each_other_or_not(
    looked: Callable[..., Context], asker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = "orchestrator-test-names"
    docker("network", "create", network)
    try:
        for role in ("webui", "vectors", "embeddings"):
            words = ("run", "--detach", "--rm", "--name", f"{network}-{role}", "--network", network)
            docker(*words, "--network-alias", role, asker, "sleep", "600")
        running = tuple(
            SimpleNamespace(role=role, pid=pid, container=f"{network}-{role}", state="running")
            for role in ("vectors", "webui", "embeddings")
            if (pid := int(inspect(f"{network}-{role}")["State"]["Pid"]))
        )
        stack = looked(running=running)
        assert asked_without_haste(stack, monkeypatch).verdict == "pass"
        docker("network", "disconnect", network, f"{network}-vectors")
        answer = asked_without_haste(stack, monkeypatch)
        assert answer.verdict == "bad", answer
        assert answer.evidence.startswith("vectors: ")
    finally:
        for role in ("webui", "vectors", "embeddings"):
            docker("rm", "--force", f"{network}-{role}", check=False)
        docker("network", "rm", network, check=False)


# docker.proxy: what the check rests on


def test_compose_puts_the_clients_proxy_into_a_container_and_the_file_wins(tmp_path: Path, asker: str) -> None:
    config = tmp_path / "config"
    config.mkdir()
    proxies = {"default": {"httpProxy": "http://proxy.example:3128", "noProxy": "example.com"}}
    (config / "config.json").write_text(json.dumps({"proxies": proxies}))
    services = {
        "plain": {"image": asker, "command": ["sleep", "1"]},
        "own": {
            "image": asker,
            "command": ["sleep", "1"],
            "environment": {"NO_PROXY": "vectors", "no_proxy": "vectors"},
        },
    }
    (tmp_path / "compose.yaml").write_text(json.dumps({"name": "orchestrator-test-proxy", "services": services}))
    environment = {**os.environ, "DOCKER_CONFIG": str(config)}
    subprocess.run(
        ["docker", "compose", "--file", tmp_path / "compose.yaml", "create"],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    try:
        seen = {
            name: dict(line.split("=", 1) for line in inspect(f"orchestrator-test-proxy-{name}-1")["Config"]["Env"])
            for name in services
        }
        assert seen["plain"]["HTTP_PROXY"] == seen["own"]["http_proxy"] == "http://proxy.example:3128"
        assert seen["plain"]["NO_PROXY"] == "example.com"
        assert seen["own"]["NO_PROXY"] == seen["own"]["no_proxy"] == "vectors"
    finally:
        subprocess.run(["docker", "compose", "--project-name", "orchestrator-test-proxy", "down"], check=False)


# A dockerd of our own: stopped, hung, killed, closed to us


@dataclass(frozen=True)
class OwnEngine:
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def socket(self) -> Path:
        return self.folder / "docker.sock"


@pytest.fixture
def own_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnEngine]:
    """Ready in half a second (measured), and in namespaces of its own: `--bridge=none` makes a dockerd remove
    the device docker0, which would be the one of the machine's engine."""
    if os.getuid() != 0 or shutil.which("dockerd") is None or shutil.which("unshare") is None:
        pytest.skip("only root starts a dockerd, and only in a network namespace of its own")
    devices = sorted(path.name for path in Path("/sys/class/net").glob("docker*"))
    folder = Path(tempfile.mkdtemp(prefix="dockerd-"))
    folder.chmod(0o755)
    (folder / "daemon.json").write_text("{}")
    places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid", "config-file": "daemon.json"}
    words = [word for name, file in places.items() for word in (f"--{name}", str(folder / file))]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "--net", "--mount", "dockerd", *words, "--host", f"unix://{folder}/docker.sock",
             "--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false", "--storage-driver=vfs"],
            stdout=log, stderr=log,
        )  # fmt: skip
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/docker.sock")
    engine = OwnEngine(folder=folder, process=process)
    try:
        wait_until(lambda: error.reason if (error := read_docker().error) else None, 60)
        yield engine
    finally:
        _end(engine)
        shutil.rmtree(folder, ignore_errors=True)
    assert sorted(path.name for path in Path("/sys/class/net").glob("docker*")) == devices


def _end(engine: OwnEngine) -> None:
    """A killed dockerd leaves its containerd behind: that one too, by the pid that it wrote."""
    with suppress(ProcessLookupError):
        engine.process.send_signal(signal.SIGCONT)
        engine.process.terminate()
    engine.process.wait(60)
    left = engine.folder / "exec/containerd/containerd.pid"
    with suppress(OSError, ValueError):
        pid = int(left.read_text())
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: "containerd still runs" if Path(f"/proc/{pid}").exists() else None, 30)


BEHIND = dict.fromkeys(("compose.version", "docker.rootless", "host.disk.docker"), "skip")


def without_mtu(difference: dict[str, str]) -> dict[str, str]:
    """Its own verdict depends on this machine's devices; behind the engine it is skipped in any case."""
    return {name: verdict for name, verdict in difference.items() if name != "docker.mtu"}


def test_an_engine_that_is_stopped_by_a_signal_hangs(own_engine: OwnEngine, looked: Callable[..., Context]) -> None:
    """SIGSTOP: the kernel still takes connections, and nobody answers."""
    healthy = verdicts(looked(), limit_s=LIMIT_S)
    assert healthy["docker.daemon"] == "pass"
    own_engine.process.send_signal(signal.SIGSTOP)
    broken = looked()
    assert without_mtu(changed(healthy, broken, limit_s=LIMIT_S)) == {"docker.daemon": "fail", **BEHIND}
    assert findings(broken, limit_s=LIMIT_S)["docker.daemon"].evidence.startswith("timeout:")
    own_engine.process.send_signal(signal.SIGCONT)
    assert without_mtu(changed(healthy, looked(), limit_s=LIMIT_S)) == {}


def test_an_engine_that_was_killed(own_engine: OwnEngine, looked: Callable[..., Context]) -> None:
    healthy = verdicts(looked(), limit_s=LIMIT_S)
    own_engine.process.kill()
    own_engine.process.wait(30)
    broken = looked()
    assert without_mtu(changed(healthy, broken, limit_s=LIMIT_S)) == {"docker.daemon": "fail", **BEHIND}
    assert findings(broken, limit_s=LIMIT_S)["docker.daemon"].evidence.startswith("not_running:")
    assert said("docker", "ps") == "docker_not_running"


def test_an_engine_that_another_user_may_not_use(own_engine: OwnEngine) -> None:
    """The docker program itself, as nobody: the text that our users bring us."""
    own_engine.socket.chmod(0o600)
    assert said("docker", "ps", user=65534) == "docker_permission"


# net.registry against Debian's docker-registry


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with local_registry() as running:
        yield running


def test_a_real_registry(registry: Registry, looked: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> None:
    reference = registry.push("team/doctor:1.0")
    wanted = [reference]
    monkeypatch.setattr(sources, "images_of", lambda plan: dict(enumerate(wanted)))
    online = looked(offline=False)
    healthy = verdicts(online, sources.CHECKS, limit_s=LIMIT_S)
    assert healthy["net.registry"] == "pass"
    wanted[0] = f"{registry.address}/team/doctor:2.0"
    assert changed(healthy, online, sources.CHECKS, limit_s=LIMIT_S) == {"net.registry": "fail"}
    assert "has no" in findings(online, sources.CHECKS, limit_s=LIMIT_S)["net.registry"].reason
    wanted[0] = f"127.0.0.1:{free_port()}/team/doctor:1.0"
    assert changed(healthy, online, sources.CHECKS, limit_s=LIMIT_S) == {"net.registry": "fail"}
    assert "cannot be reached" in findings(online, sources.CHECKS, limit_s=LIMIT_S)["net.registry"].reason
    docker("pull", reference)
    wanted[0] = reference
    here = msgspec.structs.replace(online, facts=facts_of(docker=read_docker()))
    assert changed(healthy, here, sources.CHECKS, limit_s=LIMIT_S) == {"net.registry": "skip"}
    remove_image(reference)


# Causes: the texts of the real programs


def said(*words: str, user: int | None = None) -> str | None:
    """The cause that we name for what a failing command writes."""
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=60, user=user, env={**os.environ, "HOME": "/"}
    )
    assert done.returncode != 0, done.stdout
    cause = match_cause(done.stdout + done.stderr)
    assert cause is not None, done.stderr
    return cause.code


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    reference = "orchestrator-test/causes:1.0"
    import_small_image(reference)
    yield reference
    remove_image(reference)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("no_gpu_runtime", ("run", "--rm", "--gpus", "all", "IMAGE")),
        ("no_gpu_runtime", ("run", "--rm", "--runtime", "nvidia", "IMAGE")),
        ("wrong_image", ("run", "--rm", "IMAGE", "/none")),
        ("image_missing", ("run", "--rm", "--pull", "never", "orchestrator-test/none:1.0")),
        ("registry_unreachable", ("pull", "127.0.0.1:1/team/none:1.0")),
        ("mount_missing", ("run", "--rm", "--mount", "type=bind,source=/no/such/folder,target=/x", "IMAGE")),
        ("no_addresses", ("network", "create", "--subnet", "SUBNET", "orchestrator-test-overlap")),
    ],
)
def test_the_engines_own_words(image: str, code: str, words: tuple[str, ...]) -> None:
    if code == "no_gpu_runtime" and read_docker().gpu:
        pytest.skip("this engine has a way to hand over a GPU")
    bridge = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}")
    assert said("docker", *(word.replace("IMAGE", image).replace("SUBNET", bridge) for word in words)) == code


def test_a_taken_port_in_the_engines_own_words(image: str) -> None:
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        publish = f"127.0.0.1:{holder.getsockname()[1]}:80"
        assert said("docker", "run", "--rm", "--publish", publish, image) == "port_taken"


@pytest.mark.parametrize(
    "text",
    [
        "services: {a: {image: x, comand: y}}",
        "services:\n  a: [\n",
        "services: {a: {image: x, volumes: ['gone:/x']}}",
        "services: {a: {image: 'x:${TAG:?set TAG}'}}",
    ],
)
def test_files_that_compose_refuses(tmp_path: Path, text: str) -> None:
    (tmp_path / "compose.yaml").write_text(text)
    assert said("docker", "compose", "--file", str(tmp_path / "compose.yaml"), "config") == "compose_file"
