"""What makes an answer right, asked of every answer of the run. A fast wrong answer is a failed run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from orchestrator.bench.answers import FLOAT32, BadAnswer, Read, Reader
from orchestrator.bench.connection import Answered
from orchestrator.bench.records import Endpoint, Wrong
from orchestrator.verify.embed_shape import NORM_TOLERANCE

if TYPE_CHECKING:
    Column = np.ndarray[Any, Any]

MARKED = 16
"""Numbers of a vector that make its fingerprint: more than 180 bits even where 16-bit arithmetic left 12 in each."""
_MULTIPLIERS = np.random.Generator(np.random.PCG64(20)).integers(1, 2**63, MARKED // 2, dtype=np.uint64) | np.uint64(1)


class Tally:
    """Kinds of wrong answers: how often, and the first of each."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, example: str, count: int = 1) -> None:
        before, first = self._seen.get(kind, (0, example))
        self._seen[kind] = (before + count, first)

    def wrongs(self) -> tuple[Wrong, ...]:
        return tuple(Wrong(kind=kind, count=count, example=text) for kind, (count, text) in self._seen.items())


def merged(several: Iterable[Wrong]) -> tuple[Wrong, ...]:
    """The same kind from several workers is one."""
    tally = Tally()
    for wrong in several:
        tally.add(wrong.kind, wrong.example, wrong.count)
    return tally.wrongs()


class Asked(msgspec.Struct, gc=False):
    """An answer to be judged, and what it was the answer to."""

    answer: Answered
    documents: int
    tokens: int


class Checker:
    """Judges the answers of one worker, several at a time: the arithmetic is done on all their vectors at once."""

    def __init__(self, endpoint: Endpoint, dimension: int) -> None:
        self.tally = Tally()
        self.as_numbers = False
        self.untold_tokens = 0
        self._reader = Reader(endpoint.api)
        self._model = endpoint.model
        self._size = 4 * dimension
        self._marked = min(MARKED, dimension - dimension % 2)
        self._multipliers = _MULTIPLIERS[: self._marked // 2]

    def check(self, answers: Sequence[Asked]) -> tuple[list[Read | None], bytes]:
        """Each answer when all is right with it (None: it went to the tally), and 8 bytes for each right vector:
        equal vectors have equal ones."""
        reads = [self._read(asked) for asked in answers]
        joined = b"".join([vector for read in reads if read is not None for vector in read.vectors])
        if not joined:
            return reads, b""
        vectors = np.frombuffer(joined, FLOAT32).reshape(-1, self._size // 4)
        off = np.abs(_squared_lengths(vectors) - 1.0)
        # Written so that a NaN fails it; a finite norm has only finite numbers in it.
        if off.max() <= 2 * NORM_TOLERANCE:
            return reads, self._fingerprints(vectors)
        return self._sorted_out(reads, vectors, off)

    def _read(self, asked: Asked) -> Read | None:
        try:
            answer = asked.answer
            read = self._reader.read(answer.buffer, answer.start, answer.end, asked.documents)
            self._judge_shape(read, asked.documents)
        except BadAnswer as bad:
            self.tally.add(bad.kind, bad.example)
            return None
        self.as_numbers = self.as_numbers or read.as_numbers
        self.untold_tokens += read.tokens < 0
        right = True
        if read.tokens >= 0 and read.tokens != asked.tokens:
            sent = f"{asked.tokens} tokens were sent in {asked.documents} documents"
            self.tally.add("tokens", f"{sent}, the server counted {read.tokens}")
            right = False
        if not same_model(read.model, self._model):
            self.tally.add("model", f"asked for {self._model!r}, answered by {read.model!r}")
            right = False
        return read if right else None

    def _judge_shape(self, read: Read, documents: int) -> None:
        if len(read.vectors) != documents:
            raise BadAnswer("count", f"{len(read.vectors)} vectors for {documents} documents")
        sizes = set(map(len, read.vectors))
        if sizes != {self._size}:
            found = " and ".join(f"{size / 4:g}" for size in sorted(sizes))
            raise BadAnswer("dimension", f"vectors of {found} numbers; before the run they had {self._size // 4}")
        if read.indexes != _in_order(documents):
            raise BadAnswer("order", f"the indexes of an answer are {_shown(read.indexes)}")

    def _sorted_out(self, reads: list[Read | None], vectors: Column, off: Column) -> tuple[list[Read | None], bytes]:
        prints, at = [], 0
        for place, read in enumerate(reads):
            if read is None:
                continue
            own = slice(at, at + len(read.vectors))
            at = own.stop
            if off[own].max() <= 2 * NORM_TOLERANCE:
                prints.append(self._fingerprints(vectors[own]))
                continue
            reads[place] = None
            unfinished = np.flatnonzero(~np.isfinite(off[own]))
            if len(unfinished):
                where = f"vector {unfinished[0]} of {len(read.vectors)}"
                self.tally.add("not_finite", f"NaN or infinite numbers in {where}")
            else:
                length = float(np.linalg.norm(vectors[own][off[own].argmax()]))
                self.tally.add("norm", f"a vector has length {length:.4f}, not 1")
        return reads, b"".join(prints)

    def _fingerprints(self, vectors: Column) -> bytes:
        marked = vectors[:, : self._marked].view(np.uint64)
        prints: Column = marked @ self._multipliers
        return prints.tobytes()


def _squared_lengths(vectors: Column) -> Column:
    """By matmul: 0.35 µs a vector of 2560 numbers instead of einsum's 0.95 (measured)."""
    squares: Column = np.matmul(vectors[:, None, :], vectors[:, :, None])
    return squares[:, 0, 0]


def doubles(prints: Column, documents: Column) -> Wrong | None:
    """Different documents with the same vector; `prints` and `documents` (numbers of documents) belong together."""
    order = np.lexsort((documents, prints))
    same_print = prints[order][1:] == prints[order][:-1]
    other_document = documents[order][1:] != documents[order][:-1]
    found = np.flatnonzero(same_print & other_document)
    if not len(found):
        return None
    one, other = documents[order][found[0]], documents[order][found[0] + 1]
    return Wrong(
        kind="duplicate",
        count=len(found),
        example=f"documents {one} and {other} of the run are different texts and have the same vector",
    )


def same_model(answered: str, asked: str) -> bool:
    """An answer without a name claims nothing. Ollama adds `:latest`."""
    return not answered or answered == asked or answered.removesuffix(":latest") == asked.removesuffix(":latest")


_ORDERS: dict[int, list[int]] = {}


def _in_order(count: int) -> list[int]:
    if count not in _ORDERS:
        _ORDERS[count] = list(range(count))
    return _ORDERS[count]


def _shown(indexes: Sequence[int]) -> str:
    return ", ".join(map(str, indexes[:6])) + (", ..." if len(indexes) > 6 else "")
