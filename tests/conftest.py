from pathlib import Path

import pytest

from tests.standins.nvml.build import build


@pytest.fixture(scope="session")
def standin_nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stand-in libnvidia-ml.so.1: it tests our reading of NVML, never a GPU's behaviour."""
    return build(tmp_path_factory.mktemp("standin-nvml"))
