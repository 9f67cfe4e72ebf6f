"""Copies an installed Python environment of this machine into an image's file tree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHON = "python3.11"
"""Debian 12's, in the image. Wheels for another minor version would not load."""


class WrongPython(Exception):
    pass


def site_packages(environment: Path) -> Path:
    site = environment / "lib" / PYTHON / "site-packages"
    if not site.is_dir():
        raise WrongPython(f"{environment} has no {site.relative_to(environment)}: the images need a CPython 3.11 one")
    return site


def make_venv(tree: Path, prefix: str) -> Path:
    """An empty virtual environment at `prefix` in the image; returns its site-packages in `tree`.

    The interpreter is copied, not linked: an image may take the name `python3` away from PATH.
    """
    inside = tree / prefix.lstrip("/")
    (inside / "bin").mkdir(parents=True, exist_ok=True)
    (inside / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11\n")
    shutil.copy2(tree / "usr/bin" / PYTHON, inside / "bin" / "python3")
    for name in ("python", PYTHON):
        (inside / "bin" / name).symlink_to("python3")
    site = inside / "lib" / PYTHON / "site-packages"
    site.mkdir(parents=True)
    return site


def link_tree(source: Path, target: Path, leave_out: Iterable[str] = ()) -> None:
    """Copies a folder without copying a byte where both lie on one file system."""
    names = frozenset(leave_out)
    ignore: Callable[[str, list[str]], Iterable[str]] | None = None
    if names:
        ignore = lambda folder, entries: names.intersection(entries) if Path(folder) == source else ()  # noqa: E731
    shutil.copytree(source, target, symlinks=True, ignore=ignore, copy_function=link_or_copy, dirs_exist_ok=True)


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system
        shutil.copy2(source, target, follow_symlinks=False)


def link_closure(source: Path, target: Path, name: str) -> None:
    """Links one distribution and all that it requires, as far as it is installed in `source`."""
    installed = {canonicalize_name(found.metadata["Name"]): found for found in distributions(path=[str(source)])}
    wanted, seen = [canonicalize_name(name)], set[str]()
    while wanted:
        current = wanted.pop()
        if current in seen or current not in installed:
            continue
        seen.add(current)
        wanted += [canonicalize_name(need) for need in required_by(installed[current])]
        for file in installed[current].files or ():
            if ".." not in file.parts:
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(str(source / file), str(target / file))


def required_by(distribution: Distribution) -> Iterable[str]:
    for line in distribution.requires or ():
        need = Requirement(line)
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            yield need.name


def write_script(tree: Path, prefix: str, name: str) -> None:
    """The console script `name` as pip would have written it for the image's own interpreter."""
    inside = tree / prefix.lstrip("/")
    entry = entry_point(inside / "lib" / PYTHON / "site-packages", name)
    script = inside / "bin" / name
    script.write_text(
        f"#!{prefix}/bin/python3\nimport sys\nfrom {entry.module} import {entry.attr}\n"
        f"if __name__ == '__main__':\n    sys.exit({entry.attr}())\n"
    )
    script.chmod(0o755)


def entry_point(site: Path, name: str) -> EntryPoint:
    for distribution in distributions(path=[str(site)]):
        for entry in distribution.entry_points:
            if entry.group == "console_scripts" and entry.name == name:
                return entry
    raise LookupError(f"no console script {name!r} in {site}")
