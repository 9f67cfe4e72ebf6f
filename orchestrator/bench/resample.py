"""After the run: some of its documents once more, one by one. Their vectors must be those of the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from orchestrator.bench.answers import FLOAT32
from orchestrator.bench.documents import Documents, as_text
from orchestrator.bench.load import Kept
from orchestrator.bench.records import Wrong
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    Block = np.ndarray[Any, Any]

DOCUMENTS = 8
"""Of each kept answer."""
DEADLINE_S = 8.0


class Resampled(msgspec.Struct, frozen=True, kw_only=True):
    compared: int
    lowest: float | None
    """Cosine."""
    wrongs: tuple[Wrong, ...] = ()
    note: str = ""


def resample(
    kept: Sequence[Kept], documents: Documents, embed: Callable[[Sequence[str], float], Block], floor: float
) -> Resampled:
    """`embed` is given one text and its seconds. `floor` is the lowest cosine that passes as the same vector."""
    until = time.monotonic() + DEADLINE_S
    cosines: list[float] = []
    wrongs: list[Wrong] = []
    for first, count, content in kept:
        vectors = np.frombuffer(content, FLOAT32).reshape(count, -1)
        texts = [as_text(text) for text in documents.batch(first, count)[0]]
        for place in range(0, count, max(count // DOCUMENTS, 1)):
            left_s = until - time.monotonic()
            if left_s <= 0:
                return _ended(cosines, wrongs, f"the comparison was cut after {DEADLINE_S:g} s")
            try:
                alone = embed([texts[place]], left_s)[0]
            except OrchestratorError as error:
                return _ended(cosines, wrongs, error.message)
            to_all = vectors @ alone / np.linalg.norm(alone)
            cosines.append(float(to_all[place]))
            if not to_all[place] >= floor:
                wrongs.append(_wrong(to_all, place, floor))
    return _ended(cosines, wrongs, "")


def _wrong(to_all: Block, place: int, floor: float) -> Wrong:
    nearest = int(to_all.argmax())
    if nearest != place and to_all[nearest] >= floor:
        return Wrong(
            kind="order",
            count=1,
            example=f"document {place} of a request got the vector of document {nearest} (embedded again, one by one)",
        )
    return Wrong(
        kind="resampled",
        count=1,
        example=f"embedded again alone, a document's vector has cosine {to_all[place]:.4f} to that of the run, "
        f"the floor is {floor}",
    )


def _ended(cosines: list[float], wrongs: list[Wrong], why: str) -> Resampled:
    from orchestrator.bench.correctness import merged

    note = f"{len(cosines)} documents were embedded again, one by one, and compared" if cosines else ""
    if why:
        note = f"{note or 'no document was embedded again'}; then: {why}"
    return Resampled(compared=len(cosines), lowest=min(cosines) if cosines else None, wrongs=merged(wrongs), note=note)
