import json
import struct

import pytest


def safetensors_bytes(data: bytes = bytes(64)) -> bytes:
    """A real safetensors file with one tensor."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode()
    return struct.pack("<Q", len(header)) + header + data


class Told:
    """A progress that remembers."""

    def __init__(self):
        self.steps, self.notes, self.advances = [], [], []
        self.stop_at = None

    def step(self, text):
        self.steps.append(text)

    def note(self, text):
        self.notes.append(text)

    def advance(self, what, done, total, unit="items"):
        self.advances.append((what, done, total, unit))
        if self.stop_at is not None and done >= self.stop_at:
            raise KeyboardInterrupt


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "home"
