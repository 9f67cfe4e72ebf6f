"""One HTTP/1.1 connection that never blocks: a socket, a buffer, and where the answer in it begins and ends.

By hand, because the ready-made clients cost 0.2 to 3 ms of CPU per request (measured: aiohttp, httpx), which is more
than a fast server takes for the whole answer. Only what a JSON API needs: keep-alive, lengths, chunks, TLS.
"""

from __future__ import annotations

import re
import socket
import ssl
from functools import lru_cache
from typing import NamedTuple

import msgspec

from orchestrator.bench.wire import Address

FIRST_BUFFER_BYTES = 64 * 1024
LONGEST_ANSWER_BYTES = 1024 * 1024 * 1024
LONGEST_HEAD_BYTES = 64 * 1024

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[^\r]*close", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after:\s*(\d+)", re.IGNORECASE)


class Broken(Exception):  # noqa: N818 - what became of a connection, caught by the loop
    """The connection ended, or what came over it is no HTTP; the text says which."""


class Answered(msgspec.Struct, frozen=True, gc=False):
    """A whole answer: `buffer[start:end]` is its body. The buffer is the caller's from now on."""

    status: int
    buffer: bytearray
    start: int
    end: int
    retry_after_s: float | None


NOTHING = Answered(0, bytearray(), 0, 0, None)


class _Head(NamedTuple):
    status: int
    length: int | None
    """None: chunked, or until the connection ends."""
    chunked: bool
    close: bool
    retry_after_s: float | None


_NO_HEAD = _Head(0, None, False, False, None)
_NO_TEXT = b"\0"
"""With which no head begins."""


@lru_cache(maxsize=64)
def _head_of(head: bytes) -> _Head:
    """Remembered, since the heads of a server's answers hardly differ."""
    if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit():
        raise Broken(f"the answer is no HTTP/1.1: it begins {head[:40]!r}")
    chunked = _CHUNKED.search(head) is not None
    length = None if chunked else _LENGTH.search(head)
    wait = _RETRY_AFTER.search(head)
    return _Head(
        status=int(head[9:12]),
        length=int(length[1]) if length else None,
        chunked=chunked,
        close=_CLOSE.search(head) is not None or head.startswith(b"HTTP/1.0") or not (chunked or length),
        retry_after_s=float(wait[1]) if wait else None,
    )


class Connection:
    """`open`, then `send` and `receive` until it says that the answer is whole, again and again."""

    def __init__(self, address: Address, context: ssl.SSLContext | None) -> None:
        self._address = address
        self._context = context
        self._socket: socket.socket | None = None
        self._buffer = bytearray(FIRST_BUFFER_BYTES)
        self._room = memoryview(self._buffer)
        self._head, self._head_text = _NO_HEAD, _NO_TEXT
        self._unsent = memoryview(b"")
        self._begin()

    def open(self, timeout_s: float) -> int:
        """Connect; returns the file descriptor. Blocks for `timeout_s` at the most."""
        try:
            plain = socket.create_connection((self._address.host, self._address.port), timeout_s)
        except OSError as error:
            raise Broken(f"cannot connect: {error}") from error
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                plain = self._context.wrap_socket(plain, server_hostname=self._address.host)
            plain.setblocking(False)
        except OSError as error:
            plain.close()
            raise Broken(f"cannot connect: {error}") from error
        self._socket = plain
        self._unsent = memoryview(b"")
        self._begin()
        return plain.fileno()

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    @property
    def has_answer_begun(self) -> bool:
        return self._used > 0

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, request: bytes) -> bool:
        """True when all of it went to the kernel; else `send_more` when the socket can take more."""
        sent = self._sent(request)
        if sent == len(request):
            return True
        self._unsent = memoryview(request)[sent:]
        return False

    def send_more(self) -> bool:
        self._unsent = self._unsent[self._sent(self._unsent) :]
        return not self._unsent

    def _sent(self, content: bytes | memoryview) -> int:
        if self._socket is None:
            raise Broken("the connection is closed")
        try:
            return self._socket.send(content)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0
        except OSError as error:
            raise Broken(f"the connection broke while a request was sent: {error}") from error

    def receive(self) -> Answered | None:
        """Take what is there; the answer when it is whole."""
        if self._socket is None:
            raise Broken("the connection is closed")
        while True:
            if self._used == len(self._buffer):
                self._grow(self._used + 1)
            try:
                got = self._socket.recv_into(self._room[self._used :] if self._used else self._room)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return None
            except OSError as error:
                raise Broken(f"the connection broke after {self._used} bytes of the answer: {error}") from error
            if got == 0:
                return self._ended()
            self._used += got
            if (answered := self._whole()) is not None:
                return answered
            if self._context is None:  # TLS may hold more than the kernel tells; a plain socket wakes us again
                return None

    def _begin(self) -> None:
        self._used = 0
        self._body = 0
        self._end = -1

    def _whole(self) -> Answered | None:
        if not self._body and not self._read_head():
            return None
        if self._end >= 0:
            return self._answered(self._body, self._end) if self._used >= self._end else None
        if self._head.chunked and self._used >= 5 and self._buffer.endswith(b"0\r\n\r\n", 0, self._used):
            return self._unchunked()
        return None

    def _read_head(self) -> bool:
        if not self._buffer.startswith(self._head_text, 0, self._used):  # else it is the last answer's, to the byte
            blank = self._buffer.find(b"\r\n\r\n", 0, min(self._used, LONGEST_HEAD_BYTES))
            if blank < 0:
                if self._used >= LONGEST_HEAD_BYTES:
                    raise Broken("the answer's head does not end")
                return False
            text = bytes(self._buffer[: blank + 4])
            self._head, self._head_text = _head_of(text[:-2]), text
        self._body = len(self._head_text)
        if self._head.length is not None:
            self._end = self._body + self._head.length
            if self._end > len(self._buffer):
                self._grow(self._end)
        return True

    def _unchunked(self) -> Answered | None:
        """The chunks put together, when the last one is there; the ending alone may be part of a chunk."""
        parts, at = [], self._body
        while True:
            line = self._buffer.find(b"\r\n", at, self._used)
            if line < 0:
                return None
            try:
                size = int(bytes(self._buffer[at:line]).split(b";")[0], 16)
            except ValueError as error:
                raise Broken("the answer's chunks are broken") from error
            if size == 0:
                break
            if line + 2 + size > self._used:
                return None
            parts.append(bytes(self._buffer[line + 2 : line + 2 + size]))
            at = line + size + 4
        joined = b"".join(parts)
        self._buffer[self._body : self._body + len(joined)] = joined
        return self._answered(self._body, self._body + len(joined))

    def _ended(self) -> Answered | None:
        whole = self._body and self._end < 0 and not self._head.chunked
        if whole:
            return self._answered(self._body, self._used)
        if not self._used:
            raise Broken("the server closed the connection instead of answering")
        of = f" of {self._end - self._body}" if self._end >= 0 else ""
        raise Broken(f"the server closed the connection after {max(self._used - self._body, 0)}{of} bytes of the body")

    def _answered(self, start: int, end: int) -> Answered:
        answered = Answered(self._head.status, self._buffer, start, end, self._head.retry_after_s)
        if self._head.close:
            self.close()
        self._take(_spare.pop() if _spare else bytearray(len(answered.buffer)))
        self._begin()
        return answered

    def _grow(self, size: int) -> None:
        if size > LONGEST_ANSWER_BYTES:
            raise Broken(f"the answer wants to be {size} bytes long")
        if size > len(self._buffer):
            larger = bytearray(max(size, 2 * len(self._buffer)))
            larger[: self._used] = self._room[: self._used]
            self._take(larger)

    def _take(self, buffer: bytearray) -> None:
        self._room.release()
        self._buffer = buffer
        self._room = memoryview(buffer)


_spare: list[bytearray] = []


def give_back(buffer: bytearray) -> None:
    """A buffer whose answer was read is used again: no megabyte is allocated and cleared per answer."""
    if len(_spare) < 64:
        _spare.append(buffer)
