"""From flags, environment, file and preset to the Spec: what was asked for, checked before anything else happens.

Who overrules whom: flag > environment > file > preset > default. The file is `orchestrator.yaml` in the working
directory, or what `--config` names; a PRESET that is named is taken without the file that was merely found.

For a stack that is there already, what its flags asked for earlier stands below the file (see `recalled`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.configuration.keys import FILE_NAME, KEYS
from orchestrator.configuration.settings import (
    Origin,
    Setting,
    Settings,
    check_together,
    of_environment,
    of_file,
    of_flags,
    of_preset,
    stack_in,
)
from orchestrator.errors import OrchestratorError, usage_error
from orchestrator.plan.spec import Spec
from orchestrator.shipped import shipped_folder
from orchestrator.state import StackFolder

if TYPE_CHECKING:
    from orchestrator.operations.record import Intent

DEFAULT_PRESET = "rag"
DEFAULT_STACK = "default"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Where a user's wishes come from. Nothing is read yet."""

    flags: Mapping[str, Any] = {}
    """By the key's path (`ports.webui`); None = not given."""
    preset: str | None = None
    """A shipped preset's name, or the path of a YAML file."""
    config: Path | None = None
    environment: Mapping[str, str] = msgspec.field(default_factory=lambda: os.environ)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    spec: Spec
    settings: Settings
    """Who set each key; a key that is not here has the Spec's default."""
    asked: tuple[str, ...] = ()
    """Keys that flags asked for, now or in an earlier `up` of this stack: what a later `up` recalls."""


def presets() -> list[str]:
    return sorted(path.stem for path in shipped_folder("stacks").glob("*.yaml"))


def request(asked: Asked) -> Request:
    """For commands that speak of no stack yet: `plan`, `render`, `run`."""
    mine = _mine(asked)
    return _request({**_base(asked), **mine}, ())


def recalled(asked: Asked) -> Request:
    """For `up`: so that `up --engine native` and then a plain `up` speak of the same stack.

    Without a file, the stack keeps all that it was asked for. With one, the file is the request, and only what flags
    had asked for stays, below it: removing a line from the file takes effect. A preset or a file that is named starts
    afresh.
    """
    mine = _mine(asked)
    stack = mine["stack"].value if "stack" in mine else DEFAULT_STACK
    recorded = None if asked.preset or asked.config else _recorded(stack)
    if recorded is None:
        return _request({**_base(asked), **mine}, ())
    before = {path: s for path, s in _of_spec(recorded.spec, Origin("recorded", stack)).items() if s.value is not None}
    if _file(asked) is None:
        return _request({**before, **mine}, recorded.asked or ())
    kept = _asked_before(recorded, before, of_preset(_preset_path(DEFAULT_PRESET)))
    return _request({**_base(asked), **kept, **mine}, tuple(kept))


def stack_named_here() -> str:
    """The stack that `orchestrator.yaml` here names, for commands that take nothing else from it."""
    path = Path(FILE_NAME)
    return (stack_in(path) if path.is_file() else None) or DEFAULT_STACK


def _mine(asked: Asked) -> Settings:
    """What the user says here and now: file < environment < flags."""
    file = _file(asked)
    written = of_file(file) if file else {}
    return {**written, **of_environment(asked.environment), **of_flags(asked.flags)}


def _file(asked: Asked) -> Path | None:
    if asked.config is not None:
        return asked.config
    if asked.preset is not None:
        return _preset_path(asked.preset) if _is_file(asked.preset) else None
    found = Path(FILE_NAME)
    return found if found.is_file() else None


def _base(asked: Asked) -> Settings:
    preset = asked.preset if asked.preset and not _is_file(asked.preset) else DEFAULT_PRESET
    return of_preset(_preset_path(preset))


def _is_file(preset: str) -> bool:
    return not _shipped(preset).exists() and Path(preset).suffix in (".yaml", ".yml") and Path(preset).exists()


def _shipped(preset: str) -> Path:
    return shipped_folder("stacks") / f"{preset}.yaml"


def _preset_path(preset: str) -> Path:
    if _is_file(preset):
        return Path(preset)
    if _shipped(preset).exists():
        return _shipped(preset)
    from difflib import get_close_matches

    near = next(iter(get_close_matches(preset, presets(), n=1)), None)
    raise usage_error(
        "PRESET",
        preset,
        "no such preset or file",
        f"{f'write {near}; or ' if near else ''}one of {', '.join(presets())}, or the path of a .yaml file",
    )


def _recorded(stack: str) -> Intent | None:
    from orchestrator.operations.record import read_intent

    try:
        return read_intent(StackFolder(stack))
    except OrchestratorError as error:
        if error.code == "state_damaged":  # `up --replan` is its remedy: it must not stop that
            return None
        raise


def _asked_before(recorded: Intent, before: Settings, base: Settings) -> Settings:
    """What flags had asked for. A plan of an earlier version does not tell: then all that the preset would not say."""
    if recorded.asked is not None:
        return {path: before[path] for path in recorded.asked if path in before}
    usual = {path: setting.value for path, setting in {**defaults(), **base}.items()}
    return {
        path: s for path, s in before.items() if path != "stack" and s.value != msgspec.to_builtins(usual.get(path))
    }


def defaults() -> Settings:
    """What the Spec itself holds where nobody sets a key."""
    return _of_spec(Spec(), Origin("default"))


def _of_spec(spec: Spec, origin: Origin) -> Settings:
    values = msgspec.to_builtins(spec)
    found: Settings = {}
    for key in KEYS:
        section, _, name = key.path.rpartition(".")
        value = values[section].get(name) if section else values[name]
        found[key.path] = Setting(key.path, value, origin)
    return found


def _request(settings: Settings, asked_before: tuple[str, ...]) -> Request:
    check_together(settings)
    values: dict[str, Any] = {}
    for path, setting in settings.items():
        section, _, name = path.rpartition(".")
        (values.setdefault(section, {}) if section else values)[name] = setting.value
    flags = tuple(path for path, setting in settings.items() if setting.origin.kind == "flag" and path != "stack")
    spec = msgspec.convert(values, Spec)
    return Request(spec=spec, settings=settings, asked=tuple(dict.fromkeys((*asked_before, *flags))))
