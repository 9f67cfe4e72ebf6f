"""The plan against the machine as it is now, and against itself."""

from __future__ import annotations

from orchestrator.doctor.check import Answer, Check, bad, passed, warned
from orchestrator.doctor.context import Context
from orchestrator.doctor.size import gib
from orchestrator.plan.fit import free_ram
from orchestrator.plan.records import Memory

PROSE_CHARACTERS_PER_TOKEN = 4.5
"""Measured with MiniLM's tokenizer on chunks of 1000 characters of English prose: 204 tokens at the median, 224 in nine
of ten. Scripts without spaces come near 1."""
DENSE_CHARACTERS_PER_TOKEN = 2.0
"""Measured likewise: Markdown with tables 374 at the median and 490 at most, Python source 283 and 433."""


def fit(context: Context) -> Answer:
    plan = context.planned
    memory = plan.memory
    free = memory.free_bytes
    if plan.device.kind == "cpu" and not context.own_embedder_runs:
        free = min(free, free_ram(context.facts))
    evidence = f"{_sum(memory)} = {gib(memory.need_bytes)}, free {gib(free)}"
    if memory.need_bytes <= free:
        return passed(evidence)
    return bad(
        evidence,
        f"the plan needs {gib(memory.need_bytes)} and {gib(free)} are free on {plan.device.name}",
        "free some memory, or plan again with what is there now; a shorter input or a smaller model needs less:",
        context.up_with("--replan"),
        context.up_with("--replan", "--model auto"),
    )


def chunk_length(context: Context) -> Answer:
    plan = context.planned
    characters, tokens = plan.retrieval.chunk_size, plan.max_length
    prose, dense = characters / PROSE_CHARACTERS_PER_TOKEN, characters / DENSE_CHARACTERS_PER_TOKEN
    evidence = (
        f"chunks of {characters} characters are about {prose:.0f} tokens of prose, {dense:.0f} of tables or code; "
        f"the longest input is {tokens} tokens"
    )
    if "webui" not in plan.roles or dense <= tokens:
        return passed(evidence)
    reason = f"of chunks of {characters} characters, {{}} is longer than the {tokens} tokens that the server takes"
    remedy = (
        f"set retrieval.chunk_size to {int(tokens * DENSE_CHARACTERS_PER_TOKEN)} or less in the stack's file, "
        "or choose a model with a longer input: one chunk that is too long fails its whole document"
    )
    if prose > tokens:
        return bad(evidence, reason.format("ordinary prose"), remedy)
    return warned(evidence, reason.format("dense text (tables, code, Chinese)"), remedy)


def _sum(memory: Memory) -> str:
    return " + ".join(f"{term.name} {gib(term.bytes)}" for term in memory.terms) or "the plan's need"


FIT = Check(
    id="plan.fit",
    area="model",
    question="Does what the plan needs still fit in what is free?",
    reads=("the plan's memory terms", "MemAvailable, or the card's free memory"),
    severity="fail",
    stage="plan",
    answer=fit,
)
CHUNK_LENGTH = Check(
    id="plan.len",
    area="model",
    question="Does the longest chunk fit in the longest input?",
    reads=("retrieval.chunk_size", "max_length"),
    severity="fail",
    stage="plan",
    answer=chunk_length,
)
CHECKS = (FIT, CHUNK_LENGTH)
