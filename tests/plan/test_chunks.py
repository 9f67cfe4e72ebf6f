from __future__ import annotations

import msgspec

from orchestrator.plan.chunks import retrieval_for
from orchestrator.plan.records import Retrieval


def test_a_long_model_keeps_the_default_chunk() -> None:
    assert retrieval_for(Retrieval(), 8192) == Retrieval()


def test_a_short_model_gets_at_most_one_character_a_token() -> None:
    retrieval = retrieval_for(Retrieval(), 256)
    assert (retrieval.chunk_size, retrieval.chunk_overlap) == (240, 24)


def test_a_size_that_the_user_chose_stays() -> None:
    asked = msgspec.structs.replace(Retrieval(), chunk_size=600)
    assert retrieval_for(asked, 256) == asked


def test_the_overlap_never_exceeds_the_chunk() -> None:
    for length in (1, 16, 17, 64, 512):
        retrieval = retrieval_for(Retrieval(), length)
        assert 0 <= retrieval.chunk_overlap < retrieval.chunk_size
