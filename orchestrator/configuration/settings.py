"""Values with their origin: read from a file, the environment, flags; checked one by one; laid over each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from orchestrator.configuration.document import Entry, Place, misplaced, read_entries
from orchestrator.configuration.keys import BY_PATH, KEYS, SECTIONS, Key, nearest_key
from orchestrator.configuration.kinds import WrongValueError
from orchestrator.errors import OrchestratorError, usage_error

OriginKind = Literal["flag", "environment", "file", "recorded", "preset", "default"]
RANKS: tuple[OriginKind, ...] = ("default", "preset", "recorded", "file", "environment", "flag")
"""Who overrules whom, the weakest first."""


class Origin(msgspec.Struct, frozen=True):
    kind: OriginKind
    name: str = ""
    """The flag, the variable, `file:line:column`, the stack, the preset."""
    place: Place | None = None

    def __str__(self) -> str:
        return {
            "flag": f"flag {self.name}",
            "environment": f"environment variable {self.name}",
            "file": self.name,
            "recorded": f"asked for earlier (stack {self.name})",
            "preset": f"preset {self.name}",
            "default": "default",
        }[self.kind]


class Setting(msgspec.Struct, frozen=True):
    path: str
    value: Any
    origin: Origin


Settings = dict[str, Setting]


def of_file(path: Path) -> Settings:
    """A user's configuration; every mistake in it is reported at once, the first one as the message."""
    return _of_entries(read_entries(path), lambda place: Origin("file", str(place), place))


def stack_in(path: Path) -> str | None:
    """The stack that a file names. A mistake in another key must not stop `down` or `status`."""
    named = [entry for entry in read_entries(path) if entry.path == ("stack",)]
    settings = _of_entries(named, lambda place: Origin("file", str(place), place))
    return settings["stack"].value if settings else None


def of_preset(path: Path) -> Settings:
    return _of_entries(read_entries(path), lambda place: Origin("preset", path.stem, place))


def of_environment(environment: Mapping[str, str]) -> Settings:
    """Set and not empty: a pipeline's empty variable means `not given`."""
    found: Settings = {}
    for key in KEYS:
        text = environment.get(key.variable, "")
        if text.strip():
            origin = Origin("environment", key.variable)
            found[key.path] = checked(key, key.kind.of_text(text), origin)
    return found


def of_flags(values: Mapping[str, Any]) -> Settings:
    """Flags by the key's path; None = not given."""
    return {
        path: checked(BY_PATH[path], value, Origin("flag", flag_of(BY_PATH[path])))
        for path, value in values.items()
        if value is not None
    }


def flag_of(key: Key) -> str:
    return key.flag.split()[0] if key.flag else key.path


def unknown_variables(environment: Mapping[str, str], known: Iterable[str]) -> dict[str, str | None]:
    """`ORCHESTRATOR_...` variables that nothing reads → the nearest one that something reads."""
    from difflib import get_close_matches

    names = [key.variable for key in KEYS] + list(known)
    strangers = [name for name in environment if name.startswith("ORCHESTRATOR_") and name not in names]
    return {name: next(iter(get_close_matches(name, names, n=1)), None) for name in sorted(strangers)}


def checked(key: Key, value: Any, origin: Origin) -> Setting:
    try:
        return Setting(key.path, key.kind.checked(value), origin)
    except WrongValueError as wrong:
        raise wrong_setting(Setting(key.path, value, origin), wrong.message, wrong.remedy) from None


def wrong_setting(setting: Setting, message: str, remedy: str) -> OrchestratorError:
    """The usage error that speaks of a value where the user wrote it."""
    origin = setting.origin
    if origin.place is not None:
        return misplaced(origin.place, setting.path, setting.value, message, remedy)
    return usage_error(origin.name or setting.path, setting.value, message, remedy)


def check_together(settings: Settings) -> None:
    """What two values make impossible that are right one by one."""
    ports: dict[int, Setting] = {}
    services = settings["services"].value if "services" in settings else BY_PATH["services"].kind.checked(ALL_SERVICES)
    for service in services:
        setting = settings.get(f"ports.{service}")
        if setting is None:
            continue
        other = ports.setdefault(setting.value, setting)
        if other is not setting:
            later, earlier = sorted((setting, other), key=_position)[::-1]
            raise wrong_setting(
                later,
                f"two services cannot share a port; {earlier.path} has it ({earlier.origin})",
                "give each its own",
            )
    size, overlap = settings.get("retrieval.chunk_size"), settings.get("retrieval.chunk_overlap")
    if size and overlap and overlap.value >= size.value:
        raise wrong_setting(
            overlap,
            f"must be smaller than retrieval.chunk_size ({size.value}, {size.origin})",
            "write a tenth of the chunk",
        )


ALL_SERVICES = ("embeddings", "vectors", "webui")


def _position(setting: Setting) -> tuple[int, int]:
    """What rules most, and stands lowest, is what the error speaks of: the user wrote it last."""
    place = setting.origin.place
    return RANKS.index(setting.origin.kind), place.line if place else 0


def _of_entries(entries: Iterable[Entry], origin_at: Any) -> Settings:
    found: Settings = {}
    mistakes: list[OrchestratorError] = []
    broken_sections: set[str] = set()
    for entry in entries:
        if len(entry.path) > 1 and entry.path[0] in broken_sections:
            continue
        try:
            setting = _of_entry(entry, origin_at(entry.key_at), origin_at(entry.value_at))
        except OrchestratorError as mistake:
            mistakes.append(mistake)
            if entry.is_section:
                broken_sections.add(entry.path[0])
            continue
        if setting is not None:
            found[setting.path] = setting
    if mistakes:
        first = mistakes[0]
        if len(mistakes) > 1:
            first.evidence = "\n".join(f"{mistake.message}; {mistake.remedy}" for mistake in mistakes)
        raise first
    return found


def _of_entry(entry: Entry, at_key: Origin, at_value: Origin) -> Setting | None:
    """None for a section's own line, and for a key that is left empty to let the plan decide."""
    path = ".".join(entry.path)
    written = Setting(path, entry.value, at_value)
    if path in SECTIONS:
        if entry.is_section:
            return None
        inside = ", ".join(key.path.partition(".")[2] for key in KEYS if key.path.startswith(f"{path}."))
        raise wrong_setting(written, f"must be a mapping of {inside}", "write them below it, indented")
    key = BY_PATH.get(path)
    if key is None:
        raise _unknown(path, entry, at_key)
    if entry.is_section:
        raise wrong_setting(Setting(path, "a mapping", at_key), "takes one value", f"write for example {key.example!r}")
    if entry.value is None:
        if key.unset:
            return Setting(path, None, at_key)
        raise wrong_setting(written, "has no value", f"write one ({key.kind.words}), or remove the line")
    return msgspec.structs.replace(checked(key, entry.value, at_value), origin=at_key)


def _unknown(path: str, entry: Entry, at_key: Origin) -> OrchestratorError:
    section = entry.path[0] if len(entry.path) > 1 else ""
    near = nearest_key(entry.path[-1], section)
    names = [key.path for key in KEYS if key.path.startswith(f"{section}.")] if section in SECTIONS else []
    known = ", ".join(names or dict.fromkeys(key.path.partition(".")[0] for key in KEYS))
    value = "a mapping" if entry.is_section else entry.value
    remedy = f"write {near}" if near else f"one of {known}"
    return wrong_setting(
        Setting(path, value, at_key), f"no such key{f'; did you mean {near}?' if near else ''}", remedy
    )
