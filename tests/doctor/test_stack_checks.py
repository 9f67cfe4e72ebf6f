"""Services that do not run as they should, and a ChromaDB that is another one: told once, with what the log says."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from orchestrator.catalog.pins import load_pins
from orchestrator.doctor.checks import round_trip
from orchestrator.doctor.checks.round_trip import E2E_CLEAN, E2E_PREFIX, E2E_ROUND_TRIP
from orchestrator.errors import OrchestratorError
from orchestrator.operations.stack import stack_of
from orchestrator.state import StackFolder
from orchestrator.verify.prefixes import PREFIX
from orchestrator.verify.round_trip import CLEAN, ROUND_TRIP
from orchestrator.verify.run import Addresses
from orchestrator.wiring.settings import desired_settings
from tests.doctor.broken import changed, findings, verdicts
from tests.doctor.stack_view import CHECKS_OF_A_STACK, running, view_of
from tests.plans import plan_of
from tests.standins.chroma import chroma

PINS = load_pins().packages
STATE = tuple(check for check in CHECKS_OF_A_STACK if check.id in ("stack.state", "stack.health"))


@pytest.fixture
def stack(context):
    def of(*seen, **changes):
        plan = plan_of(engine="native", roles=("embeddings",))
        return context(plan=plan, stack=view_of("http://127.0.0.1:9", observe=lambda: seen, **changes))

    return of


# What the engine sees


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (running(state="restarting", pid=None, restarts=4), "restarts again and again"),
        (running(state="exited", pid=None, exit_code=1), "exit code 1"),
        (running(state="exited", pid=None, exit_code=137, out_of_memory=True), "memory ran out"),
        (running(state="exited", pid=None, exit_code=-9), "SIGKILL"),
        (running(state="starting", pid=None), "is starting"),
        (running(state="absent"), "without its supervisor"),
        (running(state="absent", pid=None), "no service of this stack runs"),
        (running(out_of_memory=True), "memory ran out"),
    ],
)
def test_a_service_that_does_not_run_as_it_should(stack, seen, reason):
    broken = stack(seen)
    assert changed(stack(running()), broken, STATE) == {"stack.state": "fail", "stack.health": "skip"}
    assert reason in findings(broken, STATE)["stack.state"].reason


def test_the_log_tells_the_cause(stack):
    log = ["INFO starting", "torch.OutOfMemoryError: CUDA out of memory.", "INFO bye", "key=<secret>"]
    broken = stack(running(state="exited", pid=None, exit_code=1), logs=lambda role, lines: log)
    finding = findings(broken, STATE)["stack.state"]
    assert "the card's memory ran out" in finding.reason
    assert "CUDA out of memory" in finding.evidence
    assert "orchestrator logs embeddings" in finding.remedy.commands
    assert "nvidia-smi" in finding.remedy.commands


def test_a_pattern_of_restarts_is_worth_a_word_and_an_old_one_is_not(stack):
    now = datetime.now(UTC)
    restless = stack(running(restarts=3, started_at=now - timedelta(minutes=2)))
    assert changed(stack(running()), restless, STATE) == {"stack.state": "warn"}
    assert changed(stack(running()), stack(running(restarts=3, started_at=now - timedelta(days=2))), STATE) == {}
    assert changed(stack(running()), stack(running(restarts=1, started_at=now)), STATE) == {}


def test_an_unhealthy_service_is_told_by_its_engine(stack):
    assert changed(stack(running()), stack(running(healthy=False)), STATE) == {"stack.health": "fail"}


def test_a_silent_docker_is_told_by_its_own_check(context):
    def no_engine():
        raise OrchestratorError("docker_unreachable", "no Docker engine answers")

    broken = context(plan=plan_of(), stack=view_of("http://127.0.0.1:9", observe=no_engine))
    found = findings(broken, CHECKS_OF_A_STACK)
    of_the_stack = {check.id for check in CHECKS_OF_A_STACK if check.stage == "stack"}
    assert {found[name].verdict for name in of_the_stack} == {"skip"}
    assert "docker.daemon" in found["stack.state"].reason


def test_one_dead_service_is_one_failure_in_the_whole_stack(stack):
    found = verdicts(stack(running(state="exited", pid=None)), CHECKS_OF_A_STACK)
    of_the_stack = {check.id: found[check.id] for check in CHECKS_OF_A_STACK if check.stage == "stack"}
    assert of_the_stack.pop("stack.state") == "fail"
    assert set(of_the_stack.values()) == {"skip"}


# Another ChromaDB


@pytest.fixture
def with_chroma(context):
    def of(url):
        plan = plan_of(engine="native", roles=("embeddings", "vectors"))
        seen = (running(), running("vectors"))
        addresses = Addresses(embeddings="http://127.0.0.1:9", vectors=url)
        return context(plan=plan, stack=view_of(addresses=addresses, observe=lambda: seen))

    return of


CHROMA = tuple(check for check in CHECKS_OF_A_STACK if check.id in ("chroma.health", "chroma.dim"))


def test_the_pinned_chroma_passes(with_chroma):
    with chroma("pinned") as url:
        assert verdicts(with_chroma(url), CHROMA) == {"chroma.health": "pass", "chroma.dim": "pass"}


@pytest.mark.parametrize(("kind", "reason"), [("older", "0.5.23"), ("newer", "1.0.0"), ("none", "something else")])
def test_another_chroma_is_told_by_its_health_alone(with_chroma, kind, reason):
    with chroma("pinned") as pinned, chroma(kind) as url:
        broken = with_chroma(url)
        assert changed(with_chroma(pinned), broken, CHROMA) == {"chroma.health": "fail", "chroma.dim": "skip"}
        assert reason in findings(broken, CHROMA)["chroma.health"].reason


def test_a_dead_chroma(with_chroma):
    with chroma("pinned") as pinned:
        broken = with_chroma("http://127.0.0.1:9")
        assert changed(with_chroma(pinned), broken, CHROMA) == {"chroma.health": "fail", "chroma.dim": "skip"}


# What the processes really run from, and where ChromaDB keeps its data

PROCESSES = tuple(check for check in CHECKS_OF_A_STACK if check.id in ("image.pair", "chroma.persist"))


@pytest.fixture
def as_processes(context, tmp_path):
    """Open WebUI and ChromaDB as one process of an environment with these packages, its data at that path."""
    started = []

    def of(client=PINS["chromadb"].version, webui=PINS["open-webui"].version, path=None):
        root = tmp_path / f"environment-{len(started)}"
        (root / "bin").mkdir(parents=True)
        (root / "bin/python").symlink_to(sys.executable)
        for name, version in (("chromadb", client), ("open_webui", webui)):
            metadata = root / f"lib/python3.11/site-packages/{name}-{version}.dist-info/METADATA"
            metadata.parent.mkdir(parents=True)
            metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        plan = plan_of(engine="native")
        services = stack_of(plan, StackFolder("default")).services
        planned = StackFolder("default").data / "vectors"
        planned.mkdir(parents=True, exist_ok=True)
        (planned / "chroma.sqlite3").touch()
        words = [root / "bin/python", "-c", "import time; time.sleep(60)", "--path", path or planned]
        process = subprocess.Popen(words, start_new_session=True)
        started.append(process)
        seen = tuple(running(role, pid=process.pid) for role in plan.roles)
        return context(plan=plan, services=services, stack=view_of(observe=lambda: seen))

    yield of
    for process in started:
        process.kill()
        process.wait()


def test_another_client_than_the_pinned_one(as_processes):
    healthy, broken = as_processes(), as_processes(client="1.4.0")
    assert changed(healthy, broken, PROCESSES) == {"image.pair": "fail"}
    assert f"client is 1.4.0, pinned {PINS['chromadb'].version}" in findings(broken, PROCESSES)["image.pair"].reason


def test_another_open_webui_than_the_pinned_one(as_processes):
    assert changed(as_processes(), as_processes(webui="0.13.0"), PROCESSES) == {"image.pair": "fail"}


def test_vectors_that_are_kept_elsewhere(as_processes, tmp_path):
    assert changed(as_processes(), as_processes(path=tmp_path / "x"), PROCESSES) == {"chroma.persist": "fail"}


def test_a_database_that_was_removed_under_a_running_chroma(as_processes):
    made = as_processes()
    before = verdicts(made, PROCESSES)
    (made.folder.data / "vectors/chroma.sqlite3").unlink()
    assert changed(before, made, PROCESSES) == {"chroma.persist": "fail"}


# One trip, three answers

TRIP = (E2E_ROUND_TRIP, E2E_PREFIX, E2E_CLEAN)


@pytest.fixture
def travelling(context, monkeypatch):
    """The trips that were made; what each of them found is the test's choice."""
    trips = []

    def of(*found):
        def travel(_context):
            trips.append(found)
            return found

        monkeypatch.setattr(round_trip, "_travel", travel)
        plan = plan_of(engine="native")
        return context(plan=plan, stack=view_of(desired=desired_settings(plan, "http://127.0.0.1:9", "key")))

    of.trips = trips
    return of


WELL = (ROUND_TRIP.passed("found"), PREFIX.passed("as planned"), CLEAN.passed("nothing left"))


def test_three_questions_make_one_trip(travelling):
    made = travelling(*WELL)
    assert set(verdicts(made, TRIP).values()) == {"pass"}
    assert len(travelling.trips) == 1


def test_a_question_asked_again_or_alone_is_not_answered_from_memory(travelling):
    made = travelling(*WELL)
    verdicts(made, TRIP)
    made = msgspec.structs.replace(travelling(WELL[0], PREFIX.failed("x", "missing", "up"), WELL[2]), stack=made.stack)
    assert verdicts(made, (E2E_PREFIX,)) == {"e2e.prefix": "fail"}
    assert len(travelling.trips) == 2


def test_a_missing_prefix_is_told_by_the_prefix_alone(travelling):
    healthy = verdicts(travelling(*WELL), TRIP)
    broken = travelling(WELL[0], PREFIX.failed("missing 1.0", "query prefix: missing", "up"), WELL[2])
    assert changed(healthy, broken, TRIP) == {"e2e.prefix": "fail"}


def test_a_document_that_is_not_found_skips_the_rest(travelling):
    healthy = verdicts(travelling(*WELL), TRIP)
    broken = travelling(ROUND_TRIP.failed("0 found", "nothing", "wire"), WELL[2])
    assert changed(healthy, broken, TRIP) == {"e2e.roundtrip": "fail", "e2e.prefix": "skip", "e2e.clean": "skip"}


def test_a_stack_that_another_command_works_on_is_left_alone(context):
    @contextmanager
    def held():
        raise OrchestratorError("locked", "stack default: `orchestrator up` (pid 7) holds the lock")
        yield

    plan = plan_of(engine="native")
    view = view_of("http://127.0.0.1:9", alone=held, desired=desired_settings(plan, "http://127.0.0.1:9", "key"))
    finding = findings(context(plan=plan, stack=view), (E2E_ROUND_TRIP,))["e2e.roundtrip"]
    assert finding.verdict == "skip"
    assert "orchestrator up" in finding.reason
