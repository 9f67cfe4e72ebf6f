"""The CI templates' scripts on a real stack: an embedding server alone, by variables, so that it takes seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.ci_templates import gitlab, step
from tests.integration.conftest import ROOT, Tool
from tests.integration.real_programs import free_port, gguf_of

pytestmark = pytest.mark.integration


@pytest.fixture
def variables(tool: Tool, request: pytest.FixtureRequest) -> dict[str, str]:
    """A pipeline's; the templates' own variables and flags say the rest."""
    light = {
        "ORCHESTRATOR_SERVICES": "embeddings",
        "ORCHESTRATOR_BACKEND": "llamacpp",
        "ORCHESTRATOR_MODEL": str(gguf_of(request)),
        "ORCHESTRATOR_PORTS_EMBEDDINGS": str(free_port()),
        "ORCHESTRATOR_STACK_NAME": "pipeline",
    }
    return tool.environment | light | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def shell(script: str, variables: dict[str, str], where: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-e", "-c", script], env=variables, cwd=where, capture_output=True, text=True, timeout=300, check=False
    )


def test_gitlabs_job_and_githubs_step(variables: dict[str, str], tmp_path: Path) -> None:
    job = gitlab()
    variables |= {"ORCHESTRATOR_ENGINE": job["variables"]["ORCHESTRATOR_ENGINE"], "PYTHONDONTWRITEBYTECODE": "1"}
    (tmp_path / "tests").symlink_to(ROOT / "examples/sample_app/tests")
    variables["PYTHONPATH"] = str(ROOT / "examples/sample_app")
    try:
        done = shell("\n".join(job["script"]).replace("python3", sys.executable), variables, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "3 passed" in done.stdout
        suite = ElementTree.parse(tmp_path / job["artifacts"]["reports"]["junit"]).getroot()
        assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
        assert int(suite.get("tests", "0")) > 5

        files = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_ENV": str(tmp_path / "env")}
        wishes = {"STACK": "ci", "ENGINE": "native", "TARGET": "", "ARTIFACTS": "out"}
        model = {"MODEL": variables["ORCHESTRATOR_MODEL"]}
        done = shell(step("up"), variables | files | wishes | model, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        outputs = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
        port = variables["ORCHESTRATOR_PORTS_EMBEDDINGS"]
        assert outputs["openai-base-url"] == f"http://127.0.0.1:{port}/v1"
        assert outputs["orchestrator-stack-name"] == "pipeline"
        assert Path(outputs["credentials-file"]).exists()
        assert (tmp_path / outputs["report"]).exists()
        assert f"EMBEDDINGS_URL=http://127.0.0.1:{port}" in (tmp_path / "env").read_text()
    finally:
        down = shell("orchestrator down --volumes --yes", variables, tmp_path)
    assert down.returncode == 0, down.stderr
