"""The door to every service, against a real HTTP server (a stand-in that answers what it is told)."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from orchestrator.clients.http import Http, error_message
from orchestrator.errors import OrchestratorError


class Scripted(BaseHTTPRequestHandler):
    """/STATUS/BODY answers that; /echo answers the request's headers; /slow never in time."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(1.5)
            return self._send(200, "{}")
        if self.path == "/echo":
            return self._send(500, json.dumps({"detail": self.headers.get("authorization", "none")}))
        _, status, body = self.path.split("/", 2)
        return self._send(int(status) if status.isdigit() else 200, body)

    def _send(self, status: int, body: str) -> None:
        self.send_response(status)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # nobody waited for the slow one
            self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "too long", "type": "BadRequestError"}}, "too long"),
        ({"error": "Unauthorized"}, "Unauthorized"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"detail": [{"loc": ["body"]}]}, '[{"loc": ["body"]}]'),
        (["no object"], ""),
        (None, ""),
    ],
)
def test_all_error_shapes_are_read(body: object, message: str) -> None:
    assert error_message(body) == message


def test_a_refusal_is_an_error_with_its_evidence(url: str) -> None:
    with Http("vectors", url, timeout_s=5) as http, pytest.raises(OrchestratorError) as caught:
        http.ask("GET", '/404/{"detail":"gone"}')
    assert caught.value.code == "refused"
    assert "404" in caught.value.message
    assert "gone" in caught.value.message
    assert url in caught.value.evidence


def test_the_token_is_sent_and_never_shown(url: str) -> None:
    with Http("webui", url, timeout_s=5, token="sk-very-secret") as http, pytest.raises(OrchestratorError) as caught:
        http.ask("GET", "/echo")
    shown = caught.value.message + caught.value.evidence + caught.value.remedy
    assert "Bearer ***" in shown
    assert "sk-very-secret" not in shown


def test_silence_is_unreachable(url: str) -> None:
    with Http("embeddings", "http://127.0.0.1:1", timeout_s=2) as http, pytest.raises(OrchestratorError) as refused:
        http.call("GET", "/health")
    assert refused.value.code == "unreachable"
    with Http("embeddings", url, timeout_s=0.2) as http, pytest.raises(OrchestratorError) as late:
        http.call("GET", "/slow")
    assert late.value.code == "unreachable"
    assert "in time" in late.value.message


def test_a_proxy_of_the_environment_is_not_used(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Http("vectors", url, timeout_s=5) as http:
        assert http.ask("GET", "/200/[1]") == [1]
