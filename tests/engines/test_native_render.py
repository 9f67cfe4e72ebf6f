"""The files of the native engine, as text: what supervisord and bash will read."""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path

import pytest

from orchestrator.engines.native_render import native_files
from orchestrator.engines.native_secrets import secret_texts, secrets_id
from orchestrator.engines.waves import waves_of
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Role
from orchestrator.services.service import Health, Program, SecretEnv, Service
from orchestrator.state import StackFolder

SECRETS = {"key": "it's a secret"}


def service(role: Role, **fields: object) -> Service:
    values: dict[str, object] = {
        "role": role,
        "name": f"the-{role}",
        "version": "1.2",
        "image": "",
        "program": Program(environment=None, executable="/opt/it/bin/serve"),
        "entrypoint": (),
        "arguments": ("run", "--port", "4000", "--quiet", "--path", "/with a space"),
        "environment": {"SIZE": "7", "TEXT": "two\nlines"},
        "secrets": (SecretEnv(variable="KEY", secret="key"),),
        "listen": "127.0.0.1",
        "port": 4000,
        "published_port": 4000,
        "published_host": "127.0.0.1",
        "health": Health(path="/health", tool="bash"),
        "start_deadline_s": 60,
        "stop_grace_s": 42,
        "notes": {
            "SIZE": "seven is enough",
            "--port": "not the default",
            "health": "slow at first",
            "stop_grace": "why",
        },
    }
    return Service(**{**values, **fields})  # type: ignore[arg-type]


def rendered(folder: StackFolder, *services: Service) -> dict[str, str]:
    files = native_files(folder, services, folder.path / "s.sock", lambda program: Path(program.executable))
    return {file.path: file.text for file in files}


@pytest.fixture
def folder(tmp_path: Path) -> StackFolder:
    return StackFolder("team", tmp_path)


def test_one_configuration_and_one_script_per_service(folder: StackFolder) -> None:
    files = native_files(
        folder, (service("vectors"), service("webui")), folder.path / "s", lambda program: Path(program.executable)
    )
    assert [(file.path, file.mode) for file in files] == [
        ("supervisord.conf", 0o600),
        ("run/vectors.sh", 0o755),
        ("run/webui.sh", 0o755),
    ]


def test_the_configuration_limits_logs_restarts_and_stops(folder: StackFolder) -> None:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parser.read_string(
        rendered(folder, service("vectors", depends_on=("webui",)), service("webui"))["supervisord.conf"]
    )
    program = parser["program:webui"]
    assert program["stopwaitsecs"] == "42"
    assert program["stopsignal"] == "TERM"
    assert (program["stopasgroup"], program["killasgroup"]) == ("false", "true")
    assert (program["startsecs"], program["startretries"]) == ("60", "2")
    assert program["stdout_logfile"] == str(folder.logs / "webui.log")
    assert (program["stdout_logfile_maxbytes"], program["stdout_logfile_backups"]) == ("10MB", "3")
    assert int(program["priority"]) < int(parser["program:vectors"]["priority"])


def test_reasons_stand_beside_what_they_explain(folder: StackFolder) -> None:
    script = rendered(folder, service("vectors"))["run/vectors.sh"]
    assert "# seven is enough\nexport SIZE=7\n" in script
    assert "  # not the default\n  --port 4000\n" in script
    assert "# health: slow at first\n" in script
    assert "  --quiet\n  --path '/with a space'\n" in script


def test_the_script_is_valid_bash_and_execs_the_program(folder: StackFolder) -> None:
    script = rendered(folder, service("webui", depends_on=("vectors",)), service("vectors"))["run/webui.sh"]
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert script.rstrip().splitlines()[-1].startswith("exec /opt/it/bin/serve ")
    assert "until answers 127.0.0.1 4000 /health; do" in script


def test_a_script_without_arguments_runs(folder: StackFolder, tmp_path: Path) -> None:
    script = rendered(folder, service("webui", program=Program(environment=None, executable="/bin/true"), arguments=()))
    for path, text in secret_texts(folder, service("webui"), SECRETS).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["bash", "-c", script["run/webui.sh"]], check=True, cwd=tmp_path)


def test_any_change_of_a_script_changes_its_program(folder: StackFolder) -> None:
    def program_of(one: Service) -> str:
        text = rendered(folder, one)["supervisord.conf"]
        return next(line for line in text.splitlines() if line.startswith("environment="))

    same, other = service("webui"), service("webui", environment={"SIZE": "8"})
    assert program_of(same) == program_of(service("webui"))
    assert program_of(same) != program_of(other)


def test_no_secret_is_rendered(folder: StackFolder) -> None:
    texts = rendered(folder, service("webui"))
    assert not any(value in text for value in SECRETS.values() for text in texts.values())


def test_secrets_go_to_files_that_the_script_sources(folder: StackFolder) -> None:
    texts = secret_texts(folder, service("webui"), SECRETS)
    shell = f'{texts[folder.secrets / "webui.env"]}\nprintf %s "$KEY"'
    assert subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True).stdout == SECRETS["key"]


def test_a_changed_secret_changes_the_digest() -> None:
    one = service("webui")
    assert secrets_id(one, SECRETS) == secrets_id(one, dict(SECRETS))
    assert secrets_id(one, SECRETS) != secrets_id(one, {"key": "changed"})
    with pytest.raises(OrchestratorError, match="needs the secret 'key'"):
        secrets_id(one, {})


def test_waves_follow_the_dependencies() -> None:
    webui = service("webui", depends_on=("vectors",))
    vectors, embeddings = service("vectors"), service("embeddings")
    assert waves_of((webui, vectors, embeddings)) == ((vectors, embeddings), (webui,))
    assert waves_of((webui,)) == ((webui,),)
    with pytest.raises(OrchestratorError, match="depend on each other"):
        waves_of((webui, service("vectors", depends_on=("webui",))))
