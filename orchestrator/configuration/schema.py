"""The JSON Schema of a configuration, made from the Spec and the keys; editors complete and check by it."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from orchestrator.configuration.keys import KEYS, SECTIONS
from orchestrator.plan.spec import Spec

SCHEMA_FILE = "orchestrator.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
SECTION_SUMMARIES = {
    "ports": "Ports on the host, by service.",
    "retrieval": "What Open WebUI is set to.",
    "target": "The throughput that is wanted.",
}


def schema() -> dict[str, Any]:
    """msgspec's own schema of the Spec, with each key's description, example and bounds."""
    whole = msgspec.json.schema(Spec, ref_template="#/$defs/{name}")
    records = whole["$defs"]
    top = records.pop("Spec")
    properties: dict[str, Any] = {}
    for key in KEYS:
        section, _, name = key.path.rpartition(".")
        if not section:
            properties[name] = _leaf(top["properties"][name], key.kind.schema(), key.summary, key.example)
            continue
        below = properties.setdefault(section, _section(section))
        typed = _typed(top["properties"][section], records, name)
        below["properties"][name] = _leaf(typed, key.kind.schema(), key.summary, key.example)
    return {
        "$schema": DIALECT,
        "$id": SCHEMA_FILE,
        "title": "orchestrator.yaml",
        "description": "One retrieval stack as asked for. What is left out is decided from the machine.",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def schema_text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _section(name: str) -> dict[str, Any]:
    assert name in SECTIONS  # noqa: S101 - from the same rows
    return {
        "type": "object",
        "description": SECTION_SUMMARIES[name],
        "additionalProperties": False,
        "properties": {},
    }


def _typed(section: dict[str, Any], records: dict[str, Any], name: str) -> dict[str, Any]:
    """The field's own schema inside a record, or the one that all values of a mapping (`ports`) share."""
    reference = section.get("$ref") or next((part["$ref"] for part in section.get("anyOf", ()) if "$ref" in part), None)
    if reference is None:
        return dict(section["additionalProperties"])
    return dict(records[reference.rpartition("/")[2]]["properties"][name])


def _leaf(typed: dict[str, Any], bounds: dict[str, Any], summary: str, example: Any) -> dict[str, Any]:
    """`anyOf` of the bounds says the type better than the Spec's (`11GiB` is a size); null means: the plan decides."""
    nullable = any(part.get("type") == "null" for part in typed.get("anyOf", ()))
    parts = bounds.get("anyOf")
    if parts is not None and typed.get("type") != "string":
        typed = {"anyOf": [*parts, *([{"type": "null"}] if nullable else [])], **_default(typed)}
    elif nullable:
        plain = next(part for part in typed["anyOf"] if part.get("type") != "null")
        typed = {"anyOf": [{**plain, **bounds}, {"type": "null"}], **_default(typed)}
    else:
        typed = _with_enum({**typed, **bounds})
    return {"description": summary, **typed, "examples": [example]}


def _default(typed: dict[str, Any]) -> dict[str, Any]:
    return {"default": typed["default"]} if "default" in typed else {}


def _with_enum(typed: dict[str, Any]) -> dict[str, Any]:
    """`auto | one of` as one list of words."""
    parts = typed.get("anyOf", ())
    if not parts or not all("enum" in part for part in parts):
        return typed
    words = sorted({word for part in parts for word in part["enum"]})
    return {"enum": words, **_default(typed)}
