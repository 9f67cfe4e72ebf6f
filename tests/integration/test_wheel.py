"""What is installed from a built wheel finds its stacks, templates, locks and catalogue."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--quiet")
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(work), str(ROOT)], check=True, timeout=300)
    wheel = next(work.glob("orchestrator-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", str(work / "site"), str(wheel)], check=True, timeout=300)
    return work / "site"


def run(installed: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *arguments],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(installed), "ORCHESTRATOR_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_is_the_wheel_that_runs(installed: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [sys.executable, "-c", "import orchestrator; print(orchestrator.__file__)"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert where.startswith(str(installed))


def test_the_schema_is_inside(installed: Path, tmp_path: Path) -> None:
    shipped = (installed / "orchestrator/_schemas/orchestrator.schema.json").read_text()
    assert run(installed, tmp_path, "config", "schema").stdout == shipped


@pytest.mark.parametrize("engine", ["native", "compose"])
def test_a_dry_run_plans_and_renders(installed: Path, tmp_path: Path, engine: str) -> None:
    """The preset, the catalogue, the locks and the templates are all read."""
    done = run(installed, tmp_path, "up", "ci", "--engine", engine, "--dry-run", "--json")
    if engine == "compose" and '"engine_unusable"' in done.stdout:
        pytest.skip("no Docker engine answers on this machine")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f'"engine": "{engine}"' in done.stdout
    assert '"create"' in done.stdout
