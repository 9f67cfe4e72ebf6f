"""Vectors out of an answer's body, every one of them, at the speed of memory where the shape is the usual one.

The usual shape: each `"embedding":"<base64>"` of the known length. The base64 is lifted out and what remains, a small
JSON text, is parsed strictly; so nothing is skipped and nothing is guessed. Any other shape is parsed whole.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec
import numpy as np
import pybase64

from orchestrator.bench.records import Api

FLOAT32 = np.dtype("<f4")
MARK = re.compile(rb'"embedding"\s*:\s*"')
NOT_A_NUMBER = re.compile(rb"[\[,:]\s*-?(NaN|nan|Infinity|inf)\b")


class BadAnswer(Exception):  # noqa: N818 - a verdict on the answer, not an error of ours
    """What is wrong with a 200, in the words of `Wrong.kind` and for people."""

    def __init__(self, kind: str, example: str) -> None:
        super().__init__(example)
        self.kind = kind
        self.example = example


class Read(msgspec.Struct):
    """One answer, its vectors in the order in which they came: little-endian float32 each."""

    vectors: list[bytes]
    indexes: list[int]
    tokens: int
    """-1: not told."""
    model: str
    as_numbers: bool = False


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Item(msgspec.Struct):
    embedding: str | list[float]
    index: int | None = None


class _OpenAi(msgspec.Struct):
    data: list[_Item]
    model: str = ""
    usage: _Usage | None = None


class _Ollama(msgspec.Struct):
    embeddings: list[list[float]]
    model: str = ""
    prompt_eval_count: int | None = None


_decoded = pybase64.b64decode
_openai = msgspec.json.Decoder(_OpenAi)
_ollama = msgspec.json.Decoder(_Ollama)


class Reader:
    """Remembers the shape of the last answer that had to be parsed whole."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._mark = b""
        self._length = 0

    def read(self, body: bytearray, start: int, end: int, count: int) -> Read:
        """The answer in `body[start:end]` to a request of `count` documents. Raises BadAnswer."""
        if self._api == "ollama":
            return _read_ollama(body[start:end])
        lifted = self._lifted(body, start, end, count) if self._length else None
        return lifted if lifted is not None else self._read_whole(body[start:end])

    def _lifted(self, body: bytearray, start: int, end: int, count: int) -> Read | None:
        find, mark, length = body.find, self._mark, self._length
        size, at = len(mark), start
        places, rest = [], []
        for _ in range(count):
            begin = find(mark, at, end)
            if begin < 0:
                return None
            begin += size
            rest.append(body[at:begin])
            places.append(begin)
            at = begin + length
        rest.append(body[at:end])
        frame = _frame_of(b"".join(rest))
        if frame is None or len(frame.indexes) != count:
            return None
        with memoryview(body) as view:
            try:
                vectors = [_decoded(view[place : place + length], None, True) for place in places]
            except ValueError as error:
                raise BadAnswer("not_base64", f"an embedding is no base64 ({error})") from error
        return Read(vectors, frame.indexes, frame.tokens, frame.model)

    def _read_whole(self, body: bytearray) -> Read:
        try:
            answer = _openai.decode(body)
        except msgspec.MsgspecError as error:
            raise _not_json(body, error) from error
        texts = [item.embedding for item in answer.data if isinstance(item.embedding, str)]
        if len(texts) == len(answer.data) and texts:
            vectors = _of_base64(texts)
            mark = MARK.search(body)
            self._mark, self._length = (mark[0], len(texts[0])) if mark else (b"", 0)
            return _read_openai(answer, vectors)
        numbers = [item.embedding for item in answer.data if isinstance(item.embedding, list)]
        if len(numbers) != len(answer.data):
            raise BadAnswer("not_base64", "some embeddings are base64 and some are numbers")
        read = _read_openai(answer, _of_numbers(numbers))
        read.as_numbers = True
        return read


def _read_openai(answer: _OpenAi, vectors: list[bytes]) -> Read:
    usage = answer.usage
    told = None if usage is None else usage.prompt_tokens if usage.prompt_tokens is not None else usage.total_tokens
    indexes = [item.index if item.index is not None else place for place, item in enumerate(answer.data)]
    return Read(vectors=vectors, indexes=indexes, tokens=-1 if told is None else told, model=answer.model)


@lru_cache(maxsize=64)
def _frame_of(rest: bytes) -> Read | None:
    """What an answer says besides its vectors, which were lifted out; None when something is left of them.

    Remembered by its every byte, since a server without ids and times in its answers says the same again and again.
    """
    try:
        answer = _openai.decode(rest)
    except msgspec.MsgspecError:
        return None
    return None if any(item.embedding for item in answer.data) else _read_openai(answer, [])


def _read_ollama(body: bytearray) -> Read:
    try:
        answer = _ollama.decode(body)
    except msgspec.MsgspecError as error:
        raise _not_json(body, error) from error
    return Read(
        vectors=_of_numbers(answer.embeddings),
        indexes=list(range(len(answer.embeddings))),
        tokens=-1 if answer.prompt_eval_count is None else answer.prompt_eval_count,
        model=answer.model,
        as_numbers=True,
    )


def _of_base64(texts: list[str]) -> list[bytes]:
    try:
        return [pybase64.b64decode(text, None, True) for text in texts]
    except ValueError as error:
        raise BadAnswer("not_base64", f"an embedding is no base64 ({error})") from error


def _of_numbers(numbers: list[list[float]]) -> list[bytes]:
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is found as such
        return [np.array(each, FLOAT32).tobytes() for each in numbers]


def _not_json(body: bytearray, error: Exception) -> BadAnswer:
    if found := NOT_A_NUMBER.search(body):
        return BadAnswer("not_finite", f"{found[1].decode()} stands in the answer, which JSON does not even have")
    begin = bytes(body[:80]).decode(errors="replace")
    return BadAnswer("not_json", f"not an answer of embeddings: {error}; it begins {begin!r}")
