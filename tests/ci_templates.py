"""The shell steps of action.yml, templates/ci/gitlab-ci.yml and templates/ci/Jenkinsfile."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
ACTION = ROOT / "action.yml"
GITLAB = ROOT / "templates/ci/gitlab-ci.yml"
JENKINS = ROOT / "templates/ci/Jenkinsfile"


def action() -> dict[str, Any]:
    return yaml.safe_load(ACTION.read_text(encoding="utf-8"))


def step(name: str) -> str:
    """The shell of the action's step with this id."""
    return next(each["run"] for each in action()["runs"]["steps"] if each.get("id") == name)


def gitlab() -> dict[str, Any]:
    return yaml.safe_load(GITLAB.read_text(encoding="utf-8"))["retrieval-tests"]


def jenkins() -> list[str]:
    """The shell blocks in their order."""
    text = JENKINS.read_text(encoding="utf-8")
    return [textwrap.dedent(block) for block in re.findall(r"sh '''\n(.*?)'''", text, re.DOTALL)]


def scripts() -> dict[str, str]:
    found = {f"action {each['id']}": each["run"] for each in action()["runs"]["steps"] if "run" in each}
    job = gitlab()
    found |= {f"gitlab {part}": "\n".join(job[part]) for part in ("before_script", "script", "after_script")}
    return found | {f"jenkins {number}": block for number, block in enumerate(jenkins())}
