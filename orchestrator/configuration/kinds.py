"""The kinds of values that a key takes: how each is read from YAML or from text, and what is wrong with a wrong one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
SIZE = r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*"
SIZE_EXAMPLE = "write for example 11GiB or 900MB"


class WrongValueError(Exception):
    """A value that the key cannot take. Who knows where it stands (file, flag, variable) makes it a usage error."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class Kind(Protocol):
    @property
    def words(self) -> str:
        """For people, in a table: `number from 1 to 65535`."""

    def of_text(self, text: str) -> Any:
        """What an environment variable's text means, before it is checked."""

    def checked(self, value: Any) -> Any:
        """The value as the Spec holds it; raises WrongValueError."""

    def schema(self) -> dict[str, Any]:
        """What JSON Schema can say beyond the Spec's own types."""


class Text(msgspec.Struct, frozen=True):
    words: str = "text"

    def of_text(self, text: str) -> Any:
        return text

    def checked(self, value: Any) -> str:
        if not isinstance(value, str):
            raise WrongValueError("must be text", f'put it in quotes: "{value}"' if is_scalar(value) else "write text")
        if not value.strip():
            raise WrongValueError("is empty", "write a value, or leave the key out to let the plan decide")
        return value

    def schema(self) -> dict[str, Any]:
        return {"minLength": 1}


class StackName(msgspec.Struct, frozen=True):
    words: str = "lower-case letters, digits, `-`"

    def of_text(self, text: str) -> Any:
        return text

    def checked(self, value: Any) -> str:
        from orchestrator.state import NAME_LENGTH, valid_name

        if not isinstance(value, str) or not valid_name(value):
            rule = f"has lower-case letters, digits and '-', starts with a letter, at most {NAME_LENGTH}"
            raise WrongValueError(f"a stack's name {rule}", "choose another name, for example team-search")
        return value

    def schema(self) -> dict[str, Any]:
        return {"pattern": "^[a-z][a-z0-9-]{0,39}$"}


class Number(msgspec.Struct, frozen=True):
    """A whole number in a range."""

    least: int
    most: int | None = None

    @property
    def words(self) -> str:
        return f"{self.least} to {self.most}" if self.most else f"{self.least} or more"

    def of_text(self, text: str) -> Any:
        return int(text) if re.fullmatch(r"\s*[+-]?\d{1,18}\s*", text) else text

    def checked(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            quoted = isinstance(value, str) and isinstance(self.of_text(value), int)
            remedy = f"write {str(value).strip()} without quotes" if quoted else f"write a number, {self.words}"
            raise WrongValueError("must be a whole number", remedy)
        if value < self.least or (self.most is not None and value > self.most):
            raise WrongValueError(f"must be {self.words}", f"write a number that is {self.words}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"minimum": self.least} | ({"maximum": self.most} if self.most else {})


class Rate(msgspec.Struct, frozen=True):
    """A number above zero."""

    words: str = "number above 0"

    def of_text(self, text: str) -> Any:
        return float(text) if re.fullmatch(r"\s*[+-]?\d{1,18}(\.\d{1,18})?\s*", text) else text

    def checked(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WrongValueError("must be a number", "write for example 800")
        if not 0 < value < float("inf"):
            raise WrongValueError("must be above 0", "write for example 800")
        return float(value)

    def schema(self) -> dict[str, Any]:
        return {"exclusiveMinimum": 0}


class Choice(msgspec.Struct, frozen=True):
    options: tuple[str, ...]

    @property
    def words(self) -> str:
        return ", ".join(self.options)

    def of_text(self, text: str) -> Any:
        return text

    def checked(self, value: Any) -> str:
        if value not in self.options:
            raise WrongValueError(f"must be one of {self.words}", _near_or_any(value, self.options))
        return str(value)

    def schema(self) -> dict[str, Any]:
        return {}


class Several(msgspec.Struct, frozen=True):
    """A list of different words."""

    options: tuple[str, ...]

    @property
    def words(self) -> str:
        return f"list of {', '.join(self.options)}"

    def of_text(self, text: str) -> Any:
        return [word.strip() for word in text.split(",")]

    def checked(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            raise WrongValueError("must be a list", f"write [{', '.join(self.options)}], or some of them")
        for word in value:
            if word not in self.options:
                raise WrongValueError(
                    f"has {word!r}, which is none of {', '.join(self.options)}", _near_or_any(word, self.options)
                )
        if len(set(value)) != len(value):
            raise WrongValueError("names something twice", "name each once")
        if "embeddings" not in value:
            raise WrongValueError("has no embedding server", "add embeddings: every stack has one")
        if "webui" in value and "vectors" not in value:
            raise WrongValueError("has webui without vectors", "add vectors: Open WebUI keeps its vectors there")
        return tuple(value)

    def schema(self) -> dict[str, Any]:
        return {"uniqueItems": True, "contains": {"const": "embeddings"}}


class Size(msgspec.Struct, frozen=True):
    words: str = "bytes, or a size such as 11GiB"

    def of_text(self, text: str) -> Any:
        return text

    def checked(self, value: Any) -> int:
        size = size_of(value) if isinstance(value, str) else value
        if isinstance(size, bool) or not isinstance(size, int) or size <= 0:
            raise WrongValueError("is not a size", SIZE_EXAMPLE)
        return size

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": rf"^{SIZE}$"}]}


class Card(msgspec.Struct, frozen=True):
    """YAML makes a number of an index; the Spec holds text."""

    words: str = "index or uuid of a card, or `none`"

    def of_text(self, text: str) -> Any:
        return text

    def checked(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            raise WrongValueError("must be an index, a uuid or `none`", "write for example 0; `none` plans for the CPU")
        return str(value)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "minLength": 1}]}


class Address(msgspec.Struct, frozen=True):
    words: str = "IP address of this machine"

    def of_text(self, text: str) -> Any:
        return text

    def checked(self, value: Any) -> str:
        import ipaddress

        try:
            return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
        except ValueError:
            remedy = 'write "127.0.0.1" (this machine only) or "0.0.0.0" (every network)'
            raise WrongValueError("is not an IP address", remedy) from None

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}


class ModelName(msgspec.Struct, frozen=True):
    words: str = "catalogue id, `owner/name` on the hub, path of a folder or .gguf, or `auto`"

    def of_text(self, text: str) -> Any:
        return text

    def checked(self, value: Any) -> str:
        name = Text().checked(value)
        if name == "auto" or _may_be_elsewhere(name):
            return name
        from orchestrator.catalog.models import models

        if name not in models():
            near = _nearest(name, models())
            raise WrongValueError(
                "no such model in the catalogue, and no folder or file of this name",
                f"{f'write {near}; or ' if near else ''}one of {', '.join(models())}, a path, or owner/name on the hub",
            )
        return name

    def schema(self) -> dict[str, Any]:
        return {"minLength": 1}


def size_of(text: str) -> int | None:
    """`11GiB` in bytes; None where the text is no size."""
    match = re.fullmatch(SIZE, text)
    if not match or match[2].lower() not in UNITS:
        return None
    return int(float(match[1]) * UNITS[match[2].lower()])


def is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _may_be_elsewhere(name: str) -> bool:
    """A path or a repository: the plan looks at it and says what is wrong with it."""
    from pathlib import Path

    return "/" in name or name.lower().endswith(".gguf") or Path(name).exists()


def _near_or_any(value: Any, options: Iterable[str]) -> str:
    near = _nearest(str(value).lower(), options)
    return f"write {near}" if near else f"one of {', '.join(options)}"


def _nearest(word: str, options: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(options), n=1, cutoff=0.5)), None)
