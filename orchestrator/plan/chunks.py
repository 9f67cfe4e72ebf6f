"""How long a chunk may be, so that none is longer than the model reads. Pure."""

from __future__ import annotations

import msgspec

from orchestrator.plan.records import Retrieval

SPECIAL_TOKENS = 16
"""Room for special tokens and a content prefix such as `passage: ` (estimate; the longest in the catalogue has 8)."""


def retrieval_for(asked: Retrieval, max_length: int) -> Retrieval:
    """The default chunk, shortened to one character a token where the model reads little; a user's own size stays.

    One chunk that is too long fails its whole file: vLLM and llama-server answer 400 for it (facts). Measured with
    MiniLM's tokenizer on chunks of 1,000 characters: median 204-374 tokens, 824 in the densest documentation.
    """
    if asked.chunk_size != Retrieval().chunk_size:
        return asked
    chunk_size = min(asked.chunk_size, max(max_length - SPECIAL_TOKENS, 1))
    overlap = min(asked.chunk_overlap, chunk_size // 10)
    return msgspec.structs.replace(asked, chunk_size=chunk_size, chunk_overlap=overlap)
