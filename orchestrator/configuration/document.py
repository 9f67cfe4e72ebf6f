"""A YAML file as entries that know their line and column. Nothing in it can run code: only plain values are made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.errors import OrchestratorError, usage_error

if TYPE_CHECKING:
    import yaml

PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map", "timestamp", "binary")
)
TEXT_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("timestamp", "binary"))
"""Read as the text that was written: no key takes a date."""
LARGEST_BYTES = 2**20
FORM = "write KEY: VALUE lines; `orchestrator init` makes an example"


class Place(msgspec.Struct, frozen=True):
    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Entry(msgspec.Struct, frozen=True):
    """One key with its value. A mapping below a key becomes entries of its own."""

    path: tuple[str, ...]
    value: Any
    key_at: Place
    value_at: Place
    is_section: bool = False


def misplaced(place: Place, key: str, value: object, message: str, remedy: str) -> OrchestratorError:
    """The usage error of a file: names file, line, column, key, value and remedy, for people and as data."""
    error = usage_error(f"{place}: {key}" if key else str(place), value, message, remedy)
    error.data = {**msgspec.structs.asdict(place), "key": key, "value": value}
    return error


def read_entries(path: Path) -> tuple[Entry, ...]:
    """Sections before what stands below them, in the file's order."""
    text = _text(path)
    root = _composed(path, text)
    start = Place(str(path), 1, 1)
    if root is None:
        raise misplaced(start, "", "", "the file is empty", FORM)
    import yaml

    if not isinstance(root, yaml.MappingNode):
        raise misplaced(_place(path, root), "", _shown(root), "must be a mapping of keys", FORM)
    return tuple(_entries(path, root, ()))


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        remedy = "name a readable file, or make one with `orchestrator init`"
        raise usage_error("--config", str(path), f"cannot be read: {error.strerror}", remedy) from None
    if len(content) > LARGEST_BYTES:
        raise usage_error("--config", str(path), "is larger than any configuration", "name the right file")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise misplaced(
            Place(str(path), line, column), "", content[error.start : error.end], "is not UTF-8", "save it as UTF-8"
        ) from None


def _composed(path: Path, text: str) -> yaml.Node | None:
    import yaml

    try:
        return yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(str(path), mark.line + 1, mark.column + 1) if mark else Place(str(path), 1, 1)
        line = (text.splitlines() or [""])[min(place.line, len(text.splitlines())) - 1]
        if "\t" in line[: len(line) - len(line.lstrip())]:
            raise misplaced(place, _key_of(line), line, "is indented with a tab", "indent with spaces") from None
        problem = error.problem or error.context or "cannot be read"
        raise misplaced(place, _key_of(line), line, f"not valid YAML: {problem}", f"correct the line; {FORM}") from None
    except yaml.YAMLError as error:  # a character that YAML does not allow: known by its position only
        position = getattr(error, "position", 0)
        before = text[:position]
        place = Place(str(path), before.count("\n") + 1, position - before.rfind("\n"))
        raise misplaced(
            place, "", text[position : position + 1], f"not valid YAML: {getattr(error, 'reason', error)}", "remove it"
        ) from None


def _key_of(line: str) -> str:
    return line.partition(":")[0].strip() if ":" in line else ""


def _entries(path: Path, mapping: yaml.MappingNode, above: tuple[str, ...]) -> list[Entry]:
    import yaml

    found: list[Entry] = []
    seen: dict[str, Place] = {}
    for key_node, value_node in mapping.value:
        at = _place(path, key_node)
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in PLAIN_TAGS:
            raise misplaced(at, ".".join(above), _shown(key_node), "a key is a plain word", FORM)
        keys = (*above, key_node.value)
        dotted = ".".join(keys)
        if key_node.value in seen:
            line = seen[key_node.value].line
            raise misplaced(
                at, dotted, _shown(value_node), f"stands here a second time (first in line {line})", "keep one"
            )
        seen[key_node.value] = at
        if value_node.tag not in PLAIN_TAGS:
            tag = value_node.tag.replace("tag:yaml.org,2002:", "!!")
            raise misplaced(
                _place(path, value_node), dotted, tag, "has a tag; only plain values are read", f"remove {tag}"
            )
        if isinstance(value_node, yaml.MappingNode):
            found.append(Entry(keys, {}, at, _place(path, value_node), is_section=True))
            # Two levels are all there is; deeper ones are refused by name, also where an alias points to itself.
            found += _entries(path, value_node, keys) if len(keys) < 2 else []
        else:
            found.append(Entry(keys, _value(path, dotted, value_node), at, _place(path, value_node)))
    return found


def _value(path: Path, dotted: str, node: yaml.Node) -> Any:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            if not isinstance(item, yaml.ScalarNode) or item.tag not in PLAIN_TAGS:
                raise misplaced(
                    _place(path, item),
                    dotted,
                    _shown(item),
                    "a list here has plain words",
                    "write for example [embeddings]",
                )
        return [_scalar(path, dotted, item) for item in node.value]
    return _scalar(path, dotted, node)


def _scalar(path: Path, dotted: str, node: Any) -> Any:
    import yaml

    if node.tag in TEXT_TAGS:
        return node.value
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError):
        kind = node.tag.rpartition(":")[2]
        raise misplaced(_place(path, node), dotted, node.value, f"is no {kind}", "correct the value") from None


def _place(path: Path, node: yaml.Node) -> Place:
    return Place(str(path), node.start_mark.line + 1, node.start_mark.column + 1)


def _shown(node: yaml.Node) -> str:
    return str(node.value) if not isinstance(node.value, list) else node.tag.rpartition(":")[2]
