"""The sdist and the wheel: installed into a fresh environment outside the repository, the tool is whole."""

from __future__ import annotations

import email
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import ROOT
from tests.integration.real_programs import free_port, gguf_of
from tests.integration.test_up_native import processes_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SHARED = (
    "share/bash-completion/completions/orchestrator",
    "share/zsh/site-functions/_orchestrator",
    "share/fish/vendor_completions.d/orchestrator.fish",
    "share/man/man1/orchestrator.1",
)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`python -m build`: the sdist from this checkout, the wheel from the sdist, which has no .git."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    (found,) = distributions.glob("orchestrator-*-py3-none-any.whl")
    return found


class Installed:
    """A virtual environment that holds the wheel with what it requires and nothing else: no pip, as uv makes them."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        self.environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=120)
        pip = (sys.executable, "-m", "pip", "--python", folder / "bin/python")
        subprocess.run([*pip, "install", "--quiet", wheel], check=True, timeout=300)

    def run(self, home: Path, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """The entry point, by its name on PATH, in a folder that has nothing of ours."""
        return subprocess.run(
            ["orchestrator", *arguments],
            executable=self.folder / "bin/orchestrator",
            cwd=self.folder.parent,
            env={**self.environment, "ORCHESTRATOR_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def json(self, home: Path, *arguments: str, timeout_s: float = 120) -> dict[str, Any]:
        done = self.run(home, *arguments, "--json", timeout_s=timeout_s)
        assert done.returncode == 0, done.stdout + done.stderr
        data = json.loads(done.stdout)["data"]
        assert isinstance(data, dict)
        return data


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("fresh") / "environment", wheel)


@pytest.fixture(scope="module")
def light(request: pytest.FixtureRequest) -> list[str]:
    """The whole stack with llama-server, which is up in a second, on weights and environments that are here."""
    return ["--stack", "from-wheel", "--engine", "native", "--backend", "llamacpp", "--model", str(gguf_of(request))]


def version_of(distribution: Path) -> str:
    return distribution.name.removeprefix("orchestrator-").partition("-py3")[0].removesuffix(".tar.gz")


def test_the_metadata_is_right(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
        licenses = [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    assert metadata["Name"] == "orchestrator"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert licenses
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload(decode=True).strip() == (ROOT / "README.md").read_bytes().strip()


def test_the_sdist_holds_what_the_wheel_is_made_of(distributions: Path, wheel: Path) -> None:
    (sdist,) = distributions.glob("orchestrator-*.tar.gz")
    assert version_of(sdist) == version_of(wheel)
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "Makefile", "PKG-INFO", "stacks/rag.yaml", "completions/orchestrator.bash"} <= names
    assert not [name for name in names if name.startswith((".git/", ".venv/"))]


def test_it_is_the_wheel_that_runs(installed: Installed, wheel: Path) -> None:
    where = subprocess.run(
        [installed.folder / "bin/python", "-c", "import orchestrator; print(orchestrator.__file__)"],
        cwd=installed.folder.parent,
        env=installed.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert where.startswith(str(installed.folder))
    done = installed.run(installed.folder.parent, "--version")
    assert done.stdout == f"orchestrator {version_of(wheel)}\n", done.stderr


@pytest.mark.parametrize("shared", SHARED)
def test_what_shells_and_man_read_is_in_share(installed: Installed, shared: str) -> None:
    assert "orchestrator" in (installed.folder / shared).read_text(encoding="utf-8")


def test_the_schema_is_inside(installed: Installed, tmp_path: Path) -> None:
    schema = installed.run(tmp_path, "config", "schema").stdout
    assert schema == (ROOT / "schemas/orchestrator.schema.json").read_text(encoding="utf-8")


def test_it_plans_and_writes_a_configuration_of_that(installed: Installed, tmp_path: Path) -> None:
    planned = installed.json(tmp_path, "plan", "ci")
    assert planned["plan"]["model"] == "all-minilm-l6-v2"
    done = installed.run(tmp_path, "init", str(tmp_path), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = installed.json(tmp_path, "config", "show", "--config", str(tmp_path / "orchestrator.yaml"))
    assert shown["settings"]["model"]


def test_it_renders(installed: Installed, home: Path, light: list[str], tmp_path: Path) -> None:
    out = tmp_path / "stack"
    done = installed.run(home, "render", "ci", *light, "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (out / "rendered/supervisord.conf").is_file()


@pytest.mark.parametrize("engine", ["native", "compose"])
def test_a_dry_run_plans_and_renders(installed: Installed, tmp_path: Path, engine: str) -> None:
    """The preset, the catalogue, the locks and the templates are all read."""
    done = installed.run(tmp_path, "up", "ci", "--engine", engine, "--dry-run", "--json")
    if engine == "compose" and '"engine_unusable"' in done.stdout:
        pytest.skip("no Docker engine answers on this machine")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f'"engine": "{engine}"' in done.stdout
    assert '"create"' in done.stdout


def test_up_and_down(installed: Installed, home: Path, light: list[str], tmp_path: Path) -> None:
    """Under the supervisord of that environment."""
    ports = [f"--port={role}={free_port()}" for role in ("webui", "embeddings", "vectors")]
    try:
        done = installed.run(home, "up", "ci", *light, *ports, "--ci", "--artifacts", str(tmp_path), timeout_s=400)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        assert "\x1b[" not in done.stdout + done.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == ["junit.xml", "result.json", "stack.env"]
        assert processes_of(home / "stacks/from-wheel")
    finally:
        down = installed.json(home, "down", "--stack", "from-wheel", "--volumes", "--yes", timeout_s=200)
    assert sorted(down["stopped"]) == ["embeddings", "vectors", "webui"]
    assert processes_of(home / "stacks/from-wheel") == []
