from orchestrator.facts.cdi import read_cdi
from orchestrator.facts.container_toolkit import read_cgroup_settings, read_toolkit
from tests.standins.programs import StandInProgram

JSON = """{"cdiVersion": "0.6.0", "kind": "nvidia.com/gpu", "devices": [{"name": "GPU-abc", "containerEdits":
{"mounts": [{"hostPath": "/usr/lib/libnvidia-ml.so.570.133.20", "containerPath": "/x"}]}}],
"containerEdits": {"mounts": [{"hostPath": "/usr/bin/nvidia-smi", "containerPath": "/usr/bin/nvidia-smi"}]}}"""


def put(root, name, text=""):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_none(tmp_path):
    assert read_cdi(tmp_path) == ()


def test_json_with_mounts_of_a_device_and_of_all(tmp_path):
    put(tmp_path, "etc/cdi/nvidia.json", JSON)
    put(tmp_path, "usr/bin/nvidia-smi")
    (found,) = read_cdi(tmp_path)
    assert found.devices == ("GPU-abc",)
    assert found.driver_versions == ("570.133.20",)
    assert found.missing == ("/usr/lib/libnvidia-ml.so.570.133.20",)


def test_a_damaged_file_is_told_where_it_is_ours(tmp_path):
    put(tmp_path, "etc/cdi/nvidia.yaml", "kind: [")
    put(tmp_path, "etc/cdi/other.yaml", "kind: [")
    (found,) = read_cdi(tmp_path)
    assert found.error
    assert found.path.endswith("nvidia.yaml")


def test_strange_content_is_no_specification(tmp_path):
    put(tmp_path, "etc/cdi/a.yaml", "- 1\n")
    put(tmp_path, "etc/cdi/b.yaml", "kind: nvidia.com/gpu\ndevices: [3]\n")
    (found,) = read_cdi(tmp_path)
    assert found.devices == ()


def test_the_toolkit_and_its_version(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_toolkit().path is None
    StandInProgram(tmp_path, "nvidia-container-runtime-hook", {})
    assert read_toolkit().hook
    StandInProgram(tmp_path, "nvidia-ctk", {"--version": (0, "NVIDIA Container Toolkit CLI version 1.17.8\n", "")})
    assert read_toolkit().version == "1.17.8"
    StandInProgram(tmp_path, "nvidia-ctk", {})
    assert read_toolkit().version is None


def test_cgroup_settings(tmp_path):
    assert read_cgroup_settings(tmp_path).no_cgroups is False
    put(tmp_path, "etc/nvidia-container-runtime/config.toml", "[nvidia-container-cli]\n#no-cgroups = false\n")
    assert read_cgroup_settings(tmp_path).no_cgroups is False
    put(tmp_path, "etc/nvidia-container-runtime/config.toml", "[nvidia-container-cli]\nno-cgroups = true\n")
    for name in ("195:0", "195:255", "1:3"):
        put(tmp_path, f"dev/char/{name}")
    found = read_cgroup_settings(tmp_path)
    assert (found.no_cgroups, found.device_links) == (True, 2)
