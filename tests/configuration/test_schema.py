"""The keys, the Spec and the published schema are one."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.configuration.keys import BY_PATH, KEYS
from orchestrator.configuration.schema import schema, schema_text
from orchestrator.plan.spec import DEFAULT_PORTS, Spec
from orchestrator.shipped import shipped_folder


def fields_of_the_spec() -> set[str]:
    found = set()
    for name, value in msgspec.to_builtins(Spec(ports=DEFAULT_PORTS)).items():
        found |= {f"{name}.{below}" for below in value} if isinstance(value, dict) else {name}
    return found


def test_every_field_of_the_spec_has_a_key() -> None:
    assert set(BY_PATH) == fields_of_the_spec()


def test_variables_are_all_different() -> None:
    assert len({key.variable for key in KEYS}) == len(KEYS)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_a_key_takes_its_own_example(key) -> None:
    assert key.kind.checked(key.example)


def test_the_published_schema_is_up_to_date() -> None:
    path = shipped_folder("schemas") / "orchestrator.schema.json"
    assert path.read_text() == schema_text(), "run: orchestrator config schema > schemas/orchestrator.schema.json"


def test_each_key_is_described_with_its_bounds() -> None:
    properties = schema()["properties"]
    for key in KEYS:
        section, _, name = key.path.rpartition(".")
        found = properties[section]["properties"][name] if section else properties[name]
        assert found["description"] == key.summary
        assert found["examples"] == [key.example]
    assert properties["engine"]["enum"] == ["auto", "compose", "native"]
    assert properties["ports"]["properties"]["webui"]["maximum"] == 65535
    assert properties["ports"]["additionalProperties"] is False
    assert {"type": "null"} in properties["model"]["anyOf"]
