"""The way of a card into a container: toolkit, CDI, the engine's runtime, and a container that really asks for it.

Asked only where Compose is to run a plan with a GPU.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable

from orchestrator.catalog.pins import load_pins
from orchestrator.doctor.causes import match_cause
from orchestrator.doctor.check import Answer, Check, Fix, bad, not_applicable, passed, warned
from orchestrator.doctor.checks.docker import images_of
from orchestrator.doctor.checks.docker_wanted import with_docker
from orchestrator.doctor.context import Context
from orchestrator.facts.cdi import CdiSpecification, read_cdi
from orchestrator.facts.container_toolkit import CgroupSettings, read_cgroup_settings, read_toolkit
from orchestrator.plan.records import Plan

INSTALL_PAGE = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"
DAEMON_RELOAD = "https://github.com/NVIDIA/nvidia-container-toolkit/issues/48"
CONFIGURE = ("sudo nvidia-ctk runtime configure --runtime=docker", "sudo systemctl restart docker")
GENERATE = ("sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml", "nvidia-ctk cdi list")
CREATE_LINKS = "sudo nvidia-ctk system create-dev-char-symlinks --create-all"
SMOKE_S = 20.0
"""A container starts within 1 s here; a card whose driver nothing keeps loaded takes up to 10 s more to answer."""
ANSWER_S = 5.0
RESTART_S = 30
NOT_FOUND = "executable file not found"


class _Ran:
    """What a docker command said; `code` is None where it did not end in time."""

    def __init__(self, code: int | None, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def last_line(self) -> str:
        lines = [line for line in (self.err or self.out).splitlines() if line and not line.startswith("Run 'docker")]
        return lines[-1] if lines else f"exit code {self.code}"


def of_gpu_plan(answer: Callable[[Context], Answer]) -> Callable[[Context], Answer]:
    def asked(context: Context) -> Answer:
        if context.planned.device.kind != "gpu":
            return not_applicable("the plan uses no GPU")
        return answer(context)

    return with_docker(asked)


@of_gpu_plan
def installed(context: Context) -> Answer:
    docker, toolkit = context.facts.docker, read_toolkit()
    if toolkit.path is not None:
        return passed(f"{toolkit.path}, version {toolkit.version or 'not told'}")
    if docker.flavour == "docker-desktop":
        return passed("Docker Desktop brings its own")
    if docker.gpu:
        return warned(
            "no nvidia-ctk on the PATH; the engine has a way to hand over a GPU",
            "the toolkit's program is missing: after a driver update the engine's list of cards cannot be renewed",
            f"install NVIDIA's container toolkit from its package repository: {INSTALL_PAGE}",
        )
    return bad(
        "no nvidia-ctk on the PATH",
        "NVIDIA's container toolkit is not installed: Docker cannot hand a GPU to a container",
        f"install it from NVIDIA's package repository ({INSTALL_PAGE}), or run without containers:",
        context.up_with("--engine native"),
    )


@of_gpu_plan
def runtime(context: Context) -> Answer:
    docker = context.facts.docker
    cards = [device for device in docker.cdi_devices if device.startswith("nvidia.com/gpu")]
    evidence = f"runtimes: {', '.join(docker.runtimes) or 'none told'}; CDI devices: {', '.join(cards) or 'none'}"
    if docker.gpu:
        return passed(evidence)
    return bad(
        evidence,
        "Docker has no way to hand a GPU to a container: neither the runtime `nvidia`, nor CDI devices, nor the "
        "toolkit's hook",
        "tell Docker about the toolkit:",
        *CONFIGURE,
    )


@of_gpu_plan
def cdi(context: Context) -> Answer:
    docker = context.facts.docker
    other_way = "nvidia" in docker.runtimes or read_toolkit().hook
    return cdi_answer(read_cdi(), driver=context.facts.gpu.driver, other_way=other_way)


def cdi_answer(specifications: tuple[CdiSpecification, ...], *, driver: str | None, other_way: bool) -> Answer:
    """With another way to the card (the runtime, the hook), a list that is wrong is worth a word only."""
    verdict = warned if other_way else bad
    if not specifications:
        if other_way:
            return passed("no CDI specification; Docker uses the runtime `nvidia` or the toolkit's hook")
        return bad(
            "no CDI specification", "nothing lists the cards that containers may have", "make the list:", *GENERATE
        )
    evidence = "; ".join(
        f"{one.path}: {', '.join(one.devices) or 'no devices'}, driver {', '.join(one.driver_versions) or 'not named'}"
        for one in specifications
    )
    for one in specifications:
        if one.error:
            return verdict(
                f"{one.path}: {one.error}", f"{one.path} cannot be read: {one.error}", "make it anew:", *GENERATE
            )
        if driver and one.driver_versions and driver not in one.driver_versions:
            return verdict(
                f"{evidence}; loaded: {driver}",
                f"{one.path} was made for driver {', '.join(one.driver_versions)}, and {driver} is loaded: containers "
                "are given files that are gone",
                "make it anew (with toolkit 1.18 and later, the service nvidia-cdi-refresh does it):",
                *GENERATE,
            )
        if one.missing:
            return verdict(
                f"{one.path} mounts {', '.join(one.missing[:3])}, which is not there",
                f"{one.path} names {len(one.missing)} files that are not there: a container with a GPU will not start",
                "make it anew:",
                *GENERATE,
            )
    return passed(evidence)


@of_gpu_plan
def smoke(context: Context) -> Answer:
    """The planned request, with the planned image, and a name of its own, so that nothing is left whatever happens."""
    image = server_image(context.planned)
    if _docker("image", "inspect", image, within_s=ANSWER_S).code != 0:
        return not_applicable(f"{image} is not on this machine yet; nothing is pulled for a check")
    uuid = context.planned.device.uuid or ""
    name = f"orchestrator-smoke-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        ran = _docker(
            "run", "--rm", "--name", name, "--pull", "never", "--network", "none",
            "--gpus", f"driver=nvidia,device={uuid}", "--env", "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
            "--entrypoint", "nvidia-smi", image, "-L", within_s=SMOKE_S,
        )  # fmt: skip
    finally:
        _docker("rm", "--force", "--volumes", name, within_s=ANSWER_S)
    return smoke_answer(ran, image, uuid)


def smoke_answer(ran: _Ran, image: str, uuid: str) -> Answer:
    if ran.code == 0 and uuid in ran.out:
        return passed(f"in {image}: {ran.out.strip()}")
    if ran.code == 0:
        return bad(
            f"in {image}: {ran.out.strip() or 'no card'}",
            f"the container was given another card than the planned one ({uuid})",
            "see what restricts or reorders the cards, then plan again:",
            "nvidia-smi -L",
            "docker info --format '{{json .Runtimes}} {{.DefaultRuntime}}'",
        )
    if ran.code is None:
        return bad(
            f"no answer within {SMOKE_S:g} s",
            "a container with the GPU did not answer in time: the driver or the engine hangs",
            "see the kernel's messages and the engine's:",
            "sudo dmesg | grep -i nvrm | tail",
            "journalctl -u docker -n 30 --no-pager",
        )
    if NOT_FOUND in ran.err:
        return bad(
            ran.last_line,
            "the container started without NVIDIA's programs: the request for a GPU was dropped on its way",
            "tell Docker about the toolkit again:",
            *CONFIGURE,
        )
    cause = match_cause(ran.err + ran.out)
    if cause is not None:
        return bad(ran.last_line, cause.cause, cause.remedy, *cause.commands)
    return bad(
        ran.last_line,
        f"a container with the GPU fails: {ran.last_line}",
        "see it for yourself:",
        f"docker run --rm --gpus device={uuid} --entrypoint nvidia-smi {image} -L",
    )


@of_gpu_plan
def cgroup(context: Context) -> Answer:
    driver = _docker("info", "--format", "{{.CgroupDriver}}", within_s=ANSWER_S)
    if driver.code != 0:
        return not_applicable("the engine does not tell its cgroup driver")
    docker = context.facts.docker
    return cgroup_answer(
        driver.out.strip(),
        read_cgroup_settings(),
        rootless=docker.rootless,
        cdi=any(device.startswith("nvidia.com/gpu") for device in docker.cdi_devices),
    )


def cgroup_answer(driver: str, settings: CgroupSettings, *, rootless: bool, cdi: bool) -> Answer:
    evidence = (
        f"cgroup driver {driver}, no-cgroups {str(settings.no_cgroups).lower()}, "
        f"{settings.device_links} links to NVIDIA's devices under /dev/char"
    )
    if settings.no_cgroups and not rootless and not cdi:
        return bad(
            evidence,
            "the toolkit is set to no-cgroups, which is meant for rootless engines: containers get the card "
            "without the right to use it",
            "set it back:",
            "sudo nvidia-ctk config --set nvidia-container-cli.no-cgroups=false --in-place",
        )
    if driver == "systemd" and not cdi and settings.device_links == 0:
        return bad(
            evidence,
            f"after `systemctl daemon-reload` running containers lose their GPU ({DAEMON_RELOAD}): systemd does not "
            "know of the devices that the toolkit gave them",
            "make the links by which systemd finds them, at each boot; or let Docker use CDI:",
            CREATE_LINKS,
            *GENERATE,
        )
    return passed(evidence)


@of_gpu_plan
def live(context: Context) -> Answer:
    container = _embedder(context)
    if container is None:
        return not_applicable("no container of the embedding server runs")
    return live_answer(_docker("exec", container, "nvidia-smi", "-L", within_s=ANSWER_S), container, context)


def live_answer(ran: _Ran, container: str, context: Context) -> Answer:
    uuid = context.planned.device.uuid or ""
    if ran.code == 0 and uuid in ran.out:
        return passed(f"in {container}: {ran.out.strip()}")
    if NOT_FOUND in ran.err + ran.out:
        return not_applicable(f"{container} has no nvidia-smi: whether it computes on the card, embed.ready tells")
    if ran.code is None:
        evidence, reason = f"no answer within {ANSWER_S:g} s", "the card does not answer inside the running container"
    elif ran.code == 0:
        evidence = f"in {container}: {ran.out.strip() or 'no card'}"
        reason = f"the running container has another card than the planned one ({uuid})"
    else:
        cause = match_cause(ran.err + ran.out)
        evidence = ran.last_line
        reason = cause.cause if cause else f"the running container cannot use its card: {ran.last_line}"
    return bad(evidence, reason, "start the container again: it gets the card anew", f"docker restart {container}")


def restart(context: Context) -> None:
    container = _embedder(context)
    if container is not None:
        _docker("restart", "--time", str(RESTART_S), container, within_s=2.0 * RESTART_S)


def server_image(plan: Plan) -> str:
    """The reference of the embedding server's image."""
    pins = load_pins().images
    others = {pins["chroma"].reference, pins["open-webui"].reference}
    return next(reference for reference in images_of(plan).values() if reference not in others)


def _embedder(context: Context) -> str | None:
    return next((one.container for one in context.running if one.role == "embeddings" and one.container), None)


def _docker(*words: str, within_s: float) -> _Ran:
    try:
        done = subprocess.run(
            ["docker", *words], capture_output=True, text=True, errors="replace", timeout=within_s, check=False
        )
    except subprocess.TimeoutExpired:
        return _Ran(None, "", "")
    except OSError as error:
        return _Ran(127, "", str(error))
    return _Ran(done.returncode, done.stdout, done.stderr)


INSTALLED = Check(
    id="ctk.installed",
    area="container-gpu",
    question="Is NVIDIA's container toolkit installed?",
    reads=("nvidia-ctk --version", "the engine's flavour"),
    needs=("docker.daemon",),
    severity="fail",
    stage="plan",
    answer=installed,
)
RUNTIME = Check(
    id="ctk.runtime",
    area="container-gpu",
    question="Does Docker have a way to hand a GPU to a container?",
    reads=("runtimes and CDI devices in the engine's /info", "nvidia-container-runtime-hook on the PATH"),
    needs=("ctk.installed", "docker.daemon"),
    severity="fail",
    stage="plan",
    answer=runtime,
)
CDI = Check(
    id="ctk.cdi",
    area="container-gpu",
    question="Does the list of cards for containers (CDI) fit the driver that is loaded?",
    reads=("/etc/cdi and /var/run/cdi", "NVML: driver version"),
    needs=("ctk.runtime",),
    severity="fail",
    stage="plan",
    answer=cdi,
)
SMOKE = Check(
    id="ctk.smoke",
    area="container-gpu",
    question="Does a container that asks for the planned card get it?",
    reads=("docker run with the planned image and card: nvidia-smi -L",),
    needs=("docker.daemon", "gpu.present", "ctk.runtime", "ctk.cdi"),
    severity="fail",
    stage="plan",
    timeout_s=SMOKE_S + 3 * ANSWER_S,
    answer=smoke,
)
CGROUP = Check(
    id="ctk.cgroup",
    area="container-gpu",
    question="Do running containers keep their GPU when systemd reloads?",
    reads=("docker info: cgroup driver", "no-cgroups in the toolkit's configuration", "links under /dev/char"),
    needs=("docker.daemon", "ctk.runtime"),
    severity="warn",
    stage="plan",
    timeout_s=2 * ANSWER_S,
    answer=cgroup,
)
LIVE = Check(
    id="ctk.live",
    area="container-gpu",
    question="Does the running embedding server's container still have its card?",
    reads=("docker exec: nvidia-smi -L",),
    needs=("docker.daemon", "stack.state"),
    severity="fail",
    stage="stack",
    timeout_s=2 * ANSWER_S,
    answer=live,
    fix=Fix(
        text="restart the container of the embedding server, which gives it its card anew (no document or vector is "
        "touched)",
        apply=restart,
    ),
)
CHECKS = (INSTALLED, RUNTIME, CDI, SMOKE, CGROUP, LIVE)
