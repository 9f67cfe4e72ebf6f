"""The compose engine alone, on a real Docker engine: what it starts, leaves alone, makes again, reports and removes.

The services are Chroma in its image, under changed settings: it starts in seconds.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from orchestrator.catalog.pins import load_pins
from orchestrator.engines.compose import ComposeEngine
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Plan
from orchestrator.progress import Silent
from orchestrator.services.chroma import chroma
from orchestrator.services.service import SecretEnv, Service
from orchestrator.state import StackFolder
from orchestrator.waiting import wait_until
from tests.integration.docker_fixtures import (
    docker,
    engine_contents,
    free_port,
    inspect,
    local_images,
    of_project,
    why_no_engine,
)
from tests.plans import GPU_UUID, plan_of

NO_ENGINE = why_no_engine()
CHROMA = load_pins().images["chroma"].reference
pytestmark = [
    pytest.mark.integration,
    pytest.mark.docker,
    pytest.mark.timeout(600),
    pytest.mark.skipif(NO_ENGINE is not None, reason=str(NO_ENGINE)),
]
SECRETS = {"webui_secret_key": "it's $HOME `id` \"#\\", "embeddings_api_key": "k" * 43}


@pytest.fixture(scope="module", autouse=True)
def chroma_image(home: Path, native_up: str) -> None:
    """From the environment that `up` installed."""
    local_images(home, "chroma")


class Trial:
    """One stack of Chroma servers: `vectors`, and a second one in the place of `webui` that depends on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = StackFolder.at(f"trial-{free_port()}", folder)
        self.engine = ComposeEngine(self.folder)
        self.plan: Plan = plan_of(stack=self.folder.name, ports={"vectors": free_port(), "webui": free_port()})
        place = self.engine.place(msgspec.structs.replace(self.plan, roles=("vectors",)), None)
        self.vectors = chroma(msgspec.structs.replace(self.plan, roles=("vectors",)), place, load_pins())
        self.second = msgspec.structs.replace(
            self.vectors,
            role="webui",
            published_port=self.plan.ports["webui"],
            depends_on=("vectors",),
            mounts=(),
            secrets=(SecretEnv(variable="A_SECRET", secret="webui_secret_key"),),
            environment={"PREFIX": "two\nlines $HOME"},
        )
        self.waited: list[str] = []

    def up(self, *services: Service, secrets: dict[str, str] = SECRETS) -> None:
        self.engine.apply(services, self.engine.render(self.plan, services), secrets, Silent(), self._ready)

    def _ready(self, service: Service) -> None:
        def refusal() -> str | None:
            try:
                return None if httpx.get(f"http://127.0.0.1:{service.published_port}/api/v2").is_success else "no"
            except httpx.HTTPError as error:
                return str(error)

        wait_until(refusal, 60)
        self.waited.append(service.role)

    def ids(self) -> dict[str, str]:
        return {r.role: str(inspect(r.container)["Id"]) for r in self.engine.observe() if r.container is not None}


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    trial = Trial(tmp_path)
    try:
        yield trial
    finally:
        trial.engine.down(volumes=True, progress=Silent())


def test_order_environment_secrets_and_what_is_left_alone(trial: Trial) -> None:
    trial.up(trial.vectors, trial.second)
    assert trial.waited == ["vectors", "webui"]
    first = trial.ids()
    container = next(r.container for r in trial.engine.observe() if r.role == "webui")
    assert container is not None

    pid = inspect(container)["State"]["Pid"]
    child = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]  # init's child is the service
    environment = Path(f"/proc/{child}/environ").read_text().split("\0")
    assert f"A_SECRET={SECRETS['webui_secret_key']}" in environment
    assert "PREFIX=two\nlines $HOME" in environment
    assert SECRETS["webui_secret_key"] not in docker("inspect", container)

    assert set(trial.engine.changes((trial.vectors, trial.second), SECRETS).values()) == {"none"}
    trial.up(trial.vectors, trial.second)
    assert trial.ids() == first, "an unchanged service was made again"

    trial.up(trial.vectors, trial.second, secrets={**SECRETS, "webui_secret_key": "another"})
    changed = trial.ids()
    assert changed["vectors"] == first["vectors"]
    assert changed["webui"] != first["webui"], "the container still holds the old secret"

    trial.up(trial.vectors)
    assert set(trial.ids()) == {"vectors"}, "a service that is no part of the stack any more still runs"


def test_a_stopped_service_is_started_and_not_made_again(trial: Trial) -> None:
    trial.up(trial.vectors)
    first = trial.ids()
    docker("stop", "--time", "2", f"{trial.engine.project}-vectors-1")
    (seen,) = trial.engine.observe()
    assert seen.state == "exited"
    assert seen.exit_code is not None
    trial.up(trial.vectors)
    assert trial.ids() == first
    (seen,) = trial.engine.observe()
    assert seen.state == "running"
    assert seen.started_at is not None


def test_a_service_that_dies_is_seen_with_its_last_words(trial: Trial) -> None:
    dying = msgspec.structs.replace(trial.vectors, arguments=("run", "--no-such-flag"))

    def no_wait(_: Service) -> None:
        return

    trial.engine.apply((dying,), trial.engine.render(trial.plan, (dying,)), SECRETS, Silent(), no_wait)
    wait_until(lambda: None if trial.engine.observe()[0].restarts else "not yet", 120)
    assert "--no-such-flag" in "\n".join(trial.engine.logs("vectors", 50))


def test_a_busy_port_is_said_with_the_port(trial: Trial) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", trial.plan.ports["vectors"]))
        holder.listen()
        with pytest.raises(OrchestratorError) as refused:
            trial.up(trial.vectors)
    assert "address already in use" in refused.value.evidence
    assert str(trial.plan.ports["vectors"]) in refused.value.evidence
    (seen,) = trial.engine.observe()
    assert seen.state == "exited", "refused by the engine, so waiting for it is pointless"
    trial.up(trial.vectors)
    assert trial.waited == ["vectors"], "the freed port is taken by the next `up`"


def test_a_card_that_the_engine_cannot_give_is_an_error_and_no_silent_cpu(trial: Trial) -> None:
    """This engine has no NVIDIA toolkit: the request must reach it and be refused."""
    if "nvidia" in docker("info", "--format", "{{json .Runtimes}}"):
        pytest.skip("this engine has the NVIDIA toolkit")
    with pytest.raises(OrchestratorError) as refused:
        trial.up(msgspec.structs.replace(trial.vectors, gpu_uuid=GPU_UUID))
    assert 'could not select device driver "nvidia"' in refused.value.evidence


def test_down_takes_the_stack_and_keeps_its_volume_until_asked(trial: Trial) -> None:
    trial.up(trial.vectors)
    volumes = of_project(engine_contents(), trial.engine.project).volumes
    assert len(volumes) == 1
    trial.engine.down(volumes=False, progress=Silent())
    left = of_project(engine_contents(), trial.engine.project)
    assert (left.containers, left.networks, left.volumes) == (frozenset(), frozenset(), volumes)
    assert [running.state for running in trial.engine.observe()] == ["absent"]
    trial.engine.down(volumes=True, progress=Silent())
    assert of_project(engine_contents(), trial.engine.project).volumes == frozenset()


def test_down_finds_a_stack_whose_files_are_lost(trial: Trial) -> None:
    trial.up(trial.vectors)
    (trial.folder.rendered / "compose.yaml").unlink()
    trial.engine.down(volumes=True, progress=Silent())
    assert_nothing_left(trial)


def test_down_finds_a_stack_whose_file_was_edited_into_nonsense(trial: Trial) -> None:
    trial.up(trial.vectors)
    (trial.folder.rendered / "compose.yaml").write_text("services: [1")
    assert {r.role for r in trial.engine.observe() if r.state == "running"} == {"vectors"}
    trial.engine.down(volumes=True, progress=Silent())
    assert_nothing_left(trial)


def assert_nothing_left(trial: Trial) -> None:
    left = of_project(engine_contents(), trial.engine.project)
    assert (left.containers, left.networks, left.volumes) == (frozenset(), frozenset(), frozenset())
