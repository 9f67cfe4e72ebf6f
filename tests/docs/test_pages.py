"""The generated pages are those that the code makes now, and the site builds without a warning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from tools import architecture_picture, commands_page

ROOT = Path(__file__).parents[2]


def made_now(what: str) -> str:
    """In a process of its own: Click keeps a command's help option as the first caller of the process asked for it."""
    script = f"from tools.commands_page import {what}; import sys; sys.stdout.write({what}())"
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_the_commands_page_is_up_to_date() -> None:
    assert commands_page.PAGE.read_text(encoding="utf-8") == made_now("page"), "run: python -m tools.commands_page"


def test_the_man_page_is_up_to_date() -> None:
    assert commands_page.MAN_PAGE.read_text(encoding="utf-8") == made_now("man_page"), (
        "run: python -m tools.commands_page"
    )


def test_the_picture_shows_the_layers_of_today() -> None:
    picture = architecture_picture.PICTURE.read_text(encoding="utf-8")
    assert picture == architecture_picture.picture(), "run: python -m tools.architecture_picture"
    for names in architecture_picture.layers():
        assert set(names) <= set(architecture_picture.LABELS), "a room without a label"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Strict: a missing page, a dead link or a dead anchor is an error."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tmp_path / "site/get-started/native.html").is_file()


def test_nothing_is_fetched_from_elsewhere() -> None:
    """The pages can be read on a machine without a network."""
    theme = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["theme"]
    assert theme["font"] is False
