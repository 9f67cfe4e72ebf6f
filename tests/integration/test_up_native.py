"""`up` end to end on the native engine: the real vLLM (CPU build), ChromaDB and Open WebUI."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.integration.conftest import Tool

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("native_up")]


def processes_of(stack_folder: Path) -> list[psutil.Process]:
    """By the mark in the environment, or by the working folder: vLLM's engine overwrites its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get("ORCHESTRATOR_STACK") == str(stack_folder)
            if marked or Path(process.cwd()).is_relative_to(stack_folder):
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def test_it_shows_the_plan_the_url_and_where_the_password_is(native_up: str, home: Path) -> None:
    assert "all-minilm-l6-v2" in native_up
    assert "http://127.0.0.1:3000" in native_up
    assert str(home / "stacks/default/secrets/credentials.env") in native_up.replace("\n", "")


def test_status_lists_every_service(tool: Tool) -> None:
    data = tool.json("status")["data"]
    assert data["engine"] == "native"
    assert set(data["services"]) == {"embeddings", "vectors", "webui"}
    for service in data["services"].values():
        assert service["healthy"], service
        assert service["url"].startswith("http://127.0.0.1:")
        assert service["version"]
        assert psutil.pid_exists(service["pid"])
        assert service["started_at"]
    assert data["model"] == {
        "id": "all-minilm-l6-v2",
        "served_name": "all-minilm-l6-v2",
        "dimension": 384,
        "max_length": 256,
    }


def test_credentials_are_private_and_work(tool: Tool) -> None:
    data = tool.json("status")["data"]
    path = Path(data["credentials_file"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keys = dict(line.split("=", 1) for line in path.read_text().splitlines())
    webui, embeddings = data["services"]["webui"]["url"], data["services"]["embeddings"]["url"]
    signed_in = httpx.post(
        f"{webui}/api/v1/auths/signin",
        json={"email": keys["WEBUI_ADMIN_EMAIL"], "password": keys["WEBUI_ADMIN_PASSWORD"]},
        timeout=30,
    )
    assert signed_in.status_code == 200
    bearer = {"Authorization": f"Bearer {keys['WEBUI_API_KEY']}"}
    assert httpx.get(f"{webui}/api/models", headers=bearer, timeout=30).status_code == 200
    body = {"model": "all-minilm-l6-v2", "input": ["hello"]}
    assert httpx.post(f"{embeddings}/v1/embeddings", json=body, timeout=30).status_code == 401
    key = {"Authorization": f"Bearer {keys['EMBEDDINGS_API_KEY']}"}
    assert httpx.post(f"{embeddings}/v1/embeddings", json=body, headers=key, timeout=30).status_code == 200


def test_nothing_listens_beyond_loopback(tool: Tool, home: Path) -> None:
    addresses = {
        connection.laddr.ip
        for process in processes_of(home / "stacks/default")
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses
    assert addresses <= {"127.0.0.1", "::1"}


def test_no_secret_in_argv_logs_or_rendered_files(tool: Tool, home: Path) -> None:
    folder = home / "stacks/default"
    secrets = [
        line.split("=", 1)[1]
        for line in (folder / "secrets/credentials.env").read_text().splitlines()
        if not line.startswith("WEBUI_ADMIN_EMAIL")
    ]
    assert len(secrets) == 4
    places = [" ".join(process.cmdline()) for process in processes_of(folder)]
    places += [path.read_text(errors="replace") for path in folder.glob("logs/*")]
    places += [path.read_text() for path in folder.glob("rendered/**/*") if path.is_file()]
    places += [(folder / "plan.json").read_text(), (folder / "record.json").read_text()]
    places += [tool.run(*command).stdout for command in (["status", "--json"], ["logs", "--json", "--lines", "5000"])]
    for secret in secrets:
        assert len(secret) > 8
        assert not [place[:200] for place in places if secret in place]


def test_verify_passes(tool: Tool) -> None:
    envelope = tool.json("verify")
    verdicts = {finding["id"]: finding["verdict"] for finding in envelope["findings"]}
    assert verdicts["embed.meaning"] == "pass"
    assert verdicts["e2e.roundtrip"] == "pass"
    assert "fail" not in verdicts.values()
    assert "error" not in verdicts.values()


def test_a_second_up_does_nothing_in_under_three_seconds(tool: Tool) -> None:
    before = {role: s["pid"] for role, s in tool.json("status")["data"]["services"].items()}
    began = time.monotonic()
    data = tool.json("up")["data"]
    took_s = time.monotonic() - began
    assert data["changed"] is False
    assert {role: s["pid"] for role, s in data["services"].items()} == before
    assert took_s < 3


def test_a_dry_run_says_what_would_change_and_changes_nothing(tool: Tool) -> None:
    pids = {role: service["pid"] for role, service in tool.json("status")["data"]["services"].items()}
    began = time.monotonic()
    kept = tool.json("up", "--dry-run")["data"]
    took_s = time.monotonic() - began
    assert kept["kept"] is True
    assert {change["action"] for change in kept["changes"]} == {"keep"}
    assert took_s < 1.5  # a second in the terms, on a machine that does nothing else
    other = tool.json("up", "--dry-run", "--port", "webui=3055")["data"]["changes"]
    actions = {change["what"]: change["action"] for change in other}
    assert actions["service open-webui"] == "recreate"
    assert actions["service chroma"] == "keep"
    assert {role: service["pid"] for role, service in tool.json("status")["data"]["services"].items()} == pids


def test_a_drifted_open_webui_is_repaired_by_wire_alone(tool: Tool) -> None:
    assert tool.json("wire")["data"]["changed"] == []
    data = tool.json("status")["data"]
    keys = dict(line.split("=", 1) for line in Path(data["credentials_file"]).read_text().splitlines())
    webui = data["services"]["webui"]["url"]
    signed_in = httpx.post(
        f"{webui}/api/v1/auths/signin",
        json={"email": keys["WEBUI_ADMIN_EMAIL"], "password": keys["WEBUI_ADMIN_PASSWORD"]},
        timeout=30,
    ).json()
    bearer = {"Authorization": f"Bearer {signed_in['token']}"}
    reset = {"RAG_EMBEDDING_ENGINE": "openai", "RAG_EMBEDDING_MODEL": "all-minilm-l6-v2"}
    httpx.post(f"{webui}/api/v1/retrieval/embedding/update", json=reset, headers=bearer, timeout=30).raise_for_status()
    changed = {change["field"]: (change["have"], change["want"]) for change in tool.json("wire")["data"]["changed"]}
    assert any("BATCH" in field.upper() for field in changed), changed
    assert tool.json("wire")["data"]["changed"] == []


def test_two_ups_at_once_the_second_waits_and_says_for_whom(tool: Tool) -> None:
    first = tool.start("up", "--replan", "--json")
    time.sleep(0.7)
    second = tool.run("up", "--json", "--lock-timeout", "0")
    _, err = first.communicate(timeout=300)
    assert first.returncode == 0, err[-3000:]
    if second.returncode != 0:  # the first one still held the lock
        assert '"code": "locked"' in second.stdout
        assert "orchestrator up" in second.stdout
        assert str(first.pid) in second.stdout
    else:
        pytest.fail("the second `up` did not meet the first one's lock")


def test_down_lets_a_running_ingest_end_and_leaves_no_process(tool: Tool, home: Path) -> None:
    """SIGTERM in the middle of an ingest: Open WebUI gets its time, the embedding server stays until it is done."""
    data = tool.json("status")["data"]
    webui = data["services"]["webui"]["url"]
    keys = dict(line.split("=", 1) for line in Path(data["credentials_file"]).read_text().splitlines())
    bearer = {"Authorization": f"Bearer {keys['WEBUI_API_KEY']}"}
    text = "\n\n".join(
        f"Paragraph {n}: the harbour master wrote {n * 7} into the log of ship {n % 31}." for n in range(2500)
    )
    uploaded = httpx.post(
        f"{webui}/api/v1/files/",
        files={"file": ("log.txt", text.encode(), "text/plain")},
        headers=bearer,
        timeout=60,
    ).json()
    status_url = f"{webui}/api/v1/files/{uploaded['id']}/process/status"
    assert httpx.get(status_url, headers=bearer, timeout=30).json()["status"] in ("pending", "processing")
    time.sleep(2)

    assert tool.json("down")["data"]["removed_data"] is False
    assert processes_of(home / "stacks/default") == []

    assert tool.json("up")["data"]["changed"] is True
    assert httpx.get(status_url, headers=bearer, timeout=30).json()["status"] == "completed"
    httpx.delete(f"{webui}/api/v1/files/{uploaded['id']}", headers=bearer, timeout=60)
