from orchestrator.facts.driver_files import driver_versions, nvidia_cards, restart_note


def put(root, name, text=""):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_no_driver_no_card_no_restart(tmp_path):
    versions = driver_versions(tmp_path)
    assert (versions.loaded, versions.installed) == (None, ())
    assert nvidia_cards(tmp_path) == ()
    assert not restart_note(tmp_path).pending


def test_loaded_and_installed(tmp_path):
    put(
        tmp_path,
        "proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\nGCC 12\n",
    )
    real = put(tmp_path, "usr/lib/x86_64-linux-gnu/nvidia/current/libnvidia-ml.so.550.163.01")
    link = tmp_path / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
    link.symlink_to(real)
    versions = driver_versions(tmp_path)
    assert versions.loaded == "535.183.01"
    assert versions.installed == ("550.163.01",)


def test_the_modules_own_file_where_proc_has_none(tmp_path):
    put(tmp_path, "sys/module/nvidia/version", "580.95.05\n")
    assert driver_versions(tmp_path).loaded == "580.95.05"


def test_a_library_without_a_version_in_its_name(tmp_path):
    """WSL's: there is no module to compare it with."""
    put(tmp_path, "usr/lib64/libnvidia-ml.so.1")
    assert driver_versions(tmp_path).installed == ()


def test_restart_note(tmp_path):
    put(tmp_path, "run/reboot-required", "*** System restart required ***\n")
    assert restart_note(tmp_path).packages == ()
    put(tmp_path, "run/reboot-required.pkgs", "linux-base\nnvidia-dkms-580\nlinux-base\n")
    assert restart_note(tmp_path).packages == ("linux-base", "nvidia-dkms-580")


def test_cards_on_the_bus(tmp_path):
    devices = "sys/bus/pci/devices"
    for address, vendor, kind in (
        ("0000:01:00.0", "0x10de", "0x030000"),
        ("0000:01:00.1", "0x10de", "0x040300"),
        ("0000:02:00.0", "0x10de", "0x030200"),
        ("0000:03:00.0", "0x1002", "0x030000"),
    ):
        put(tmp_path, f"{devices}/{address}/vendor", vendor + "\n")
        put(tmp_path, f"{devices}/{address}/class", kind + "\n")
    assert nvidia_cards(tmp_path) == ("0000:01:00.0", "0000:02:00.0")
