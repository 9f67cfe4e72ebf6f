"""The native engine on a real supervisord. The services are stand-ins (tests/standins/greeter.py) unless named."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.engines import leftovers
from orchestrator.engines.native import NativeEngine
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Role
from orchestrator.progress import Silent
from orchestrator.services.service import Health, Program, SecretEnv, Service
from orchestrator.state import StackFolder
from orchestrator.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

GREETER = Path(__file__).parents[1] / "standins" / "greeter.py"
SECRETS = {"key": "s3cret-of-this-test-0123456789"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def greeter(role: Role, *ways: str, greeting: str = "hello", needs: tuple[Role, ...] = (), port: int = 0) -> Service:
    port = port or free_port()
    return Service(
        role=role,
        name=f"greeter-{role}",
        version="1",
        image="",
        program=Program(environment=None, executable=sys.executable),
        entrypoint=(),
        arguments=("-u", str(GREETER), str(port), *ways),
        environment={"GREETING": greeting},
        secrets=(SecretEnv(variable="KEY", secret="key"),),
        listen="127.0.0.1",
        port=port,
        published_port=port,
        published_host="127.0.0.1",
        health=Health(path="/", tool="bash"),
        depends_on=needs,
        start_deadline_s=30,
        stop_grace_s=3,
    )


class Stack:
    def __init__(self, root: Path) -> None:
        self.folder = StackFolder("tested", root)
        self.engine = NativeEngine(self.folder)
        self.became_ready: list[Role] = []

    def apply(self, *services: Service, secrets: dict[str, str] = SECRETS) -> None:
        files = self.engine.render(None, services)  # type: ignore[arg-type]
        self.engine.apply(services, files, secrets, Silent(), self.ready)
        for service in services:
            self.ready(service)

    def ready(self, service: Service) -> None:
        wait_until(lambda: None if answer(service) is not None else "no answer", 30)
        self.became_ready.append(service.role)

    def pids(self) -> dict[Role, int | None]:
        return {running.role: running.pid for running in self.engine.observe()}

    def processes(self) -> list[psutil.Process]:
        return leftovers.processes_of(self.folder.path)

    def supervisord_pid(self) -> int:
        return self.engine.supervisord.pid()


def answer(service: Service) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/", timeout=2) as got:
            return str(got.read().decode())
    except OSError:
        return None


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path)
    yield made
    made.engine.down(volumes=True, progress=Silent())
    assert made.processes() == []


def test_starts_in_order_and_leaves_what_is_unchanged_alone(stack: Stack) -> None:
    vectors, webui = greeter("vectors", "slow"), greeter("webui", needs=("vectors",))
    stack.apply(webui, vectors)
    assert stack.became_ready[0] == "vectors"
    assert [r.state for r in stack.engine.observe()] == ["running", "running"]
    before = stack.pids()
    began = time.monotonic()
    stack.apply(webui, vectors)
    assert time.monotonic() - began < 2
    assert stack.pids() == before


def test_environment_values_survive_as_they_are(stack: Stack) -> None:
    greeting = "two\nlines, 'quotes\", $HOME %(here)s `id` ; # \\ é 中\tand a tab"
    service = greeter("webui", greeting=greeting)
    stack.apply(service)
    assert answer(service) == greeting


def test_a_changed_service_is_the_only_one_restarted(stack: Stack) -> None:
    vectors, webui = greeter("vectors"), greeter("webui")
    stack.apply(vectors, webui)
    before = stack.pids()
    changed = greeter("webui", greeting="changed", port=webui.port)
    stack.apply(vectors, changed)
    after = stack.pids()
    assert after["vectors"] == before["vectors"]
    assert after["webui"] != before["webui"]
    assert answer(changed) == "changed"


def test_changed_secrets_restart_and_a_removed_service_is_stopped(stack: Stack) -> None:
    vectors, webui = greeter("vectors"), greeter("webui")
    stack.apply(vectors, webui)
    before = stack.pids()
    stack.apply(vectors, secrets={"key": "another-secret-0123456789"})
    after = stack.pids()
    assert set(after) == {"vectors"}
    assert after["vectors"] != before["vectors"]
    assert before["webui"] is not None
    assert not is_alive(before["webui"])
    assert not (stack.folder.secrets / "webui.env").exists()


def test_no_secret_in_argv_log_or_rendered_file(stack: Stack) -> None:
    stack.apply(greeter("webui"))
    for path in (*stack.folder.rendered.rglob("*"), *stack.folder.logs.rglob("*")):
        assert not path.is_file() or SECRETS["key"] not in path.read_text(errors="replace"), path
    for process in stack.processes():
        assert SECRETS["key"] not in " ".join(process.cmdline())
    secret = stack.folder.secrets / "webui.env"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert SECRETS["key"] in secret.read_text()


def test_the_caller_s_own_settings_do_not_reach_services(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:////elsewhere.db")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    stack.apply(greeter("webui"))
    seen = psutil.Process(stack.pids()["webui"]).environ()
    assert "DATABASE_URL" not in seen
    assert "PYTHONPATH" not in seen
    assert seen["KEY"] == SECRETS["key"]


def test_supervisord_killed_then_up_again_converges(stack: Stack) -> None:
    vectors, webui = greeter("vectors"), greeter("webui", needs=("vectors",))
    stack.apply(vectors, webui)
    before = stack.pids()
    os.kill(stack.supervisord_pid(), signal.SIGKILL)
    wait_until(lambda: "answers" if stack.engine.supervisord.answers() else None, 10)
    left = stack.engine.observe()
    assert [r.state for r in left] == ["absent", "absent"]
    assert {r.role: r.pid for r in left} == before
    stack.apply(vectors, webui)
    assert [r.state for r in stack.engine.observe()] == ["running", "running"]
    assert not any(is_alive(pid) for pid in before.values() if pid)


def test_supervisord_killed_then_down_leaves_nothing(stack: Stack) -> None:
    stack.apply(greeter("vectors", "has-a-child"), greeter("webui", "stubborn"))
    started = {p.pid for p in stack.processes()}
    os.kill(stack.supervisord_pid(), signal.SIGKILL)
    stack.engine.down(volumes=False, progress=Silent())
    assert not any(is_alive(pid) for pid in started)


def test_everything_killed_then_up_again_converges(stack: Stack) -> None:
    vectors = greeter("vectors")
    stack.apply(vectors)
    for process in stack.processes():
        process.kill()
    stack.apply(vectors)
    assert [r.state for r in stack.engine.observe()] == ["running"]


def test_a_hung_supervisord_is_replaced(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.engines.supervisord.ANSWER_TIMEOUT_S", 1.0)
    vectors = greeter("vectors")
    stack.apply(vectors)
    hung = stack.supervisord_pid()
    os.kill(hung, signal.SIGSTOP)
    stack.apply(vectors)
    assert stack.supervisord_pid() != hung
    assert not is_alive(hung)


def test_a_killed_service_is_started_again_and_counted(stack: Stack) -> None:
    vectors = greeter("vectors")
    stack.apply(vectors)
    pid = stack.pids()["vectors"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: None if stack.pids()["vectors"] not in (pid, None) else "not yet", 15)
    running = stack.engine.observe()[0]
    assert (running.restarts, running.exit_code) == (1, -9)
    stack.ready(vectors)


def test_orphans_of_a_killed_service_with_a_foreign_environment_are_found(stack: Stack) -> None:
    """As vLLM's engine processes look after their parent was killed: no mark, no parent; our group and folder."""
    stack.apply(greeter("vectors", "has-a-child"))
    parent = psutil.Process(stack.pids()["vectors"])
    [child] = parent.children()
    os.kill(stack.supervisord_pid(), signal.SIGKILL)
    parent.kill()
    parent.wait(10)
    assert stack.processes() == []  # nothing of it carries the mark
    assert is_alive(child.pid)
    stack.engine.down(volumes=False, progress=Silent())
    assert not is_alive(child.pid)


def test_a_killed_service_s_children_are_gone_before_it_starts_again(stack: Stack) -> None:
    vectors = greeter("vectors", "has-a-child")
    stack.apply(vectors)
    parent = psutil.Process(stack.pids()["vectors"])
    [child] = parent.children()
    parent.kill()
    wait_until(lambda: None if stack.pids()["vectors"] not in (parent.pid, None) else "not yet", 15)
    stack.ready(vectors)
    assert not is_alive(child.pid)
    assert len(psutil.Process(stack.pids()["vectors"]).children()) == 1


def test_a_service_that_cannot_start_is_given_up_with_its_last_words(stack: Stack) -> None:
    broken = greeter("webui", "dies")

    def not_ready(service: Service) -> None:
        raise AssertionError(service)

    files = stack.engine.render(None, (broken,))  # type: ignore[arg-type]
    stack.engine.apply((broken,), files, SECRETS, Silent(), not_ready)
    wait_until(lambda: None if stack.engine.observe()[0].state == "exited" else "not yet", 30)
    [running] = stack.engine.observe()
    assert (running.exit_code, running.restarts) == (3, 2)
    assert "cannot go on: no such flag" in stack.engine.logs("webui", 5)
    repaired = greeter("webui", port=broken.port)
    stack.apply(repaired)
    assert stack.engine.observe()[0].state == "running"


def test_a_service_that_ignores_sigterm_is_killed_after_its_grace(stack: Stack) -> None:
    stack.apply(greeter("webui", "stubborn", "has-a-child"))
    tree = {p.pid for p in stack.processes()}
    assert len(tree) == 3
    began = time.monotonic()
    stack.engine.down(volumes=False, progress=Silent())
    assert time.monotonic() - began > 3
    assert not any(is_alive(pid) for pid in tree)


def test_down_touches_no_stranger_and_keeps_the_data(tmp_path: Path, stack: Stack) -> None:
    mine, other = Stack(tmp_path / "one"), Stack(tmp_path / "two")
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        mine.apply(greeter("vectors"))
        theirs = greeter("vectors")
        other.apply(theirs)
        kept = mine.folder.data / "vectors" / "kept"
        kept.write_text("vectors")
        mine.engine.down(volumes=False, progress=Silent())
        assert mine.processes() == []
        assert kept.read_text() == "vectors"
        assert stranger.poll() is None
        assert answer(theirs) == "hello"
        mine.engine.down(volumes=True, progress=Silent())
        assert not mine.folder.data.exists()
    finally:
        stranger.kill()
        stranger.wait()
        other.engine.down(volumes=True, progress=Silent())


def test_down_twice_and_down_of_a_stack_that_never_was(stack: Stack) -> None:
    assert stack.engine.observe() == ()
    stack.engine.down(volumes=True, progress=Silent())
    stack.apply(greeter("vectors"))
    stack.engine.down(volumes=False, progress=Silent())
    stack.engine.down(volumes=False, progress=Silent())
    assert [r.state for r in stack.engine.observe()] == ["absent"]


def test_a_path_too_long_for_a_socket_and_with_odd_characters(tmp_path: Path) -> None:
    stack = Stack(tmp_path / ("long " * 20).strip() / "100%" / "it's")
    vectors = greeter("vectors")
    try:
        stack.apply(vectors)
        assert answer(vectors) == "hello"
        assert not stack.engine.supervisord.socket.is_relative_to(stack.folder.path)
        assert stack.engine.logs("vectors", 1)
    finally:
        stack.engine.down(volumes=True, progress=Silent())
    assert stack.processes() == []


def test_stale_socket_and_pid_files_are_no_obstacle(stack: Stack) -> None:
    run = stack.folder.path / "run"
    run.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(run / "supervisor.sock"))
    (run / "supervisord.pid").write_text("1\n")
    stack.apply(greeter("vectors"))
    assert [r.state for r in stack.engine.observe()] == ["running"]


def test_the_written_files_run_without_us(stack: Stack) -> None:
    vectors, webui = greeter("vectors", "slow"), greeter("webui", needs=("vectors",))
    services = (vectors, webui)
    stack.engine.write(services, stack.engine.render(None, services), SECRETS)  # type: ignore[arg-type]
    command = stack.engine.start_command()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(["bash", "-c", command], check=True, timeout=60, env={**os.environ, "PATH": path}, cwd="/")
    stack.ready(webui)
    assert answer(vectors) == "hello"
    assert [r.state for r in stack.engine.observe()] == ["running", "running"]


def test_a_missing_secret_is_our_mistake_and_starts_nothing(stack: Stack) -> None:
    with pytest.raises(OrchestratorError, match="needs the secret 'key'"):
        stack.apply(greeter("webui"), secrets={})
    assert stack.processes() == []


def test_following_the_logs_until_interrupted(stack: Stack) -> None:
    service = greeter("webui")
    stack.apply(service)
    code = (
        "import sys; from pathlib import Path; from orchestrator.state import StackFolder;"
        "from orchestrator.engines.native import NativeEngine;"
        "sys.exit(NativeEngine(StackFolder('tested', Path(sys.argv[1]))).follow(('webui',), 5))"
    )
    root = str(stack.folder.path.parents[1])
    with subprocess.Popen([sys.executable, "-c", code, root], stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        shown = follower.stdout.readline()
        assert shown.startswith("webui | ")
        answer(service)
        assert "GET / HTTP/1.1" in follower.stdout.readline()
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130


def test_real_chroma(stack: Stack, chroma_program: Callable[[], Path]) -> None:
    """Chroma from an installed environment: ready, stopped in order, its data kept."""
    port = free_port()
    data = stack.folder.data / "vectors"
    service = Service(
        role="vectors",
        name="chroma",
        version="1.5.9",
        image="",
        program=Program(environment=None, executable=str(chroma_program())),
        entrypoint=(),
        arguments=("run", "--path", str(data), "--host", "127.0.0.1", "--port", str(port)),
        environment={},
        listen="127.0.0.1",
        port=port,
        published_port=port,
        published_host="127.0.0.1",
        working_directory=str(data),
        health=Health(path="/api/v2/heartbeat", tool="bash"),
        start_deadline_s=60,
        stop_grace_s=15,
    )
    asked = greeter("webui", needs=("vectors",))

    def ready(waited: Service) -> None:
        wait_until(lambda: None if answers(waited) else "no answer", 60)

    files = stack.engine.render(None, (service, asked))  # type: ignore[arg-type]
    stack.engine.apply((service, asked), files, SECRETS, Silent(), ready)
    ready(asked)
    assert (data / "chroma.sqlite3").exists()
    stack.engine.down(volumes=False, progress=Silent())
    assert stack.processes() == []
    assert (data / "chroma.sqlite3").exists()


def answers(service: Service) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.port}{service.health.path}", timeout=2) as got:
            return bool(got.status == 200)
    except OSError:
        return False


@pytest.fixture
def chroma_program(request: pytest.FixtureRequest) -> Callable[[], Path]:
    """Of `ORCHESTRATOR_TEST_WEBUI_ENV`, else of the environment that `make up` installs."""

    def find() -> Path:
        from orchestrator.engines.environments import environment_folder

        given = os.environ.get("ORCHESTRATOR_TEST_WEBUI_ENV")
        if given is None:
            request.getfixturevalue("native_up")
        return (Path(given) if given else environment_folder("open-webui")) / "bin" / "chroma"

    return find
