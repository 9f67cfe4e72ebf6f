"""Ports, published addresses, firewalls, and the places that images and weights come from, broken one at a time.

Sockets and processes are real, registries and hubs are stand-ins on this machine; the real registry is asked in
tests/integration/test_doctor_docker.py.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import msgspec
import pytest
import yaml

from orchestrator.doctor.checks import exposure, sources
from orchestrator.engines import registry
from orchestrator.engines.registry import ask_registry, reference_of
from orchestrator.facts.records import CachedModel, DockerFacts
from orchestrator.plan.records import Weights, WeightsSource
from tests.doctor.broken import changed, findings, verdicts
from tests.doctor.conftest import facts_of
from tests.doctor.ports import quiet_ports
from tests.plans import plan_of
from tests.standins.hub import COMMIT, StandInHub
from tests.standins.hub import running as hub_running


@pytest.fixture(autouse=True)
def program(tmp_path, monkeypatch):
    """A docker program that is there and knows nothing; no login, no token."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text("#!/bin/sh\nexit 1\n")
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker-config"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(exposure, "UFW", tmp_path / "ufw.conf")
    monkeypatch.setattr(exposure, "shutil", SimpleNamespace(which=lambda name: None))


@pytest.fixture
def free_ports():
    return quiet_ports()


@pytest.fixture
def listener():
    """`listener(address, port)`: another process that listens there."""
    started = []

    def start(address, port):
        script = (
            "import socket,sys;s=socket.socket();s.bind((sys.argv[1],int(sys.argv[2])));s.listen();print(flush=True);"
            "sys.stdin.read()"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script, address, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        process.stdout.readline()
        started.append(process)
        return process

    yield start
    for process in started:
        process.stdin.close()
        process.wait(5)


# net.port, net.bind


def test_a_taken_port(context, free_ports, listener):
    plan = plan_of(engine="native", ports=free_ports)
    before = verdicts(context(plan=plan, offline=True))
    holder = listener("127.0.0.1", free_ports["vectors"])
    assert changed(before, context(plan=plan, offline=True)) == {"net.port.vectors": "fail"}
    assert f"pid {holder.pid}" in findings(context(plan=plan, offline=True))["net.port.vectors"].reason


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_process_of_the_stack_that_listens_where_nobody_asked_for(context, free_ports, listener, address):
    plan = plan_of(engine="native", ports=free_ports)
    process = listener(address, free_ports["vectors"])
    own = SimpleNamespace(role="vectors", pid=process.pid, container=None, state="running")
    finding = findings(context(plan=plan, offline=True, running=(own,)))["net.bind"]
    assert finding.verdict == ("pass" if address == "127.0.0.1" else "warn")
    if finding.verdict == "warn":
        assert "Chroma has no authentication" in finding.reason


def test_a_worker_of_the_process_counts(context, free_ports):
    """As Open WebUI's and vLLM's: the parent holds no socket, its child does."""
    port = free_ports["webui"]
    child = f"import socket;s=socket.socket();s.bind(('0.0.0.0',{port}));s.listen();print(flush=True);input()"
    parent = f"import subprocess,sys;subprocess.run([sys.executable,'-c',{child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    own = SimpleNamespace(role="webui", pid=process.pid, container=None, state="running")
    plan = plan_of(engine="native", ports=free_ports)
    found = findings(context(plan=plan, offline=True, running=(own,)))["net.bind"]
    asked = findings(context(plan=msgspec.structs.replace(plan, listen="0.0.0.0"), offline=True, running=(own,)))
    process.stdin.write(b"\n")
    process.stdin.close()
    process.wait(5)
    assert found.verdict == "warn"
    assert asked["net.bind"].verdict == "pass"
    assert "--listen 0.0.0.0 was asked for" in asked["net.bind"].evidence


def publish(context, role, entry):
    from orchestrator.doctor.rendered import rendered_services

    services = rendered_services(context).services
    services[role]["ports"] = [entry]
    file = context.folder.rendered / "compose.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"services": services}))


@pytest.mark.parametrize(
    ("entry", "verdict"),
    [
        ("3000:8080", "warn"),
        ("0.0.0.0:3000:8080", "warn"),
        ("[::]:3000:8080", "warn"),
        ({"target": 8080, "published": 3000}, "warn"),
        ("127.0.0.1:3000:8080", "pass"),
        ("[::1]:3000:8080", "pass"),
        ({"target": 8080, "published": 3000, "host_ip": "127.0.0.1"}, "pass"),
    ],
)
def test_an_edited_file_that_publishes_to_everybody(context, free_ports, entry, verdict):
    broken = context(plan=plan_of(ports=free_ports), offline=True)
    before = verdicts(broken)
    publish(broken, "webui", entry)
    difference = changed(before, broken)
    difference.pop("plan.drift", None)
    assert difference == ({"net.bind": "warn"} if verdict == "warn" else {})


def test_what_was_asked_for_is_no_warning_but_chroma_stays_here(context, free_ports):
    wanted = context(plan=plan_of(ports=free_ports, listen="0.0.0.0"), offline=True)
    assert findings(wanted)["net.bind"].verdict == "pass"
    publish(wanted, "vectors", "0.0.0.0:8002:8000")
    finding = findings(wanted)["net.bind"]
    assert finding.verdict == "warn"
    assert "Chroma has no authentication" in finding.reason


# net.firewall


def test_a_firewall_that_docker_goes_around(context, free_ports):
    shown = context(plan=plan_of(ports=free_ports, listen="0.0.0.0"), offline=True)
    exposure.UFW.write_text("# /etc/ufw/ufw.conf\nENABLED=no\nLOGLEVEL=low\n")
    before = verdicts(shown)
    assert before["net.firewall"] == "skip"
    exposure.UFW.write_text("# /etc/ufw/ufw.conf\nENABLED=yes\nLOGLEVEL=low\n")
    assert changed(before, shown) == {"net.firewall": "warn"}
    assert "ufw" in findings(shown)["net.firewall"].reason


@pytest.mark.parametrize(("code", "verdict"), [(0, "warn"), (3, "skip")])
def test_firewalld_is_asked_of_systemd(context, free_ports, monkeypatch, tmp_path, code, verdict):
    """`systemctl` as a stand-in: its exit code is all that is read."""
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.write_text(f"#!/bin/sh\n[ \"$1 $3\" = 'is-active firewalld' ] || exit 9\nexit {code}\n")
    systemctl.chmod(0o755)
    monkeypatch.setattr(exposure, "shutil", SimpleNamespace(which=lambda name: f"/usr/bin/{name}"))
    shown = context(plan=plan_of(ports=free_ports, listen="0.0.0.0"), offline=True)
    assert findings(shown)["net.firewall"].verdict == verdict


@pytest.mark.parametrize("changes", [{}, {"engine": "native", "listen": "0.0.0.0"}])
def test_a_firewall_is_no_matter_where_nothing_goes_around_it(context, free_ports, changes):
    exposure.UFW.write_text("ENABLED=yes\n")
    finding = findings(context(plan=plan_of(ports=free_ports, **changes), offline=True))["net.firewall"]
    assert finding.verdict == "skip"
    assert finding.reason


# net.registry


class StandInRegistry:
    """The part of a registry's API that one HEAD of a manifest needs, tokens and refusals included."""

    def __init__(self):
        self.images = {}
        """`repository:tag`s that it has."""
        self.status = 200
        self.token_status = 200
        self.login = None
        """`user:password` that its tokens want."""
        self.headers = {}
        self.guarded = False
        self.asked = []
        self.address = ""


@contextmanager
def registry_running(state):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_HEAD(self):
            state.asked.append((self.command, self.path, self.headers.get("Authorization")))
            if state.guarded and self.headers.get("Authorization") != "Bearer given":
                realm = f'Bearer realm="http://{state.address}/token",service="registry.example",scope="x"'
                return self.answer(401, {"WWW-Authenticate": realm})
            _, _, name = self.path.partition("/v2/")
            repository, _, tag = name.partition("/manifests/")
            status = state.status if state.status != 200 or f"{repository}:{tag}" in state.images else 404
            return self.answer(status, state.headers)

        def do_GET(self):
            state.asked.append((self.command, self.path, self.headers.get("Authorization")))
            wanted = f"Basic {base64.b64encode(state.login.encode()).decode()}" if state.login else None
            if state.token_status != 200 or self.headers.get("Authorization") != wanted:
                return self.answer(state.token_status if state.token_status != 200 else 401, {})
            return self.answer(200, {}, json.dumps({"token": "given"}).encode())

        def answer(self, status, headers, body=b""):
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    state.address = f"127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def standin():
    with registry_running(StandInRegistry()) as state:
        yield state


@pytest.fixture
def image(standin, monkeypatch):
    """The only image of the plan is one of the stand-in's; Docker and its engine are taken to be well."""
    monkeypatch.setattr(sources, "images_of", lambda plan: {"chroma": f"{standin.address}/team/chroma:1.5.9"})
    standin.images = {"team/chroma:1.5.9"}
    return f"{standin.address}/team/chroma:1.5.9"


@pytest.fixture
def online(context, free_ports):
    return context(plan=plan_of(ports=free_ports))


def test_a_registry_that_has_what_is_missing(standin, image, online):
    finding = findings(online)["net.registry"]
    assert (finding.verdict, finding.evidence) == ("pass", f"{image}: 127.0.0.1 answered 200")
    assert [method for method, _, _ in standin.asked] == ["HEAD"], "one small request, nothing else"


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (404, {}, "has no"),
        (403, {}, "does not let"),
        (429, {"Retry-After": "120"}, "slow down"),
        (503, {}, "answered 503"),
    ],
)
def test_a_registry_that_refuses(standin, image, online, status, headers, words):
    before = verdicts(online)
    standin.status, standin.headers = status, headers
    assert changed(before, online) == {"net.registry": "fail"}
    finding = findings(online)["net.registry"]
    assert words in finding.reason
    assert "120 s" in finding.remedy.text or status != 429


def test_a_registry_that_does_not_answer(standin, image, online, monkeypatch):
    before = verdicts(online)
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        gone = f"127.0.0.1:{plug.getsockname()[1]}/team/chroma:1.5.9"
    monkeypatch.setattr(sources, "images_of", lambda plan: {"chroma": gone})
    assert changed(before, online) == {"net.registry": "fail"}
    finding = findings(online)["net.registry"]
    assert "cannot be reached" in finding.reason
    assert "refused" in finding.evidence


def test_a_token_is_fetched_as_docker_does(standin, image):
    standin.guarded = True
    assert ask_registry(image, 5).status == 200
    assert [method for method, _, _ in standin.asked] == ["HEAD", "GET", "HEAD"]
    token_path = standin.asked[1][1]
    assert "scope=repository%3Ateam%2Fchroma%3Apull" in token_path


def test_a_private_image_with_and_without_dockers_login(standin, image, tmp_path, online):
    standin.guarded, standin.login = True, "me:secret"
    finding = findings(online)["net.registry"]
    assert finding.verdict == "fail"
    assert finding.remedy.commands == (f"docker login {standin.address}",)
    kept = {"auths": {standin.address: {"auth": base64.b64encode(b"me:secret").decode()}}}
    (tmp_path / "docker-config").mkdir()
    (tmp_path / "docker-config" / "config.json").write_text(json.dumps(kept))
    passed = findings(online)["net.registry"]
    assert passed.verdict == "pass"
    assert "secret" not in repr(passed) + repr(finding)


def test_too_many_tokens(standin, image, online):
    standin.guarded, standin.token_status = True, 429
    assert "slow down" in findings(online)["net.registry"].reason


def test_images_that_are_here_are_not_asked_for(standin, image, online):
    here = msgspec.structs.replace(online, facts=facts_of(docker=DockerFacts(usable=True, images=(image,))))
    assert findings(here)["net.registry"].verdict == "skip"
    assert standin.asked == []


def test_offline_asks_nobody(standin, image, online):
    finding = findings(msgspec.structs.replace(online, offline=True))["net.registry"]
    assert (finding.verdict, finding.reason) == ("skip", "not asked: --offline")
    assert standin.asked == []


def test_a_mirror_of_the_engine_is_asked_before_docker_hub(standin, online, monkeypatch):
    monkeypatch.setattr(sources, "images_of", lambda plan: {"chroma": "docker.io/chromadb/chroma:1.5.9"})
    monkeypatch.setattr(registry, "HUB", "127.0.0.1:1")
    monkeypatch.setattr(sources, "HUB", "127.0.0.1:1")
    standin.images = {"chromadb/chroma:1.5.9"}
    docker = DockerFacts(usable=True, mirrors=(f"http://{standin.address}/",))
    mirrored = msgspec.structs.replace(online, facts=facts_of(docker=docker))
    assert findings(mirrored)["net.registry"].verdict == "pass"
    standin.images = set()
    assert findings(mirrored)["net.registry"].verdict == "fail"


@pytest.mark.parametrize(
    ("image", "host", "repository", "version"),
    [
        ("docker.io/chromadb/chroma:1.5.9", "registry-1.docker.io", "chromadb/chroma", "1.5.9"),
        ("chromadb/chroma:1.5.9", "registry-1.docker.io", "chromadb/chroma", "1.5.9"),
        ("registry:2", "registry-1.docker.io", "library/registry", "2"),
        ("ghcr.io/open-webui/open-webui:v0.12.4", "ghcr.io", "open-webui/open-webui", "v0.12.4"),
        ("127.0.0.1:5000/team/x:1", "127.0.0.1:5000", "team/x", "1"),
        ("localhost/x", "localhost", "x", "latest"),
        ("ghcr.io/a/b:1@sha256:abc", "ghcr.io", "a/b", "sha256:abc"),
    ],
)
def test_names_as_docker_reads_them(image, host, repository, version):
    found = reference_of(image)
    assert (found.host, found.repository, found.version) == (host, repository, version)


# net.hf


@pytest.fixture
def hub(monkeypatch):
    with hub_running(StandInHub("maker/model", {"config.json": b"{}", "model.gguf": bytes(100)})) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def from_hub(context, free_ports):
    source = WeightsSource(kind="hub", reference="maker/model", revision=COMMIT, filename="model.gguf")
    weights = Weights(format="gguf", dtype="Q8_0", bytes=100, source=source)
    cached = facts_of(docker=DockerFacts(usable=True, images=()))
    plan = plan_of("llamacpp", ports=free_ports, engine="native", weights=weights)
    return context(plan=plan, facts=cached)


def test_a_hub_that_has_the_weights(hub, from_hub):
    finding = findings(from_hub)["net.hf"]
    assert finding.verdict == "pass"
    assert "maker/model/model.gguf, 100 bytes" in finding.evidence
    of_the_model = [asked for asked in hub.requests if "maker" in asked[1]]  # its library asks for itself as well
    assert of_the_model == [("HEAD", f"/maker/model/resolve/{COMMIT}/model.gguf", None)]


@pytest.mark.parametrize(
    ("refusal", "code", "words"),
    [
        ((401, {}), "hub_bad_token", "HF_TOKEN"),
        ((403, {}), "hub_forbidden", "terms"),
        ((403, {"X-Error-Code": "GatedRepo"}), "hub_gated", "accept its terms"),
        ((404, {"X-Error-Code": "RepoNotFound"}), "hub_no_such_repository", "check the name"),
        ((404, {"X-Error-Code": "RevisionNotFound"}), "hub_no_such_revision", "commits"),
        ((429, {"Retry-After": "30"}), "hub_rate_limited", "30 s"),
        ((503, {}), "hub_unavailable", "later"),
    ],
)
def test_a_hub_that_refuses(hub, from_hub, refusal, code, words):
    before = verdicts(from_hub)
    hub.refusal = refusal
    assert changed(before, from_hub) == {"net.hf": "fail"}
    finding = findings(from_hub)["net.hf"]
    assert code in finding.evidence
    assert words in finding.remedy.text


def test_a_hub_that_does_not_answer(hub, from_hub, monkeypatch):
    before = verdicts(from_hub)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert changed(before, from_hub) == {"net.hf": "fail"}
    assert "hub_unreachable" in findings(from_hub)["net.hf"].evidence


def test_the_token_goes_along_and_is_never_shown(hub, from_hub, monkeypatch):
    hub.refusal, hub.token = (401, {}), "hf_right"
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert findings(from_hub)["net.hf"].verdict == "pass"
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    finding = findings(from_hub)["net.hf"]
    assert finding.verdict == "fail"
    assert "hf_wrong" not in repr(finding)


def test_weights_that_are_here_or_come_from_elsewhere(hub, from_hub, context, free_ports):
    key = from_hub.plan.weights.source.key
    kept = facts_of(cached=(CachedModel(key=key, path="/models/x", bytes=100),))
    assert findings(msgspec.structs.replace(from_hub, facts=kept))["net.hf"].verdict == "skip"
    assert findings(msgspec.structs.replace(from_hub, offline=True))["net.hf"].verdict == "skip"
    local = findings(context(plan=plan_of(ports=free_ports, engine="native"), offline=True))
    assert local["net.hf"].verdict == "skip"
    assert hub.requests == []


# net.ollama


@pytest.mark.parametrize(("tag", "verdict"), [("all-minilm:q8", "pass"), ("all-minilm:none", "fail")])
def test_ollamas_registry(standin, context, free_ports, monkeypatch, tag, verdict):
    monkeypatch.setattr(sources, "OLLAMA_REGISTRY", standin.address)
    standin.images = {"library/all-minilm:q8"}
    plan = plan_of("ollama", ports=free_ports, engine="native")
    source = msgspec.structs.replace(plan.weights.source, reference=tag)
    plan = msgspec.structs.replace(plan, weights=msgspec.structs.replace(plan.weights, source=source))
    finding = findings(context(plan=plan))["net.ollama"]
    assert finding.verdict == verdict
    assert "no all-minilm:none" in finding.reason or verdict == "pass"
