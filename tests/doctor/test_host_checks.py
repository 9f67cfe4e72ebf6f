"""Broken hosts, made for real where a test can: exactly the right check changes colour."""

import os
import resource
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import msgspec
import pytest

from orchestrator.doctor.checks import disk, host
from orchestrator.facts.clock import Synchronised
from orchestrator.facts.driver_files import driver_versions, restart_note
from orchestrator.facts.filesystem import mount_of, selinux_mode, selinux_type
from orchestrator.facts.host import processor_flags
from orchestrator.facts.records import Reach, SourceFacts
from orchestrator.plan.records import Weights, WeightsSource
from tests.doctor.broken import changed, findings, verdicts
from tests.doctor.conftest import facts_of
from tests.plans import GIB, plan_of

ROOT = os.geteuid() == 0


def host_with(**changes):
    facts = facts_of()
    return msgspec.structs.replace(facts, host=msgspec.structs.replace(facts.host, **changes))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_every_record_is_whole():
    for check in (*host.CHECKS, *disk.CHECKS):
        assert check.question.endswith("?")
        assert check.reads
        assert check.area == "host"


def test_a_healthy_host_warns_of_nothing(context):
    for plan in (plan_of(), plan_of(engine="native"), plan_of(gpu=True), None):
        found = findings(context(plan=plan), (*host.CHECKS, *disk.CHECKS))
        assert not {name for name, one in found.items() if one.verdict not in ("pass", "skip")}, found
        assert all(one.evidence or one.reason for one in found.values())


# The system


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"system": "Darwin", "kernel": "24.1.0"}, "Darwin"),
        ({"wsl": True, "kernel": "4.4.0-19041-Microsoft"}, "WSL 1"),
        ({"architecture": "riscv64"}, "riscv64"),
    ],
)
def test_a_system_that_is_not_supported(context, changes, word):
    broken = context(facts=host_with(**changes))
    got = changed(context(), broken)
    # Another architecture has no AVX2 to ask for.
    assert got in ({"host.os": "fail"}, {"host.os": "fail", "host.cpu": "skip"})
    finding = findings(broken, host.CHECKS)["host.os"]
    assert word in finding.reason
    assert finding.remedy.text


def test_wsl_2_is_supported(context):
    facts = host_with(wsl=True, kernel="5.15.167.4-microsoft-standard-WSL2")
    assert findings(context(facts=facts), host.CHECKS)["host.os"].verdict == "pass"


def test_a_processor_without_avx2(context, monkeypatch, tmp_path):
    before = verdicts(context())
    write(tmp_path / "root/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vme sse sse2 ssse3 sse4_1\n")
    monkeypatch.setattr(host, "processor_flags", partial(processor_flags, root=tmp_path / "root"))
    assert changed(before, context()) == {"host.cpu": "fail"}
    assert findings(context(plan=plan_of("llamacpp")), host.CHECKS)["host.cpu"].verdict == "skip"


def test_a_c_library_that_is_no_glibc(context, monkeypatch):
    native = context(plan=plan_of(engine="native"))
    before = verdicts(native)

    def refuses(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(host.os, "confstr", refuses)
    assert changed(before, native) == {"host.libc": "fail"}


@pytest.mark.parametrize(("said", "verdict"), [("glibc 2.36", "pass"), ("glibc 2.31", "pass"), ("glibc 2.28", "bad")])
def test_the_version_of_glibc(said, verdict):
    assert host.c_library_answer(said).verdict == verdict


def test_a_library_that_is_missing(context, monkeypatch):
    native = context(plan=plan_of(engine="native"))
    before = verdicts(native)
    monkeypatch.setattr(host, "NUMA", "libnuma-that-is-not-here.so.1")
    monkeypatch.setattr(host, "PACKAGES", {"libnuma-that-is-not-here.so.1": "libnuma1"})
    if before["host.libraries"] == "fail":
        pytest.skip("this machine has no libnuma at all")
    assert changed(before, native) == {"host.libraries": "fail"}
    finding = findings(native, host.CHECKS)["host.libraries"]
    assert "libnuma-that-is-not-here.so.1: cannot open shared object file" in finding.evidence
    assert finding.remedy.commands == ("sudo apt-get install libnuma1",)


@pytest.mark.parametrize("plan", [plan_of(), plan_of("llamacpp", engine="native"), plan_of(gpu=True, engine="native")])
def test_a_library_that_nothing_planned_needs_is_not_missed(context, monkeypatch, plan):
    monkeypatch.setattr(host, "NUMA", "libnuma-that-is-not-here.so.1")
    assert findings(context(plan=plan), host.CHECKS)["host.libraries"].verdict in ("pass", "skip")


def test_few_files_at_once(context):
    """A real limit, of this process, for as long as it is asked."""
    native = context(plan=plan_of(engine="native"))
    before = verdicts(native, host.CHECKS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        assert changed(before, native, host.CHECKS) == {"host.files": "warn"}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Memory: in a real cgroup with a real limit

IN_A_CGROUP = """
import os, sys
from pathlib import Path
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
held = b"x" * int(sys.argv[2])
import msgspec
from orchestrator.doctor.checks import host
from orchestrator.doctor.context import Context
from orchestrator.doctor.runner import run_checks
from orchestrator.facts.host import read_host
from orchestrator.plan.spec import Spec
from tests.doctor.conftest import facts_of
context = Context(spec=Spec(), facts=facts_of(host=read_host()))
for finding in run_checks((host.CGROUP, host.RAM), context):
    print(finding.id, finding.verdict)
"""


@pytest.fixture
def cgroup():
    """`cgroup(limit)` → a real memory cgroup, v1 or v2."""
    made = []

    def make(limit):
        base = Path("/sys/fs/cgroup/memory")
        base, file = (base, "memory.limit_in_bytes") if base.is_dir() else (Path("/sys/fs/cgroup"), "memory.max")
        folder = base / f"orchestrator-test-{os.getpid()}"
        try:
            folder.mkdir()
            made.append(folder)
            (folder / file).write_text(str(limit))
        except OSError as error:
            pytest.skip(f"no memory cgroup can be made here: {error}")
        return folder

    yield make
    for folder in made:
        folder.rmdir()


@pytest.mark.parametrize(
    ("limit", "held", "expected"),
    [
        (1 * GIB, 0, ["host.cgroup fail", "host.ram skip"]),
        (5 * GIB // 2, 3 * GIB // 4, ["host.cgroup pass", "host.ram warn"]),
        (6 * GIB, 0, ["host.cgroup pass", "host.ram pass"]),
    ],
)
def test_the_limit_and_what_is_taken_of_it(cgroup, limit, held, expected):
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CGROUP, str(cgroup(limit)), str(held)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.splitlines() == expected, done.stderr


# The clock


@pytest.fixture
def unkept(monkeypatch):
    """A kernel that nobody keeps the clock of, as in most small virtual machines."""
    monkeypatch.setattr(host, "kernel_clock", lambda: Synchronised(yes=False, reason="adjtimex: TIME_ERROR"))


def sources(**changes):
    yes = Reach(reachable=True)
    return facts_of(sources=SourceFacts(**({"hub": yes, "ollama": yes, "pypi": yes, "registry": yes} | changes)))


def ahead(seconds):
    return Reach(reachable=True, reason="hub answered 200", clock_ahead_s=seconds)


@pytest.mark.parametrize("seconds", [90.0, -4000.0])
def test_a_wrong_clock(context, unkept, seconds):
    assert changed(context(facts=sources(hub=ahead(0.4))), context(facts=sources(hub=ahead(seconds)))) == {
        "host.clock": "warn"
    }


def test_a_clock_so_wrong_that_no_certificate_holds(context, unkept):
    refused = Reach(
        reachable=False, reason="hub: [SSL] certificate verify failed: certificate is not yet valid (_ssl.c:1006)"
    )
    assert findings(context(facts=sources(hub=refused)), host.CHECKS)["host.clock"].verdict == "warn"


def test_one_server_with_a_wrong_clock_is_not_ours(context, unkept):
    facts = sources(hub=ahead(-7200.0), registry=ahead(1.0))
    assert findings(context(facts=facts), host.CHECKS)["host.clock"].verdict == "pass"


def test_an_unkept_clock_with_nobody_to_compare_is_no_warning(context, unkept):
    finding = findings(context(), host.CHECKS)["host.clock"]
    assert finding.verdict == "skip"
    assert "nobody to compare" in finding.reason


def test_a_kept_clock_needs_nobody(context, monkeypatch):
    monkeypatch.setattr(host, "kernel_clock", lambda: Synchronised(yes=True, reason="kept"))
    assert findings(context(facts=sources(hub=ahead(90.0))), host.CHECKS)["host.clock"].verdict == "pass"


# Disks: real mounts


def hub_plan():
    source = WeightsSource(kind="hub", reference="m/e")
    return plan_of(weights=Weights(format="safetensors", dtype="float32", bytes=40 * 2**20, source=source))


def test_a_full_disk(context, mounted, monkeypatch, tmp_path):
    """A loop mount of 64 MiB that holds the weights when empty, and is filled to the last block."""
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 * 2**20)
    if not shutil.which("mkfs.ext4"):
        pytest.skip("no mkfs.ext4")
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    folder = mounted("-o", "loop", str(image))
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(folder))
    looked = context(plan=hub_plan())
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(folder))
    before = verdicts(looked)
    assert before["host.disk.models"] == "pass"
    with pytest.raises(OSError, match="No space"), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**20))
    assert changed(before, looked) == {"host.disk.models": "fail"}


@pytest.fixture
def home_on(context, mounted, monkeypatch):
    """A context whose home is a folder on such a mount."""

    def make(*words, plan=None):
        made = context(plan=plan or plan_of())
        folder = mounted(*words)
        monkeypatch.setenv("ORCHESTRATOR_HOME", str(folder))
        return made, folder

    return make


def test_no_inode_left(home_on):
    looked, folder = home_on("-t", "tmpfs", "-o", "nr_inodes=40,size=1g", "none")
    before = verdicts(looked)
    with pytest.raises(OSError, match="No space"):
        for number in range(50):
            (folder / str(number)).touch()
    assert changed(before, looked) == {"host.disk.inodes": "fail", "host.cache.write": "skip"}
    assert "0 of 40" in findings(looked, disk.CHECKS)["host.disk.inodes"].evidence


def test_few_inodes_left(home_on):
    looked, folder = home_on("-t", "tmpfs", "-o", "nr_inodes=400,size=1g", "none")
    before = verdicts(looked)
    for number in range(390):
        (folder / str(number)).touch()
    assert changed(before, looked) == {"host.disk.inodes": "warn"}


def test_too_few_inodes_for_what_is_to_be_installed(home_on):
    looked, _ = home_on("-t", "tmpfs", "-o", "nr_inodes=20000,size=64g", "none", plan=plan_of(engine="native"))
    assert findings(looked, disk.CHECKS)["host.disk.inodes"].verdict == "fail"


def test_a_read_only_cache(home_on):
    looked, folder = home_on("-t", "tmpfs", "none")
    before = verdicts(looked)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    assert changed(before, looked) == {"host.cache.write": "fail"}
    finding = findings(looked, disk.CHECKS)["host.cache.write"]
    assert "Read-only" in finding.reason
    assert "ORCHESTRATOR_HOME" in finding.remedy.text


def test_a_cache_that_forbids_programs(home_on):
    looked, folder = home_on("-t", "tmpfs", "-o", "size=64g,nr_inodes=0", "none", plan=plan_of(engine="native"))
    before = verdicts(looked)
    subprocess.run(["mount", "-o", "remount,noexec", str(folder)], check=True)
    assert changed(before, looked) == {"host.cache.exec": "fail"}
    assert findings(context_with(looked, plan_of()), disk.CHECKS)["host.cache.exec"].verdict == "skip"


def context_with(made, plan):
    return msgspec.structs.replace(made, plan=plan)


def test_a_cache_on_an_overlay(context, mounted, monkeypatch, tmp_path):
    """A live system's root: real. Inside a container it is usual, and no warning."""
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    looked = context(facts=host_with(container=None))
    before = verdicts(looked)
    if before["host.cache.fs"] != "pass":
        pytest.skip("the tests themselves lie on such a layer")
    layers = ",".join(f"{name}dir={tmp_path / name}" for name in ("lower", "upper", "work"))
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(mounted("-t", "overlay", "-o", layers, "overlay")))
    assert changed(before, looked) == {"host.cache.fs": "warn"}
    inside = msgspec.structs.replace(looked, facts=host_with(container="docker"))
    assert findings(inside, disk.CHECKS)["host.cache.fs"].verdict == "pass"


MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 0:39 / {point} rw,relatime shared:20 master:3 - {kind} {source} rw,vers=4.2
"""


@pytest.mark.parametrize(
    ("kind", "source"), [("nfs4", "server:/export"), ("9p", "C:\\134"), ("fuse.sshfs", "me@there:"), ("cifs", "//s/x")]
)
def test_a_cache_on_another_machine(context, monkeypatch, tmp_path, kind, source):
    """Recorded: the kernel's list of mounts as it looks with such a one."""
    before = verdicts(context())
    point = str(tmp_path).replace(" ", "\\040")
    recorded = write(tmp_path / "mountinfo", MOUNTINFO.format(point=point, kind=kind, source=source))
    monkeypatch.setattr(disk, "mount_of", partial(mount_of, mounts=recorded))
    assert changed(before, context()) == {"host.cache.fs": "warn"}


# Who may write

AS_NOBODY = """
import os
from tests.doctor.broken import verdicts
from tests.doctor.conftest import facts_of
from orchestrator.doctor.checks import disk
from orchestrator.doctor.context import Context
from orchestrator.plan.spec import Spec
for folder in os.environ["FOLDERS"].split(":"):
    os.environ["ORCHESTRATOR_HOME"] = folder
    bad = {name: verdict for name, verdict in verdicts(Context(spec=Spec(), facts=facts_of()), disk.CHECKS).items()}
    print(*(f"{name}={verdict}" for name, verdict in bad.items() if verdict not in ("pass", "skip")))
"""


@pytest.mark.skipif(not ROOT or not shutil.which("setpriv"), reason="needs root to become somebody else")
def test_a_cache_of_another_owner(tmp_path_factory):
    """As uid 65534: its own folder, a folder of root's, and its own with models that root made (a container's work)."""
    base = Path("/var/tmp") / f"orchestrator-owner-{os.getpid()}"
    own, others, mixed = base / "own", base / "others", base / "mixed"
    try:
        for folder in (own, others, mixed, mixed / "models"):
            folder.mkdir(parents=True)
        for folder in (own, mixed):
            os.chown(folder, 65534, 65534)
        done = subprocess.run(
            ["setpriv", "--reuid", "65534", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all",
             sys.executable, "-c", AS_NOBODY],
            env={**os.environ, "FOLDERS": f"{own}:{others}:{mixed}", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        )  # fmt: skip
    finally:
        shutil.rmtree(base)
    assert done.stdout.splitlines() == ["", "host.cache.write=fail", "host.cache.write=fail"], done.stderr


# SELinux: labels are real, the mode and the engine's word are recorded


@pytest.fixture
def confining(monkeypatch, tmp_path):
    write(tmp_path / "root/sys/fs/selinux/enforce", "1")
    monkeypatch.setattr(host, "selinux_mode", partial(selinux_mode, root=tmp_path / "root"))
    monkeypatch.setattr(host, "_security_options", lambda: "[name=seccomp,profile=default name=selinux]")


@pytest.mark.skipif(not ROOT, reason="needs root to set a label")
def test_selinux_without_the_label_and_with_it(context, tmp_path, request):
    label = "security.selinux"
    try:
        os.setxattr(tmp_path, label, b"system_u:object_r:container_file_t:s0\0")
    except OSError:
        pytest.skip("this file system keeps no labels")
    assert selinux_type(tmp_path) == "container_file_t"
    looked = context()
    before = verdicts(looked)
    request.getfixturevalue("confining")
    assert changed(before, looked) == {}
    os.setxattr(tmp_path, label, b"unconfined_u:object_r:user_home_t:s0\0")
    assert changed(before, looked) == {"host.selinux": "warn"}
    commands = findings(looked, host.CHECKS)["host.selinux"].remedy.commands
    assert any("semanage fcontext" in command and str(tmp_path) in command for command in commands)


def test_selinux_does_not_matter_to_an_engine_that_does_not_use_it(context, confining, monkeypatch):
    monkeypatch.setattr(host, "_security_options", lambda: "[name=seccomp,profile=default]")
    assert findings(context(), host.CHECKS)["host.selinux"].verdict == "pass"


# A restart that is due


@pytest.fixture
def driver(monkeypatch, tmp_path):
    """`driver(loaded, installed)` as files below a root of its own."""
    root = tmp_path / "driver"

    def install(loaded, installed, packages=()):
        write(
            root / "proc/driver/nvidia/version",
            f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {loaded}  Release Build\nGCC version: 12\n",
        )
        real = write(root / f"usr/lib/x86_64-linux-gnu/libnvidia-ml.so.{installed}", "")
        link = real.with_name("libnvidia-ml.so.1")
        link.unlink(missing_ok=True)
        link.symlink_to(real.name)
        if packages:
            write(root / "run/reboot-required", "*** System restart required ***\n")
            write(root / "run/reboot-required.pkgs", "\n".join(packages) + "\n")
        monkeypatch.setattr(host, "driver_versions", partial(driver_versions, root=root))
        monkeypatch.setattr(host, "restart_note", partial(restart_note, root=root))

    return install


def test_a_driver_that_was_updated_under_the_kernel(context, driver):
    driver("580.65.06", "580.65.06")
    looked = context(plan=plan_of(gpu=True, engine="native"), facts=host_with(container=None))
    before = verdicts(looked)
    driver("580.65.06", "580.95.05", packages=("nvidia-dkms-580",))
    got = changed(before, looked)
    assert got.pop("host.reboot") == "fail"
    assert set(got.values()) <= {"skip"}
    finding = findings(looked, host.CHECKS)["host.reboot"]
    assert "580.65.06" in finding.evidence
    assert "580.95.05" in finding.evidence
    assert finding.remedy.commands == ("sudo reboot",)
    inside = findings(context(facts=host_with(container="docker")), host.CHECKS)["host.reboot"]
    assert inside.verdict == "warn"  # a CPU plan
    assert "restart the host" in inside.remedy.text


def test_a_restart_that_is_due_for_another_reason_is_told_only(context, driver):
    driver("580.65.06", "580.65.06", packages=("linux-image-6.8.0-60-generic", "libc6"))
    finding = findings(context(plan=plan_of(gpu=True)), host.CHECKS)["host.reboot"]
    assert finding.verdict == "pass"
    assert "libc6" in finding.evidence
