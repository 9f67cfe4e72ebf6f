"""The plan against the machine as it is now, and against itself."""

from __future__ import annotations

from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed, warned
from orchestrator.doctor.context import Context
from orchestrator.doctor.size import gib
from orchestrator.plan.fit import free_ram, memory_node
from orchestrator.plan.records import Memory

PROSE_CHARACTERS_PER_TOKEN = 4.5
"""Measured with MiniLM's tokenizer on chunks of 1000 characters of English prose: 204 tokens at the median, 224 in nine
of ten. Scripts without spaces come near 1."""
DENSE_CHARACTERS_PER_TOKEN = 2.0
"""Measured likewise: Markdown with tables 374 at the median and 490 at most, Python source 283 and 433."""
SHARE_FLAG = "--gpu-memory-utilization"
"""On the CPU too: vLLM reads it there as a share of the NUMA node (facts/embedding-servers.md 1.8)."""
LARGEST_SHARE = 0.95
"""Beyond it, what vLLM does not count (other contexts, fragments) has no room (facts/doctor-checks.md 54: a proposal).
"""


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


def utilisation(context: Context) -> Answer:
    """vLLM takes its share of the *total*, at its start, and refuses where that much is not free."""
    plan = context.planned
    share = plan.gpu_memory_share or plan.backend_args.get(SHARE_FLAG)
    if share is None:
        return not_applicable(f"{plan.backend} takes what it needs, not a share")
    if context.own_embedder_runs:
        return passed(f"share {share}; this stack's own embedding server holds it already")
    room = _room(context)
    if room is None:
        return not_applicable("the planned device does not tell its memory")
    return _asked_of(context, float(share), *room)


def _asked_of(context: Context, share: float, total: int, free: int) -> Answer:
    if context.planned.memory.need_bytes > free:
        return not_applicable("not even the plan's need is free: gpu.vram.free and plan.fit say so")
    taken = int(share * total)
    evidence = f"share {share} of {gib(total)} is {gib(taken)}; free {gib(free)}"
    shorter = ("plan again, with what is free now or with a shorter input:", context.up_with("--replan"))
    if share > LARGEST_SHARE:
        return bad(evidence, f"a share above {LARGEST_SHARE} leaves nothing for what vLLM does not count", *shorter)
    if taken > free:
        return bad(evidence, f"vLLM will ask for {gib(taken)} at its start and refuse: {gib(free)} are free", *shorter)
    return passed(evidence)


def neighbours(context: Context) -> Answer:
    """The plan counts the card's memory for the embedding server alone."""
    plan = context.planned
    if plan.device.kind != "gpu":
        return not_applicable("the plan uses no GPU")
    others = [service for service in context.services if service.role != "embeddings"]
    planned = [s.name for s in others if s.gpu_uuid or "cuda" in s.image.rpartition(":")[2]]
    found = [f"{name} is planned on the card" for name in planned]
    card = next((gpu for gpu in context.facts.gpu.gpus if gpu.uuid == plan.device.uuid), None)
    pids = {each.pid: each.role for each in context.running if each.pid and each.role != "embeddings"}
    for process in card.processes if card else ():
        role = next((pids[pid] for pid in _line_of(process.pid) if pid in pids), None)
        if role is not None:
            found.append(f"{role} (pid {process.pid}) holds {gib(process.used_bytes or 0)} of it")
    if not found:
        return passed(f"of this stack only the embedding server uses {plan.device.name}")
    return bad(
        "; ".join(found),
        "another service of this stack takes memory that the plan counts for the embedding server",
        "use the images without CUDA for it, as the plan renders them:",
        context.command("up"),
    )


def _room(context: Context) -> tuple[int, int] | None:
    """Total and free bytes of the planned device, as vLLM counts them."""
    plan = context.planned
    if plan.device.kind == "cpu":
        node = memory_node(context.facts)
        return node.total_high_bytes, node.free_bytes
    card = next((gpu for gpu in context.facts.gpu.gpus if gpu.uuid == plan.device.uuid), None)
    if card is None or card.total_bytes is None or card.free_bytes is None or card.unified_memory:
        return None
    return card.total_bytes, card.free_bytes + context.facts.reclaimable_bytes.get(card.uuid, 0)


def _line_of(pid: int) -> tuple[int, ...]:
    """The process and those that started it: a service works on the card in a child."""
    import psutil

    try:
        return (pid, *(parent.pid for parent in psutil.Process(pid).parents()))
    except psutil.Error:
        return (pid,)


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
UTILISATION = Check(
    id="plan.util",
    area="model",
    question="Is the share of the memory that vLLM will ask for free?",
    reads=("--gpu-memory-utilization of the plan", "total and free memory of the card, or of the NUMA node"),
    needs=("plan.fit",),
    severity="fail",
    stage="plan",
    answer=utilisation,
)
NEIGHBOURS = Check(
    id="plan.neighbours",
    area="model",
    question="Does only the embedding server of this stack use the card?",
    reads=("image and GPU of every planned service", "NVML: processes on the card, against the stack's own"),
    severity="warn",
    stage="plan",
    answer=neighbours,
)
CHECKS = (FIT, UTILISATION, CHUNK_LENGTH, NEIGHBOURS)
