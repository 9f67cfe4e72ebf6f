"""The three changes that docs/contributing.md shows: each applies to the code of today, and does what the page says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import DOCS

ROOT = Path(__file__).parents[2]

USES = {
    "Add a check": """
from orchestrator.doctor.catalogue import CHECKS
check = next(check for check in CHECKS if check.id == "host.swap")
answer = check.answer(None)
assert answer.verdict in ("pass", "bad") and "swap" in answer.evidence, answer
""",
    "Add a model": """
from orchestrator.catalog.models import models
card = models()["multilingual-e5-base"]
assert (card.dim, card.query_prefix) == (768, "query: "), card
""",
    "Add an embedding server": """
from pathlib import Path
from types import SimpleNamespace
from orchestrator.catalog.pins import load_pins
from orchestrator.engines.compose_place import compose_place
from orchestrator.services.of_plan import EMBEDDING_SERVERS
from tests.plans import plan_of
plan = plan_of()
image = SimpleNamespace(tag="1.9", reference="tei:1.9")
place = compose_place(plan, Path("/srv/models/weights"), load_pins())
service = EMBEDDING_SERVERS["tei"](plan, place, SimpleNamespace(images={"tei": image}))
assert service.role == "embeddings" and "--model-id" in service.arguments, service
""",
}


def diffs() -> dict[str, str]:
    """Heading → the change below it."""
    text = (DOCS / "contributing.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?```diff\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


def test_the_page_shows_them_all() -> None:
    assert set(diffs()) == set(USES)


@pytest.mark.parametrize("heading", USES)
def test_it_applies_and_works(heading: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("orchestrator", "tests", "stacks", "templates", "tools", "schemas"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        ["git", "apply", "--unsafe-paths", "--verbose", "-"],
        cwd=tree,
        input=diffs()[heading],
        env={"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(tmp_path)},
        text=True,
        capture_output=True,
        check=True,
    )
    used = subprocess.run(
        [sys.executable, "-c", USES[heading]], cwd=tree, capture_output=True, text=True, timeout=60, check=False
    )
    assert used.returncode == 0, used.stderr[-2000:]
