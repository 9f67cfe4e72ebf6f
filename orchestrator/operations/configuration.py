"""`config show`: the values that `up` would work with here, and who set each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.configuration.keys import BY_PATH
from orchestrator.configuration.settings import Setting, unknown_variables
from orchestrator.operations.request import Asked, defaults, recalled
from orchestrator.result import Result

OTHER_VARIABLES = ("ORCHESTRATOR_HOME", "ORCHESTRATOR_KEEP_WHEELS", "ORCHESTRATOR_STACK", "ORCHESTRATOR_ROLE")
"""Read or set by other rooms: where state lives, what an install keeps, and the marks of a stack's processes."""


def show(asked: Asked) -> Result:
    settings = {**defaults(), **recalled(asked).settings}
    return Result(
        command="config show",
        data={
            "settings": {path: _shown(settings[path]) for path in BY_PATH},
            "unknown_variables": _strangers(asked.environment),
        },
    )


def _shown(setting: Setting) -> dict[str, Any]:
    key, origin = BY_PATH[setting.path], setting.origin
    place = origin.place
    return {
        "value": setting.value,
        "unset": key.unset if setting.value is None else None,
        "set_by": origin.kind,
        "name": origin.name,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "words": str(origin),
        "variable": key.variable,
    }


def _strangers(environment: Mapping[str, str]) -> dict[str, str | None]:
    found = unknown_variables(environment, OTHER_VARIABLES)
    return {name: near for name, near in found.items() if not name.startswith("ORCHESTRATOR_TEST_")}
