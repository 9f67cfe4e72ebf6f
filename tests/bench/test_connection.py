"""What comes over a socket in whatever pieces is the same answer. The test is the server."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest

from orchestrator.bench.connection import Answered, Broken, Connection, give_back
from orchestrator.bench.wire import Address


class Pair(NamedTuple):
    connection: Connection
    server: socket.socket
    fd: int


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        connection = Connection(Address(host="127.0.0.1", port=port, tls=False, path="/"), None)
        fd = connection.open(5.0)
        server, _ = listener.accept()
    with server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Pair(connection, server, fd)
    connection.close()


def exchange(pair: Pair, pieces: Sequence[bytes]) -> tuple[int, bytes]:
    """An answer that comes in these pieces, each read before the next is sent."""
    connection, server, fd = pair
    assert connection.send(b"a request")
    assert server.recv(100) == b"a request"
    answered: Answered | None = None
    for piece in pieces:
        assert answered is None
        server.sendall(piece)
        assert select.select([fd], (), (), 5.0)[0]
        answered = connection.receive()
    assert answered is not None
    body = bytes(answered.buffer[answered.start : answered.end])
    give_back(answered.buffer)
    return answered.status, body


def whole(status: int, body: bytes, field: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), field, body)


@pytest.mark.parametrize("at", [1, 12, 30, 36, 38, 39, 45])
def test_an_answer_in_two_pieces_after_one_of_the_same_beginning(pair: Pair, at: int) -> None:
    """The last answer's bytes still lie in the buffer, behind what has come of this one."""
    for body in (b"0123456789", b"9876543210"):
        assert exchange(pair, [whole(200, body)]) == (200, body)
    for status, body, field in ((200, b"abc" * 5, b""), (500, b"abcdefghij", b""), (200, b"abcdefghij", b"A: b\r\n")):
        text = whole(status, body, field)
        assert exchange(pair, [text[:at], text[at:]]) == (status, body)


def test_the_same_head_again_and_again_and_then_another(pair: Pair) -> None:
    for body in (b"one", b"two", b"three", b"six", b"", b"six"):
        assert exchange(pair, [whole(200, body)]) == (200, body)
    chunked = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsix\r\n0\r\n\r\n"
    assert exchange(pair, [chunked]) == (200, b"six")
    assert exchange(pair, [chunked[:-7], chunked[-7:]]) == (200, b"six")
    assert exchange(pair, [whole(200, b"six")]) == (200, b"six")


def test_no_http_after_http_is_told(pair: Pair) -> None:
    exchange(pair, [whole(200, b"one")])
    with pytest.raises(Broken, match=r"no HTTP/1\.1"):
        exchange(pair, [b"SSH-2.0-OpenSSH\r\n\r\n"])
