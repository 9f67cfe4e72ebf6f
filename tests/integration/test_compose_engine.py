"""The product on a real Docker engine: local images with the real upstream programs, real `docker compose`.

Two stacks: one on vLLM, brought up once for all that only looks at it; one on llama.cpp, which starts in seconds, for
what takes a stack down, breaks it, or renders it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
import pytest

from orchestrator.waiting import wait_until
from tests.integration.conftest import Tool
from tests.integration.docker_fixtures import (
    docker,
    engine_contents,
    free_port,
    has_image,
    inspect,
    local_images,
    of_project,
    reference_of,
    why_no_engine,
)

NO_ENGINE = why_no_engine()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.docker,
    pytest.mark.skipif(NO_ENGINE is not None, reason=str(NO_ENGINE)),
    pytest.mark.timeout(2700),  # the first one installs, builds images and brings a stack up
]
ROLES = {"embeddings", "vectors", "webui"}
NOTHING = frozenset[str]()


class Stack:
    """One stack of the product: its name, its request, and what the tests ask of it."""

    def __init__(self, tool: Tool, name: str, *request: str, roles: Iterable[str] = ROLES) -> None:
        self.tool = tool
        self.name = name
        self.project = f"orchestrator-{name}"
        self.ports = {role: free_port() for role in sorted(roles)}
        ports = [part for role, port in self.ports.items() for part in ("--port", f"{role}={port}")]
        self.request = ("--engine", "compose", "--gpu", "none", *request, *ports)

    @property
    def folder(self) -> Path:
        return self.tool.home / "stacks" / self.name

    def up(self, **options: Any) -> dict[str, Any]:
        return self.tool.json("up", *self.request, "--stack", self.name, **options)

    def ask(self, verb: str, *arguments: str, **options: Any) -> dict[str, Any]:
        return self.tool.json(verb, *arguments, "--stack", self.name, **options)

    def remove(self) -> None:
        self.ask("down", "--volumes", "--yes")

    def container(self, role: str) -> str:
        return f"{self.project}-{role}-1"

    def ids(self) -> dict[str, str]:
        return {role: str(inspect(self.container(role))["Id"]) for role in ROLES}


def keys_in(path: str | Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in Path(path).read_text().splitlines() if "=" in line)


def embed(url: str, model: str, key: str) -> list[float]:
    answer = httpx.post(
        f"{url}/v1/embeddings",
        json={"model": model, "input": ["hello"]},
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    vector: list[float] = answer.json()["data"][0]["embedding"]
    return vector


def ask_webui(stack: Stack, envelope: dict[str, Any], method: str, path: str, **body: str) -> Any:
    """As an owner of the stack's API key."""
    keys = keys_in(envelope["data"]["credentials_file"])
    answer = httpx.request(
        method,
        f"http://127.0.0.1:{stack.ports['webui']}{path}",
        json=body or None,
        headers={"Authorization": f"Bearer {keys['WEBUI_API_KEY']}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def make_knowledge_base(stack: Stack, envelope: dict[str, Any], name: str) -> None:
    ask_webui(stack, envelope, "POST", "/api/v1/knowledge/create", name=name, description="a user's own")


def knowledge_bases(stack: Stack, envelope: dict[str, Any]) -> set[str]:
    listed = ask_webui(stack, envelope, "GET", "/api/v1/knowledge/")
    return {base["name"] for base in (listed["items"] if isinstance(listed, dict) else listed)}


@pytest.fixture(scope="module")
def small_gguf(request: pytest.FixtureRequest) -> Path:
    """MiniLM as GGUF: `$ORCHESTRATOR_TEST_GGUF` where somebody has made one, else made here."""
    given = os.environ.get("ORCHESTRATOR_TEST_GGUF")
    return Path(given) if given else request.getfixturevalue("gguf")


@pytest.fixture(scope="module")
def vllm_images(request: pytest.FixtureRequest, home: Path) -> None:
    make_images(request, home, "vllm-cpu", "chroma", "open-webui")


@pytest.fixture(scope="module")
def llamacpp_images(request: pytest.FixtureRequest, home: Path) -> None:
    make_images(request, home, "llamacpp-cpu", "chroma", "open-webui")


def make_images(request: pytest.FixtureRequest, home: Path, *pins: str) -> None:
    """After `make up` where they are still to be made: its first run leaves the bytecode that they then carry."""
    if not all(has_image(reference_of(pin)) for pin in pins):
        request.getfixturevalue("native_up")
    local_images(home, *pins)


@pytest.fixture(scope="module")
def on_vllm(tool: Tool, vllm_images: None) -> Iterator[tuple[Stack, dict[str, Any]]]:
    """Up on vLLM's CPU image; with it, what `up --json` said."""
    stack = Stack(tool, f"vllm-{os.getpid()}", "--model", "all-minilm-l6-v2", "--backend", "vllm")
    try:
        yield stack, stack.up()
    finally:
        stack.remove()


@pytest.fixture(scope="module")
def on_llamacpp(tool: Tool, llamacpp_images: None, small_gguf: Path) -> Iterator[tuple[Stack, dict[str, Any]]]:
    stack = Stack(tool, f"gguf-{os.getpid()}", "--backend", "llamacpp", "--model", str(small_gguf))
    try:
        yield stack, stack.up()
    finally:
        stack.remove()


@pytest.fixture
def fresh_llamacpp(
    tool: Tool, llamacpp_images: None, small_gguf: Path, request: pytest.FixtureRequest
) -> Iterator[Stack]:
    """A stack that was never started; removed whatever the test did to it."""
    name = f"t{os.getpid()}-{crc32(request.node.name.encode()) % 100_000}"
    stack = Stack(tool, name, "--backend", "llamacpp", "--model", str(small_gguf))
    try:
        yield stack
    finally:
        stack.remove()


@pytest.fixture
def fresh_server(tool: Tool, llamacpp_images: None, small_gguf: Path) -> Iterator[Stack]:
    """The embedding server alone, never started: up in seconds."""
    name = f"embed-{os.getpid()}"
    stack = Stack(tool, name, "embed", "--backend", "llamacpp", "--model", str(small_gguf), roles=["embeddings"])
    try:
        yield stack
    finally:
        stack.remove()


# ------------------------------------------------------------------------------------------------ a stack that runs


class TestOnVllm:
    def test_up_ends_with_a_verified_stack(self, on_vllm: tuple[Stack, dict[str, Any]]) -> None:
        _, envelope = on_vllm
        assert envelope["ok"] is True
        assert envelope["data"]["engine"] == "compose"
        assert envelope["data"]["changed"] is True
        assert envelope["data"]["plan"]["backend"] == "vllm"
        verdicts = {finding["id"]: finding["verdict"] for finding in envelope["findings"]}
        assert verdicts["embed.meaning"] == "pass"
        assert verdicts["e2e.roundtrip"] == "pass"
        assert not {"fail", "error"} & set(verdicts.values())

    def test_status_lists_every_container(self, on_vllm: tuple[Stack, dict[str, Any]]) -> None:
        stack, _ = on_vllm
        data = stack.ask("status")["data"]
        assert data["engine"] == "compose"
        assert set(data["services"]) == ROLES
        for role, service in data["services"].items():
            assert service["healthy"], service
            assert service["url"] == f"http://127.0.0.1:{stack.ports[role]}"
            assert service["version"]
            assert service["started_at"]
            assert inspect(service["container"])["State"]["Running"] is True
        assert data["model"]["dimension"] == 384

    def test_the_engines_own_health_checks_pass(self, on_vllm: tuple[Stack, dict[str, Any]]) -> None:
        """With the tools that the images have: Chroma's has neither curl nor python3."""
        stack, _ = on_vllm

        def unhealthy() -> str | None:
            seen = {role: inspect(stack.container(role))["State"].get("Health", {}).get("Status") for role in ROLES}
            return None if set(seen.values()) == {"healthy"} else str(seen)

        wait_until(unhealthy, 60)

    def test_nothing_is_published_beyond_loopback(self, on_vllm: tuple[Stack, dict[str, Any]]) -> None:
        stack, _ = on_vllm
        published = [
            (role, binding["HostIp"], int(binding["HostPort"]))
            for role in ROLES
            for bindings in inspect(stack.container(role))["NetworkSettings"]["Ports"].values()
            for binding in bindings or ()
        ]
        assert sorted(published) == sorted((role, "127.0.0.1", port) for role, port in stack.ports.items())

    def test_no_secret_in_inspect_rendered_files_or_logs(self, on_vllm: tuple[Stack, dict[str, Any]]) -> None:
        stack, envelope = on_vllm
        credentials = Path(envelope["data"]["credentials_file"])
        assert credentials.stat().st_mode & 0o777 == 0o600
        values = [value for name, value in keys_in(credentials).items() if name != "WEBUI_ADMIN_EMAIL"]
        assert values
        assert all(len(value) > 8 for value in values)
        private = [path for path in stack.folder.rglob("*") if path.is_file() and path.stat().st_mode & 0o077 == 0]
        open_files = [path for path in stack.folder.rglob("*") if path.is_file() and path not in private]
        places = {str(path): path.read_text(errors="replace") for path in open_files}
        for role in ROLES:
            places[f"inspect {role}"] = docker("inspect", stack.container(role))
            command = ["docker", "logs", stack.container(role)]
            logs = subprocess.run(command, capture_output=True, text=True, check=True)
            places[f"logs {role}"] = logs.stdout + logs.stderr
            places[f"processes of {role}"] = docker("top", stack.container(role), "-eo", "pid,args")
        places["up --json"] = json.dumps(envelope)
        found = [place for place, content in places.items() for value in values if value in content]
        assert found == []

    def test_credentials_open_the_doors(self, on_vllm: tuple[Stack, dict[str, Any]]) -> None:
        stack, envelope = on_vllm
        keys = keys_in(envelope["data"]["credentials_file"])
        url = f"http://127.0.0.1:{stack.ports['embeddings']}"
        assert len(embed(url, envelope["data"]["model"]["served_name"], keys["EMBEDDINGS_API_KEY"])) == 384
        keyless = httpx.post(f"{url}/v1/embeddings", json={"input": ["hello"]}, timeout=30)
        assert keyless.status_code == 401
        webui = httpx.get(
            f"http://127.0.0.1:{stack.ports['webui']}/api/models",
            headers={"Authorization": f"Bearer {keys['WEBUI_API_KEY']}"},
            timeout=30,
        )
        assert webui.status_code == 200

    def test_a_second_up_does_nothing_in_under_three_seconds(self, on_vllm: tuple[Stack, dict[str, Any]]) -> None:
        stack, _ = on_vllm
        before = stack.ids()
        began = time.monotonic()
        again = stack.up()
        took_s = time.monotonic() - began
        assert again["data"]["changed"] is False
        assert stack.ids() == before
        assert took_s < 3

    def test_a_dry_run_says_that_nothing_would_change(self, on_vllm: tuple[Stack, dict[str, Any]]) -> None:
        stack, _ = on_vllm
        changes = stack.ask("up", *stack.request, "--dry-run")["data"]["changes"]
        assert changes
        assert {change["action"] for change in changes} == {"keep"}

    def test_verify_alone_passes(self, on_vllm: tuple[Stack, dict[str, Any]]) -> None:
        stack, _ = on_vllm
        assert stack.ask("verify")["ok"] is True

    def test_logs_show_each_service(self, on_vllm: tuple[Stack, dict[str, Any]]) -> None:
        stack, _ = on_vllm
        logs = stack.ask("logs", "--lines", "20")["data"]["logs"]
        assert set(logs) == ROLES
        assert all(shown["lines"] for shown in logs.values())
        assert all(len(shown["lines"]) <= 20 for shown in logs.values())


# ----------------------------------------------------------------------------- a stack that is broken, stopped, removed


class TestOnLlamacpp:
    def test_up_ends_with_a_verified_stack(self, on_llamacpp: tuple[Stack, dict[str, Any]]) -> None:
        _, envelope = on_llamacpp
        assert envelope["data"]["plan"]["backend"] == "llamacpp"
        assert envelope["data"]["plan"]["weights"]["format"] == "gguf"
        verdicts = {finding["id"]: finding["verdict"] for finding in envelope["findings"]}
        assert verdicts["e2e.roundtrip"] == "pass"
        assert not {"fail", "error"} & set(verdicts.values())

    def test_doctor_has_nothing_to_say_of_it(self, on_llamacpp: tuple[Stack, dict[str, Any]]) -> None:
        """All of it from the containers: their images, their mounts, Open WebUI's client asked inside."""
        stack, _ = on_llamacpp
        found = {finding["id"]: finding for finding in stack.ask("doctor")["findings"]}
        assert {name: each for name, each in found.items() if each["verdict"] in ("fail", "warn", "error")} == {}
        asked = ("stack.state", "stack.health", "image.digest", "image.pair", "chroma.persist", "plan.drift")
        assert {found[name]["verdict"] for name in (*asked, "embed.ready", "e2e.roundtrip", "e2e.clean")} == {"pass"}
        assert "client 1." in found["image.pair"]["evidence"]
        assert "volume" in found["chroma.persist"]["evidence"]

    def test_doctor_tells_an_image_that_was_moved_under_a_running_container(
        self, on_llamacpp: tuple[Stack, dict[str, Any]]
    ) -> None:
        stack, _ = on_llamacpp
        pinned = reference_of("chroma")
        running = str(inspect(stack.container("vectors"))["Image"])
        other = str(inspect(stack.container("embeddings"))["Image"])
        docker("tag", other, pinned)
        try:
            found = {each["id"]: each for each in stack.ask("doctor", "--only", "image.", exit_code=1)["findings"]}
        finally:
            docker("tag", running, pinned)
        assert found["image.digest"]["verdict"] == "fail"
        assert found["image.pair"]["verdict"] == "pass"
        assert "vectors runs" in found["image.digest"]["reason"]
        assert f"orchestrator up --stack {stack.name}" in found["image.digest"]["remedy"]["commands"]

    def test_a_stopped_service_is_seen_and_only_it_is_started_again(
        self, on_llamacpp: tuple[Stack, dict[str, Any]]
    ) -> None:
        stack, _ = on_llamacpp
        before = {role: inspect(stack.container(role))["State"]["StartedAt"] for role in ROLES}
        docker("stop", stack.container("embeddings"))
        services = stack.ask("status", exit_code=1)["data"]["services"]
        assert {role: service["healthy"] for role, service in services.items()} == {
            "embeddings": False,
            "vectors": True,
            "webui": True,
        }
        found = {finding["id"]: finding for finding in stack.ask("doctor", exit_code=1)["findings"]}
        assert {name for name, each in found.items() if each["verdict"] in ("fail", "warn", "error")} == {"stack.state"}
        assert "embeddings has ended" in found["stack.state"]["reason"]
        assert stack.up()["data"]["changed"] is True
        after = {role: inspect(stack.container(role))["State"]["StartedAt"] for role in ROLES}
        assert {role for role in ROLES if before[role] != after[role]} == {"embeddings"}

    def test_a_killed_server_comes_back_without_us(self, on_llamacpp: tuple[Stack, dict[str, Any]]) -> None:
        stack, _ = on_llamacpp
        container = stack.container("embeddings")
        pid = int(inspect(container)["State"]["Pid"])
        os.kill(pid, signal.SIGKILL)

        def down() -> str | None:
            state = inspect(container)["State"]
            back = state["Running"] and state["Pid"] not in (0, pid)
            healthy = back and httpx_ok(f"http://127.0.0.1:{stack.ports['embeddings']}/health")
            return None if healthy else str(state)

        wait_until(down, 60)
        assert stack.ask("status")["ok"] is True

    def test_a_removed_container_is_made_again(self, on_llamacpp: tuple[Stack, dict[str, Any]]) -> None:
        stack, _ = on_llamacpp
        before = stack.ids()
        docker("rm", "--force", stack.container("vectors"))
        assert stack.up()["data"]["changed"] is True
        after = stack.ids()
        assert before["vectors"] != after["vectors"]
        assert before["embeddings"] == after["embeddings"]

    def test_an_edited_compose_file_is_written_again(self, on_llamacpp: tuple[Stack, dict[str, Any]]) -> None:
        stack, _ = on_llamacpp
        rendered = stack.folder / "rendered" / "compose.yaml"
        whole = rendered.read_text()
        rendered.write_text(whole.replace("no-new-privileges:true", "no-new-privileges:false"))
        assert stack.up()["data"]["changed"] is True
        assert rendered.read_text() == whole

    def test_down_removes_the_stack_and_nothing_else_and_keeps_the_data(
        self, on_llamacpp: tuple[Stack, dict[str, Any]], bystander: str
    ) -> None:
        stack, first = on_llamacpp
        make_knowledge_base(stack, first, "kept")
        before = engine_contents()
        volumes = of_project(before, stack.project).volumes
        assert volumes
        stack.ask("down")
        after = engine_contents()
        left = of_project(after, stack.project)
        assert (left.containers, left.networks) == (NOTHING, NOTHING)
        assert left.volumes == volumes
        gone = before.containers - after.containers
        assert {name for name in gone if not name.startswith(stack.project)} == set()
        assert bystander in after.containers & after.networks & after.volumes
        assert inspect(bystander)["State"]["Running"] is True
        assert stack.ask("down")["data"]["stopped"] == []

    def test_after_down_the_users_and_the_knowledge_are_still_there(
        self, on_llamacpp: tuple[Stack, dict[str, Any]]
    ) -> None:
        stack, first = on_llamacpp
        stack.up()
        assert "kept" in knowledge_bases(stack, first)

    def test_down_with_volumes_asks_first(self, on_llamacpp: tuple[Stack, dict[str, Any]]) -> None:
        stack, _ = on_llamacpp
        volumes = of_project(engine_contents(), stack.project).volumes
        refused = stack.tool.run("down", "--stack", stack.name, "--volumes")  # stdin is empty: no answer
        assert refused.returncode != 0
        assert volumes
        assert of_project(engine_contents(), stack.project).volumes == volumes
        assert stack.ask("status")["ok"] is True

    def test_down_with_volumes_and_yes_removes_everything_of_the_stack(
        self, on_llamacpp: tuple[Stack, dict[str, Any]], bystander: str
    ) -> None:
        stack, _ = on_llamacpp
        stack.remove()
        left = of_project(engine_contents(), stack.project)
        assert (left.containers, left.networks, left.volumes) == (NOTHING, NOTHING, NOTHING)
        assert bystander in engine_contents().volumes
        assert not (stack.folder / "secrets").exists()


def httpx_ok(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def bystander() -> Iterator[str]:
    """Somebody else's container, network and volume on the same engine, with a name that begins like ours."""
    name = f"orchestrator-bystander-{os.getpid()}"
    docker("network", "create", name)
    docker("volume", "create", name)
    docker("run", "--detach", "--name", name, "--network", name, "--volume", f"{name}:/kept", reference_of("chroma"))
    try:
        yield name
    finally:
        docker("rm", "--force", name, check=False)
        docker("network", "rm", name, check=False)
        docker("volume", "rm", name, check=False)


# --------------------------------------------------------------------------------------------------- without this tool


def test_rendered_files_run_alone_with_docker_compose(
    tool: Tool, llamacpp_images: None, small_gguf: Path, tmp_path: Path
) -> None:
    out, name = tmp_path / "stack", f"alone-{os.getpid()}"
    ports = {role: free_port() for role in ROLES}
    rendered = tool.json(
        "render",
        *("--engine", "compose", "--gpu", "none", "--backend", "llamacpp", "--model", str(small_gguf)),
        *("--stack", name, "--out", str(out)),
        *(part for role, port in ports.items() for part in ("--port", f"{role}={port}")),
    )
    assert of_project(engine_contents(), f"orchestrator-{name}").containers == NOTHING
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ORCHESTRATOR", "COMPOSE"))}

    def compose(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "compose", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    folder = next(out.rglob("compose.yaml")).parent
    try:
        started = compose("up", "-d", "--wait", "--wait-timeout", "300")
        assert started.returncode == 0, started.stderr[-3000:]
        keys = keys_in(rendered["data"]["credentials_file"])
        served = rendered["data"]["plan"]["served_name"]
        vector = embed(f"http://127.0.0.1:{ports['embeddings']}", served, keys["EMBEDDINGS_API_KEY"])
        assert len(vector) == 384
        signed_in = httpx.post(
            f"http://127.0.0.1:{ports['webui']}/api/v1/auths/signin",
            json={"email": keys["WEBUI_ADMIN_EMAIL"], "password": keys["WEBUI_ADMIN_PASSWORD"]},
            timeout=30,
        )
        assert signed_in.status_code == 200
        heartbeat = httpx.get(f"http://127.0.0.1:{ports['vectors']}/api/v2/heartbeat", timeout=10)
        assert heartbeat.status_code == 200
    finally:
        compose("down", "--volumes", "--timeout", "5")


# --------------------------------------------------------------------------------------------------------------- faults


def test_a_taken_port_names_its_holder_and_offers_the_next_one(fresh_llamacpp: Stack) -> None:
    stack = fresh_llamacpp
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", stack.ports["webui"]))
        holder.listen()
        error = stack.up(exit_code=1)["error"]
    told = " ".join((error["message"], error["remedy"], error["evidence"]))
    assert str(stack.ports["webui"]) in told
    assert str(os.getpid()) in told
    assert "--port webui=" in error["remedy"]
    assert f"--port webui={stack.ports['webui']} " not in error["remedy"] + " "
    assert of_project(engine_contents(), stack.project).containers == NOTHING


def test_an_image_that_nobody_has_is_named_with_what_the_registry_said(fresh_llamacpp: Stack) -> None:
    """A lock on a digest that exists nowhere: fails alike with and without a registry in reach."""
    stack = fresh_llamacpp
    image = reference_of("chroma")
    stack.folder.mkdir(parents=True, exist_ok=True)
    (stack.folder / "digests.json").write_text(json.dumps({image: "sha256:" + "0" * 64}))
    error = stack.up(exit_code=1)["error"]
    assert error["code"] == "image_pull_failed"
    assert image in error["message"]
    assert error["evidence"]
    assert error["remedy"]
    assert of_project(engine_contents(), stack.project).containers == NOTHING


def test_a_service_that_dies_shows_its_last_lines(fresh_server: Stack, small_gguf: Path, tmp_path: Path) -> None:
    """A GGUF with its head whole and its tail missing: planned, mounted, and refused by llama-server itself."""
    cut = tmp_path / "cut.gguf"
    content = small_gguf.read_bytes()
    cut.write_bytes(content[: len(content) * 2 // 3])
    stack = fresh_server
    stack.request = tuple(str(cut) if word == str(small_gguf) else word for word in stack.request)
    began = time.monotonic()
    error = stack.up(exit_code=1)["error"]
    took_s = time.monotonic() - began
    told = " ".join((error["message"], error["evidence"]))
    assert "llamacpp" in told
    assert "tensor" in told or "corrupted" in told or "failed to load" in told, told
    assert error["remedy"]
    assert took_s < 120, "it waited for the deadline of a server that was dead"


def test_up_after_a_killed_up_converges(fresh_llamacpp: Stack) -> None:
    """Killed when Open WebUI has been started and nothing is wired yet."""
    stack = fresh_llamacpp
    killed = stack.tool.start("up", *stack.request, "--stack", stack.name)
    try:

        def not_yet() -> str | None:
            assert killed.poll() is None, killed.communicate()
            there = of_project(engine_contents(), stack.project).containers
            return None if stack.container("webui") in there else f"only {sorted(there)}"

        wait_until(not_yet, 180)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
    envelope = stack.up()
    assert envelope["ok"] is True
    assert stack.ask("status")["ok"] is True


def test_an_interrupt_ends_with_130_and_the_next_up_converges(fresh_server: Stack) -> None:
    stack = fresh_server
    process = stack.tool.start("up", *stack.request, "--stack", stack.name, "--json")

    def not_yet() -> str | None:
        assert process.poll() is None, process.communicate()
        there = of_project(engine_contents(), stack.project).containers
        return None if there else "no container yet"

    wait_until(not_yet, 180)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err[-2000:]
    assert json.loads(out)["exit_code"] == 130
    assert stack.up()["ok"] is True
