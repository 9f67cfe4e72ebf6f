"""Where what is still missing comes from: would the registry, the hub, Ollama's registry give it to us now?

Asked only for what is not here yet, with the smallest request there is, once each.
"""

from __future__ import annotations

from functools import partial

from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed
from orchestrator.doctor.checks.docker import images_of
from orchestrator.doctor.checks.docker_wanted import with_docker
from orchestrator.doctor.context import Context
from orchestrator.engines.registry import HUB, RegistryAnswer, ask_registry, reference_of
from orchestrator.errors import OrchestratorError
from orchestrator.facts.deadline import read_together
from orchestrator.models.hub_listing import endpoint
from orchestrator.models.hub_refusal import refusal
from orchestrator.plan.records import WeightsSource

ANSWER_S = 3.0
TOGETHER_S = 7.0
"""A manifest takes up to three requests: refusal, token, answer."""
OLLAMA_REGISTRY = "registry.ollama.ai"
OFFLINE = "not asked: --offline"


def images(context: Context) -> Answer:
    wanted = images_of(context.planned).values()
    missing = [image for image in wanted if image.removeprefix("docker.io/") not in context.facts.docker.images]
    if not missing:
        return not_applicable("every image is already here")
    if context.offline:
        return not_applicable(OFFLINE)
    answers = read_together({image: partial(_registry, image, context) for image in missing}, TOGETHER_S)
    late = RegistryAnswer(status=None, said=f"no answer within {TOGETHER_S:g} s")
    said = {image: found if isinstance(found := answers.get(image), RegistryAnswer) else late for image in missing}
    wrong = {image: answer for image, answer in said.items() if answer.status != 200}
    if not wrong:
        return passed("; ".join(f"{image}: {answer.said}" for image, answer in said.items()))
    image, answer = next(iter(wrong.items()))
    evidence = "; ".join(f"{name}: {one.said}" for name, one in wrong.items())
    return _refused_image(image, answer, evidence)


def _registry(image: str, context: Context) -> RegistryAnswer:
    """Mirrors that the engine is set to first, as it asks them: for Docker Hub only, and the hub where none has it."""
    if reference_of(image).host == HUB:
        for mirror in context.facts.docker.mirrors:
            answer = ask_registry(image, ANSWER_S, mirror=mirror)
            if answer.status == 200:
                return answer
    return ask_registry(image, ANSWER_S)


def _refused_image(image: str, answer: RegistryAnswer, evidence: str) -> Answer:
    host = reference_of(image).host
    login = "docker login" if host == HUB else f"docker login {host}"
    match answer.status:
        case None:
            return bad(
                evidence,
                f"{host} cannot be reached from here, and {image} is not on this machine",
                "check the network and HTTPS_PROXY; or bring the image along from another machine:",
                f"docker save {image} -o image.tar",
                "docker load -i image.tar",
            )
        case 401 | 403:
            return bad(
                evidence, f"{host} does not let this user read {image}", "log in with an account that may:", login
            )
        case 404:
            return bad(
                evidence,
                f"{host} has no {image}: the tag was removed or never was, or only some accounts may see it",
                "log in if it is private; else report the pin, and bring the image along or run without containers:",
                login,
            )
        case 429:
            when = f" in {answer.retry_after} s" if answer.retry_after else ", in an hour at the latest"
            return bad(evidence, f"{host} asks to slow down (429)", f"log in for a higher limit, or wait{when}:", login)
        case _:
            return bad(evidence, f"{host} answered {answer.status}", "it has trouble of its own: run it again later")


def weights(context: Context) -> Answer:
    source = context.planned.weights.source
    if source.kind != "hub":
        return not_applicable(f"the weights come from elsewhere ({source.kind})")
    if _here(context, source):
        return not_applicable("the weights are already here")
    if context.offline:
        return not_applicable(OFFLINE)
    name = source.filename or "config.json"
    try:
        size, commit = _head(source, name)
    except OrchestratorError as error:
        return bad(
            f"{endpoint()}/{source.reference}/{name}: {error.code}",
            error.message,
            error.remedy or "run it again later",
        )
    of = f", {size} bytes" if size else ""
    return passed(f"{endpoint()} has {source.reference}/{name}{of} at {(commit or 'an unnamed commit')[:12]}")


def _head(source: WeightsSource, name: str) -> tuple[int | None, str | None]:
    """Through huggingface_hub, as the fetch itself asks: same token, same proxies, same refusals."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(source.reference, name, revision=source.revision, endpoint=endpoint())
    try:
        found = get_hf_file_metadata(url, token=None, timeout=ANSWER_S, library_name="orchestrator")
    except Exception as error:  # see hub_listing: the transport's types are huggingface_hub's affair
        raise refusal(error, source, endpoint()) from error
    return found.size, found.commit_hash


def ollama_model(context: Context) -> Answer:
    source = context.planned.weights.source
    if source.kind != "ollama":
        return not_applicable(f"the weights come from elsewhere ({source.kind})")
    if context.own_embedder_runs:
        return not_applicable("this stack's own Ollama runs and keeps its model")
    if context.offline:
        return not_applicable(OFFLINE)
    name, _, tag = source.reference.partition(":")
    image = f"{OLLAMA_REGISTRY}/{name if '/' in name else f'library/{name}'}:{tag or 'latest'}"
    answer = ask_registry(image, ANSWER_S)
    if answer.status == 200:
        return passed(f"{answer.said} for {source.reference}")
    if answer.status == 404:
        return bad(
            answer.said,
            f"Ollama's registry has no {source.reference}",
            "see which tags there are at https://ollama.com/library, or give a GGUF file:",
            context.up_with("--replan", "--model PATH"),
        )
    return bad(
        answer.said,
        f"{OLLAMA_REGISTRY} {'cannot be reached' if answer.status is None else 'refuses'} now",
        "check the network and HTTPS_PROXY and run it again later; or give a GGUF file that is here:",
        context.up_with("--replan", "--model PATH"),
    )


def _here(context: Context, source: WeightsSource) -> bool:
    return any(model.key == source.key for model in context.facts.cached)


REGISTRY = Check(
    id="net.registry",
    area="network",
    question="Would the registries give the pinned images that are still missing?",
    reads=("HEAD of each missing image's manifest, with docker's own login",),
    needs=("docker.daemon",),
    severity="fail",
    stage="plan",
    timeout_s=8.0,
    answer=with_docker(images),
)
HUB_WEIGHTS = Check(
    id="net.hf",
    area="network",
    question="Would the model hub give the weights that are still missing?",
    reads=("HEAD of a file of the pinned revision, with HF_TOKEN or the kept token",),
    severity="fail",
    stage="plan",
    timeout_s=8.0,
    answer=weights,
)
OLLAMA_MODEL = Check(
    id="net.ollama",
    area="network",
    question="Would Ollama's registry give the model?",
    reads=("HEAD of the model's manifest",),
    severity="fail",
    stage="plan",
    timeout_s=8.0,
    answer=ollama_model,
)
CHECKS = (REGISTRY, HUB_WEIGHTS, OLLAMA_MODEL)
