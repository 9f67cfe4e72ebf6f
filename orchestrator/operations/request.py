"""From a preset and flags to the Spec: what was asked for, checked before anything else happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from orchestrator.errors import OrchestratorError, usage_error
from orchestrator.operations.record import read_intent
from orchestrator.plan.spec import Spec
from orchestrator.shipped import shipped_folder
from orchestrator.state import StackFolder

DEFAULT_PRESET = "rag"
PORT_RANGE = range(1, 65536)


def presets() -> list[str]:
    return sorted(path.stem for path in shipped_folder("stacks").glob("*.yaml"))


def load_spec(preset: str | None, overrides: dict[str, Any]) -> Spec:
    """The preset's values with the user's flags laid over them (None = not given)."""
    path = _preset_path(preset or DEFAULT_PRESET)
    return _over(_read(path), overrides, str(path))


def recalled_spec(preset: str | None, overrides: dict[str, Any]) -> Spec:
    """For a stack that is there already: what it was asked for before, with the flags laid over it.

    So `up --engine native` and then a plain `up` speak of the same stack. A preset that is named starts afresh.
    """
    recorded = None if preset else _recorded(overrides["stack"])
    if recorded is None:
        return load_spec(preset, overrides)
    return _over(msgspec.to_builtins(recorded), overrides, f"stack {overrides['stack']}")


def _recorded(stack: str) -> Spec | None:
    try:
        intent = read_intent(StackFolder(stack))
    except OrchestratorError as error:
        if error.code == "state_damaged":  # `up --replan` is its remedy: it must not stop that
            return None
        raise
    return intent.spec if intent else None


def _over(values: dict[str, Any], overrides: dict[str, Any], origin: str) -> Spec:
    ports = {**values.get("ports", {}), **(overrides.get("ports") or {})}
    target = {**values.get("target", {}), **(overrides.get("target") or {})}
    given = {key: value for key, value in overrides.items() if value is not None}
    merged = {**values, **given, "ports": ports, "target": target}
    try:
        spec = msgspec.convert(merged, Spec)
    except msgspec.ValidationError as error:
        raise usage_error(
            origin, sorted(given), str(error), "correct the key; `stacks/rag.yaml` shows the form of every key"
        ) from None
    _check_ports(spec)
    return spec


def _preset_path(preset: str) -> Path:
    shipped = shipped_folder("stacks") / f"{preset}.yaml"
    if shipped.exists():
        return shipped
    path = Path(preset)
    if path.suffix in (".yaml", ".yml") and path.exists():
        return path
    raise usage_error(
        "PRESET", preset, "no such preset or file", f"one of {', '.join(presets())}, or the path of a .yaml file"
    )


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise usage_error(str(path), path.name, f"not valid YAML: {error}", "correct the file") from None
    if not isinstance(values, dict):
        raise usage_error(str(path), path.name, "must be a mapping of keys", "see stacks/rag.yaml")
    return values


def _check_ports(spec: Spec) -> None:
    for role, port in spec.ports.items():
        if port not in PORT_RANGE:
            raise usage_error("--port", f"{role}={port}", "a port is a number from 1 to 65535", "choose another port")
    taken = [spec.ports[role] for role in spec.services if role in spec.ports]
    if len(set(taken)) != len(taken):
        raise usage_error("--port", spec.ports, "two services cannot share a port", "give each its own")
