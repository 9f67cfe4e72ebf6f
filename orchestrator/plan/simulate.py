"""Facts of a machine that one does not have: `RTX 3060 12GB, 3.1 GB used`. Pure.

Cards are separated by `;`. What is not said (RAM, cores, Docker, sources) stays as it is on this machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from orchestrator.catalog.gpus import Card
from orchestrator.errors import usage_error
from orchestrator.facts.records import Facts, Gpu, GpuFacts, Reach, SourceFacts

GIB = 2**30
MIB = 2**20
UNITS = {"mb": 10**6, "gb": 10**9, "mib": MIB, "gib": GIB}
AMOUNT = r"(\d+(?:\.\d+)?)\s*([MG]i?B)"
EXAMPLE = "write for example 'RTX 3060 12GB, 3.1 GB used', 'RTX 3090; RTX 3060 12GB', or 'no GPU, 16 GB RAM'"


def simulated(text: str, base: Facts, cards: tuple[Card, ...]) -> Facts:
    """`base` with the cards (and RAM, and cores) that the text names."""
    gpus: list[Gpu] = []
    facts = base
    for described in (part.strip() for part in text.split(";")):
        if not described:
            continue
        facts, names = _host_words(described, facts)
        for name, rest in names:
            gpus += _gpus(name, rest, len(gpus), cards)
    return _without_gpu_doubts(msgspec.structs.replace(facts, gpu=GpuFacts(gpus=tuple(gpus)), simulated=True))


def _host_words(described: str, facts: Facts) -> tuple[Facts, list[tuple[str, list[str]]]]:
    """Takes `16 GB RAM`, `8 cores` and `no GPU` out of one part; what is left is a card and its words."""
    words = [word.strip() for word in described.split(",") if word.strip()]
    left: list[str] = []
    host = facts.host
    for word in words:
        ram = re.fullmatch(rf"{AMOUNT}\s+RAM(?:\s+free)?", word, re.IGNORECASE)
        cores = re.fullmatch(r"(\d+)\s+cores?", word, re.IGNORECASE)
        if ram:
            size = _bytes(ram[1], ram[2])
            host = msgspec.structs.replace(
                host,
                memory_total_bytes=size,
                memory_available_bytes=size,
                node_total_bytes=size,
                node_available_bytes=size,
                cgroup_limit_bytes=None,
                cgroup_used_bytes=None,
            )
        elif cores:
            host = msgspec.structs.replace(host, cores=int(cores[1]), physical_cores=int(cores[1]))
        elif word.lower() not in ("no gpu", "cpu"):
            left.append(word)
    return msgspec.structs.replace(facts, host=host), [(left[0], left[1:])] if left else []


def _gpus(name: str, rest: list[str], first_index: int, cards: tuple[Card, ...]) -> list[Gpu]:
    count = re.match(r"(\d+)\s*x\s+", name, re.IGNORECASE)
    bare = name[count.end() :] if count else name
    card, mig = _find(bare, cards)
    total = _total(card, mig)
    used = _used(rest, total)
    title = f"NVIDIA {card.nvml_names[0]}" + (f" MIG {mig[0]}" if mig else "")
    major, minor = str(card.compute_capability).split(".")
    return [
        Gpu(
            index=first_index + number,
            uuid=f"{'MIG' if mig else 'GPU'}-simulated-{first_index + number}",
            name=title,
            total_bytes=total,
            used_bytes=used,
            free_bytes=total - used,
            compute_capability=(int(major), int(minor)),
            architecture=card.arch,
            parent_uuid="GPU-simulated" if mig else None,
        )
        for number in range(int(count[1]) if count else 1)
    ]


def _total(card: Card, mig: tuple[str, int] | None) -> int:
    if mig:
        return mig[1] * GIB
    return card.cuda_visible.nvml_mib * MIB if card.cuda_visible else int(card.memory_gib * GIB)


def _used(words: list[str], total: int) -> int:
    used = 0
    for word in words:
        match = re.fullmatch(rf"{AMOUNT}\s+(used|free)", word, re.IGNORECASE)
        if not match:
            raise usage_error("--simulate", word, "is not understood", EXAMPLE)
        size = _bytes(match[1], match[2])
        used = size if match[3].lower() == "used" else total - size
    if not 0 <= used <= total:
        raise usage_error("--simulate", ", ".join(words), f"the card has {total / GIB:.1f} GiB", EXAMPLE)
    return used


def _bytes(number: str, unit: str) -> int:
    return int(float(number) * UNITS[unit.lower()])


def _find(described: str, cards: tuple[Card, ...]) -> tuple[Card, tuple[str, int] | None]:
    """The one card with these words; a size tells namesakes apart. Whole words only: `A10` is never `A100`."""
    text = described
    mig = re.search(r"\bMIG\s+(\d+g\.(\d+)gb)\b", text, re.IGNORECASE)
    if mig:
        text = text[: mig.start()]
    size = re.search(r"\b(\d+)\s*GB\b", text, re.IGNORECASE)
    words = _words(text)
    sized = [card for card in cards if size is None or round(card.memory_gib) == int(size[1])]
    exact = [card for card in sized if any(_words(name) == words for name in card.nvml_names)]
    begins = [card for card in sized if any(_words(name)[: len(words)] == words for name in card.nvml_names)]
    found = exact or begins
    if not words or not found:
        raise usage_error("--simulate", described, "no such card in the catalogue", _near(described, cards))
    if len(found) > 1 and not exact:
        titles = ", ".join(card.title for card in found)
        raise usage_error("--simulate", described, f"several cards are called so: {titles}", "name one of them whole")
    largest = max(found, key=lambda card: card.memory_gib)
    return largest, (mig[1], int(mig[2])) if mig else None


def _near(described: str, cards: tuple[Card, ...]) -> str:
    """Cards whose names look alike; else how to write one."""
    from difflib import get_close_matches

    titles = {" ".join(_words(name)): card.title for card in cards for name in card.nvml_names}
    alike = get_close_matches(" ".join(_words(described)), titles, n=3, cutoff=0.7)
    return f"did you mean {', '.join(titles[name] for name in alike)}? {EXAMPLE}" if alike else EXAMPLE


def _words(name: str) -> list[str]:
    """Without the maker, the brand and the memory size, which people leave out."""
    parts = re.split(r"[\s\-]+", re.sub(r"\b\d+\s*GB\b", " ", name, flags=re.IGNORECASE).lower())
    return [part for part in parts if part and part not in ("nvidia", "geforce", "tesla", "quadro")]


def facts_over(values: Mapping[str, Any], base: Facts) -> Facts:
    """A YAML of facts, laid over this machine's: any field of `Facts`, as deep as needed; lists are taken whole."""
    merged = _merge(msgspec.to_builtins(base), values)
    try:
        facts = msgspec.convert({**merged, "simulated": True}, Facts)
    except msgspec.ValidationError as error:
        remedy = "`orchestrator plan --json` shows the form under data.facts"
        raise usage_error("--simulate", str(error), "the facts do not fit", remedy) from None
    lost = next(_lost(merged, msgspec.to_builtins(facts)), None)
    if lost is not None:
        remedy = "`orchestrator plan --json` shows the names under data.facts"
        raise usage_error("--simulate", lost, "no such fact", remedy)
    return _without_gpu_doubts(facts) if "gpu" in values and "docker" not in values else facts


def _lost(given: Any, kept: Any, path: str = "") -> Iterator[str]:
    """Keys that were given and are no fields of any record: a typing error must not be passed over."""
    if isinstance(given, Mapping) and isinstance(kept, Mapping):
        for key, value in given.items():
            place = f"{path}.{key}" if path else str(key)
            if key not in kept:
                yield place
            else:
                yield from _lost(value, kept[key], place)
    elif isinstance(given, (list, tuple)) and isinstance(kept, (list, tuple)):
        for number, (value, other) in enumerate(zip(given, kept, strict=False)):
            yield from _lost(value, other, f"{path}[{number}]")


def _merge(base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, Mapping):
        return {**base, **{key: _merge(base.get(key), value) for key, value in over.items()}}
    return over


def _without_gpu_doubts(facts: Facts) -> Facts:
    """A simulated card is one that Docker could hand out, where there is a Docker."""
    return msgspec.structs.replace(facts, docker=msgspec.structs.replace(facts.docker, gpu=True))


def with_all_sources(facts: Facts) -> Facts:
    """As if every model source answered and Docker could be used, with its cards (`--assume-sources`)."""
    yes = Reach(reachable=True, reason="assumed (--assume-sources)")
    docker = msgspec.structs.replace(facts.docker, gpu=True)
    if not docker.usable:
        docker = msgspec.structs.replace(
            docker, usable=True, error=None, server_version="assumed", compose_version="assumed"
        )
    sources = SourceFacts(hub=yes, ollama=yes, pypi=yes, registry=yes)
    return msgspec.structs.replace(facts, sources=sources, docker=docker, simulated=True)
