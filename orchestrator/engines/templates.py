"""The skeletons of the files that the engines write."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from orchestrator.shipped import shipped_folder

if TYPE_CHECKING:
    from jinja2 import Environment, Template


def template(name: str) -> Template:
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(shipped_folder("templates")),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 # shell, INI and YAML, quoted by their own rules
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
