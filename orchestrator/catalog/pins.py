"""The one tested set of versions (`pins.toml`), as records."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from orchestrator.catalog.files import read_toml


class PackagePin(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    lock: str | None = None
    """Lock file, relative to the catalogue; None for what is no environment (a source archive, a model)."""
    sha256: str | None = None
    sdist_sha256: str | None = None
    maintainer_note: str | None = None
    """Said in the plan where the package is not the upstream project's own."""
    needs_wheel: str | None = None
    needs_wheel_sha256: str | None = None
    extra_index_url: str | None = None
    """A page of the package's own project for what PyPI does not have; asked only after the user's own indexes."""
    llama_cpp_commit: str | None = None
    llama_cpp_build: str | None = None
    source_dir: str | None = None
    archive: str | None = None
    model_dir: str | None = None
    model_safetensors_sha256: str | None = None
    tokenizer_json_sha256: str | None = None
    config_json_sha256: str | None = None


class ImagePin(msgspec.Struct, frozen=True, kw_only=True):
    repository: str
    tag: str
    port: int
    user: str = "root"
    data_dir: str | None = None
    cache_dir: str | None = None
    model_dir: str | None = None
    verified: bool = False
    """The tag was seen in a registry; `unverified` says what it rests on where it was not."""
    unverified: str | None = None

    @property
    def reference(self) -> str:
        return f"{self.repository}:{self.tag}"


class Pins(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    python: str
    """The CPython that the locks were made for, as `3.11`."""
    platform: str
    packages: dict[str, PackagePin]
    images: dict[str, ImagePin]


@cache
def load_pins() -> Pins:
    """The whole set. An unknown key in the file is kept out, a missing one that we need is an error with its path."""
    raw: dict[str, Any] = read_toml("pins.toml")
    return msgspec.convert({**raw["set"], "packages": raw["packages"], "images": raw["images"]}, Pins)
