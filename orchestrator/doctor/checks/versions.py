"""What runs against what is pinned: the images of containers, the packages of processes."""

from __future__ import annotations

from importlib.metadata import Distribution
from pathlib import Path

import msgspec

from orchestrator.catalog.pins import load_pins
from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed
from orchestrator.doctor.context import Context
from orchestrator.engines.engine import Running
from orchestrator.plan.records import Role

CLIENT = "chromadb"
ENGINE_S = 20.0
"""Asking Python inside Open WebUI's container for a version takes about a second (estimate)."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Open WebUI, the client of ChromaDB inside it, and the server."""

    webui: str | None
    client: str | None
    server: str | None
    where: str


def digest(context: Context) -> Answer:
    """An image that was pulled anew under the same tag runs only after its container was made anew."""
    if context.planned.engine != "compose":
        return not_applicable("the native engine runs no images")
    from orchestrator.engines.compose_images import read_digests, running_images, with_digest

    locked = read_digests(context.folder) if context.folder is not None else {}
    services = {service.role: with_digest(service, locked) for service in context.services}
    containers = {each.role: each.container for each in _running(context).values() if each.container}
    if not containers:
        return not_applicable("no container of this stack runs")
    images = running_images({role: services[role].image for role in containers}, containers)
    evidence = "; ".join(f"{image.role} {image.reference}: runs {_short(image.runs)}" for image in images)
    wrong = [image for image in images if image.names is None or image.runs != image.names]
    if not wrong:
        return passed(evidence)
    first = wrong[0]
    reason = f"{first.role} runs {_short(first.runs)}, and {first.reference} is {_short(first.names)}"
    return bad(evidence, reason, "make the containers anew from the planned images:", context.command("up"))


def pair(context: Context) -> Answer:
    if "webui" not in context.planned.roles:
        return not_applicable("the plan has no Open WebUI")
    running = _running(context)
    if not {"webui", "vectors"} <= running.keys():
        return not_applicable("Open WebUI and ChromaDB do not both run")
    found = _pair(context, running)
    packages = load_pins().packages
    wanted = {
        "Open WebUI": (found.webui, packages["open-webui"].version),
        "ChromaDB's client": (found.client, packages["chromadb"].version),
        "ChromaDB's server": (found.server, packages["chromadb"].version),
    }
    evidence = f"{', '.join(f'{name} {have}' for name, (have, _) in wanted.items())} ({found.where})"
    wrong = [f"{name} is {have}, pinned {pin}" for name, (have, pin) in wanted.items() if have != pin]
    if not wrong:
        return passed(evidence)
    remedy = "run the tested set; an environment that was changed by hand is removed first, and installed anew:"
    return bad(evidence, f"not the tested set: {'; '.join(wrong)}", remedy, context.command("up"))


def _running(context: Context) -> dict[Role, Running]:
    return {each.role: each for each in context.existing.observe() if each.state == "running" and each.pid}


def _pair(context: Context, running: dict[Role, Running]) -> Pair:
    if context.planned.engine == "compose":
        from orchestrator.engines.compose_images import package_in, tag_of

        webui, vectors = running["webui"].container or "", running["vectors"].container or ""
        return Pair(
            webui=tag_of(webui).removeprefix("v"),
            client=package_in(webui, CLIENT),
            server=tag_of(vectors),
            where="tags of the running images; the client asked inside the container",
        )
    return Pair(
        webui=_installed(running["webui"], "open-webui"),
        client=_installed(running["webui"], CLIENT),
        server=_installed(running["vectors"], CLIENT),
        where="packages of the environments that the processes run from",
    )


def _installed(seen: Running, package: str) -> str | None:
    """From the environment that the process really runs from, not from where it should."""
    import psutil

    try:
        words = psutil.Process(seen.pid).cmdline()
    except psutil.Error:
        return None
    roots = [Path(word).parent.parent for word in words[:2] if Path(word).is_absolute()]
    places = [str(place) for root in roots for place in root.glob("lib/python3*/site-packages")]
    found = next(iter(Distribution.discover(name=package, path=places)), None)
    return found.version if found else None


def _short(image: str | None) -> str:
    return image.removeprefix("sha256:")[:12] if image else "not here"


IMAGE_DIGEST = Check(
    id="image.digest",
    area="model",
    question="Do the containers run the images that the plan names?",
    reads=(
        "the image id of every running container",
        "the id that the pinned reference, or its locked digest, has now",
    ),
    needs=("stack.state",),
    severity="fail",
    stage="stack",
    timeout_s=ENGINE_S,
    answer=digest,
)
IMAGE_PAIR = Check(
    id="image.pair",
    area="model",
    question="Are Open WebUI, its ChromaDB client and the ChromaDB server the tested set?",
    reads=("tags of the running images and the client's version inside", "packages of the running environments"),
    needs=("stack.health",),
    severity="fail",
    stage="stack",
    timeout_s=ENGINE_S,
    answer=pair,
)
CHECKS = (IMAGE_DIGEST, IMAGE_PAIR)
