"""The CI templates say what the tool understands; tests/integration/test_ci_templates.py runs them on a real stack."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from orchestrator.cli.main import COMMANDS
from orchestrator.configuration.keys import KEYS
from tests.ci_templates import GITLAB, JENKINS, action, gitlab, jenkins, scripts, step

BIN = Path(sys.executable).parent


@pytest.mark.parametrize("name", scripts())
def test_every_script_is_shell(name: str) -> None:
    done = subprocess.run(["bash", "-n"], input=scripts()[name], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", scripts())
def test_every_verb_and_option_is_a_real_one(name: str) -> None:
    for line in re.findall(r"(?:^|[/ ])orchestrator ([a-z].*)$", scripts()[name], re.MULTILINE):
        verb, *words = shlex.split(line.partition(" -- ")[0].partition(" > ")[0])
        assert verb in COMMANDS
        known = {
            option
            for parameter in import_module(f"orchestrator.cli.{verb}").command.params
            for option in parameter.opts
        }
        assert {word for word in words if word.startswith("--")} <= known


class TestAction:
    def test_what_it_refers_to_is_there(self) -> None:
        whole = action()
        steps = whole["runs"]["steps"]
        ids = {each["id"] for each in steps if "id" in each}
        text = str(whole)
        assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(whole["inputs"])
        assert set(re.findall(r"steps\.([\w-]+)\.", text)) <= ids
        assert all(each.get("shell") == "bash" for each in steps if "run" in each)

    def test_no_expression_stands_in_a_script(self) -> None:
        """An input with `$(...)` in it would be run."""
        assert not [name for name, script in scripts().items() if "${{" in script]

    def test_the_keys_step_asks_this_tool_for_the_keys(self, tmp_path: Path) -> None:
        output = tmp_path / "output"
        wishes = {"STACK": "ci", "ENGINE": "native", "MODEL": "", "TARGET": "20"}
        subprocess.run(
            ["bash", "-e", "-c", step("keys")],
            env=os.environ
            | wishes
            | {
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "ORCHESTRATOR_HOME": str(tmp_path / "home"),
                "RUNNER_TEMP": str(tmp_path),
                "GITHUB_OUTPUT": str(output),
            },
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
        text = output.read_text()
        assert re.search(r"^models-key=orchestrator-models-[0-9a-f]{16}$", text, re.MULTILINE)
        assert f"environments-paths<<END_OF_PATHS\n{tmp_path}/home/environments/open-webui" in text
        assert text.count("END_OF_PATHS") == 4

    def test_a_wrong_input_fails_the_step_and_still_names_the_report(self, tmp_path: Path) -> None:
        output = tmp_path / "output"
        wishes = {"STACK": "rga", "ENGINE": "native", "MODEL": "", "TARGET": "", "ARTIFACTS": "out"}
        done = subprocess.run(
            ["bash", "-e", "-c", step("up")],
            env=os.environ | wishes | {"PATH": f"{BIN}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(output)},
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 2
        assert b"write rag" in done.stderr
        assert "junit=out/junit.xml" in output.read_text()


@pytest.mark.parametrize("path", [GITLAB, JENKINS], ids=lambda path: path.name)
def test_variables_are_ones_that_are_read(path: Path) -> None:
    read = {key.variable for key in KEYS} | {"ORCHESTRATOR_HOME"}
    assert set(re.findall(r"\bORCHESTRATOR_[A-Z_]+", path.read_text(encoding="utf-8"))) <= read


def test_gitlab_keeps_what_up_leaves() -> None:
    job = gitlab()
    assert job["artifacts"]["reports"]["junit"] == "orchestrator-artifacts/junit.xml"
    assert job["artifacts"]["when"] == "always"
    assert job["after_script"][-1].endswith("orchestrator down")


def test_jenkins_takes_the_stack_down_whatever_happened() -> None:
    text = JENKINS.read_text(encoding="utf-8")
    assert text.count("{") == text.count("}")
    after = text.partition("post {")[2]
    assert "always {" in after
    assert "orchestrator down" in jenkins()[-1]
    assert "junit 'orchestrator-artifacts/junit.xml'" in after
