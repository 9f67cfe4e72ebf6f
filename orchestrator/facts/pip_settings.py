"""Where pip, as it is configured here, looks for packages. Read from pip's own files and variables."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

SECTIONS = ("global", "download", "install")
"""Later ones win for `pip install`, as in pip."""


class PipSettings(msgspec.Struct, frozen=True, kw_only=True):
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    index: str | None = None
    """None: none was named, and pip asks its own."""
    extra_indexes: tuple[str, ...] = ()

    @property
    def indexes(self) -> tuple[str, ...]:
        """In the order that pip knows them; empty with `no-index`. May hold credentials: never show more than the host.

        Asked only where no folder has what is looked for: pip's own index costs an import of pip (15 ms).
        """
        if self.no_index:
            return ()
        index = self.index or default_index()
        return (*([index] if index else ()), *self.extra_indexes)


def pip_settings(environment: Mapping[str, str] = os.environ) -> PipSettings:
    """A variable beats a file and a later file an earlier one, each option as a whole, as in pip's documentation."""
    options: dict[str, str] = {}
    for path in _files(environment):
        options |= _read(path)
    for name, value in environment.items():
        if name.startswith("PIP_") and value:
            options[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return PipSettings(
        find_links=tuple(options.get("find-links", "").split()),
        no_index=options.get("no-index", "").lower() in {"1", "true", "yes", "on"},
        index=options.get("index-url"),
        extra_indexes=tuple(options.get("extra-index-url", "").split()),
    )


def default_index() -> str | None:
    """The one that pip itself was built to ask; None in an environment without pip."""
    try:
        from pip._internal.models.index import PyPI
    except ImportError:
        return None
    address: str = PyPI.simple_url
    return address


def _files(environment: Mapping[str, str]) -> list[Path]:
    """Global, user, then site; PIP_CONFIG_FILE comes last, and `os.devnull` there turns all files off."""
    chosen = environment.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    home = Path(environment.get("HOME") or Path.home())
    wide = [Path(folder) / "pip/pip.conf" for folder in environment.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    user = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf"
    files = [*reversed(wide), Path("/etc/pip.conf"), home / ".pip/pip.conf", user, Path(sys.base_prefix) / "pip.conf"]
    return [*files, Path(chosen)] if chosen else files


def _read(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    from configparser import ConfigParser, Error

    parser = ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except Error:
        return {}
    found: dict[str, str] = {}
    for section in SECTIONS:
        if parser.has_section(section):
            found |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    return found
