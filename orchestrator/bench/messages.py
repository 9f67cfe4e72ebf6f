"""What the tool and its client processes say to each other: msgpack, each message behind its length."""

from __future__ import annotations

import struct
from typing import IO

import msgspec

from orchestrator.bench.load import Job, Measured

_LENGTH = struct.Struct("<Q")


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag="begin"):
    at: float
    """End of the warm-up on CLOCK_MONOTONIC, which all processes of a machine share."""


class Work(msgspec.Struct, frozen=True, kw_only=True, tag="work"):
    job: Job


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The job is read and numpy loaded; only `Begin` is missing."""


class Tick(msgspec.Struct, frozen=True, kw_only=True, tag="tick"):
    documents: int


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    measured: Measured


class Broke(msgspec.Struct, frozen=True, kw_only=True, tag="broke"):
    text: str


Message = Begin | Work | Ready | Tick | Done | Broke


def write(stream: IO[bytes], message: Message) -> None:
    content = msgspec.msgpack.encode(message)
    stream.write(_LENGTH.pack(len(content)) + content)
    stream.flush()


def read(stream: IO[bytes]) -> Message | None:
    """None when the other side is gone."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    content = stream.read(_LENGTH.unpack(head)[0])
    message: Message = msgspec.msgpack.decode(content, type=Message)
    return message
