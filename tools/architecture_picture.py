"""Draws docs/img/architecture.svg from import-linter's layers: `python -m tools.architecture_picture`."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "img" / "architecture.svg"

WIDTH, ROW, BOX, GAP = 860, 74, 46, 14
LABELS = {
    "cli": "parse, call, render",
    "operations": "the verbs: up, down, doctor, bench …",
    "doctor": "checks as data",
    "bench": "load, statistics, verdict",
    "verify": "probes of a running stack",
    "engines": "Compose, supervisord",
    "models": "weights, fetched and checked",
    "wiring": "Open WebUI, set and read back",
    "clients": "HTTP doors",
    "services": "neutral records",
    "plan": "decides; pure",
    "facts": "what is true here",
    "catalog": "models, cards, pins",
    "state": "files of a stack",
    "configuration": "orchestrator.yaml, variables",
    "library": "the verbs for Python",
    "pytest": "a stack as a fixture",
    "waiting": "a probe and a deadline",
    "shipped": "stacks and templates",
    "junit": "findings for CI",
    "result": "the envelope",
    "progress": "what, how far, how fast",
    "errors": "one exception type",
}
PURE = {"plan", "services", "result", "errors"}


def layers() -> list[list[str]]:
    """Top to bottom; those that stand beside each other know nothing of each other."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    rows = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[name.strip().removeprefix("orchestrator.") for name in row.split("|")] for row in rows]


def picture() -> str:
    rows = layers()
    height = len(rows) * ROW + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-family="sans-serif">',
        "<title>The rooms of orchestrator: arrows run down only</title>",
        "<style>.r{fill:#e0f2f1;stroke:#00796b}.p{fill:#fff8e1;stroke:#b28704}.n{font-size:14px;font-weight:600;"
        "fill:#10312e}.t{font-size:11px;fill:#33514e}.a{stroke:#7a8f8c;fill:none}</style>",
    ]
    for number, names in enumerate(rows):
        top = number * ROW + 6
        parts += _row(names, top)
        if number + 1 < len(rows):
            parts.append(f'<path class="a" d="M{WIDTH / 2} {top + BOX} v{ROW - BOX - 6} m-4 -5 l4 5 l4 -5"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(names: list[str], top: int) -> list[str]:
    width = (WIDTH - GAP * (len(names) + 1)) / len(names)
    parts = []
    for place, name in enumerate(names):
        left = GAP + place * (width + GAP)
        kind = "p" if name in PURE else "r"
        middle = left + width / 2
        parts.append(f'<rect class="{kind}" x="{left:.0f}" y="{top}" width="{width:.0f}" height="{BOX}" rx="8"/>')
        parts.append(f'<text class="n" x="{middle:.0f}" y="{top + 20}" text-anchor="middle">{name}</text>')
        label = LABELS.get(name, "")
        parts.append(f'<text class="t" x="{middle:.0f}" y="{top + 37}" text-anchor="middle">{label}</text>')
    return parts


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(), encoding="utf-8")
