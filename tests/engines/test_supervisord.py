from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.engines.supervisord import (
    SOCKET_PATH_BYTES,
    Supervisord,
    inherited,
    prepare_socket_folder,
    socket_of,
)
from orchestrator.errors import OrchestratorError


def test_a_short_path_holds_its_own_socket() -> None:
    assert socket_of(Path("/srv/stacks/a")) == Path("/srv/stacks/a/run/supervisor.sock")


@pytest.mark.parametrize("length", [60, 75, 76, 77, 78, 90, 300])
def test_the_socket_s_path_always_fits_with_supervisor_s_own_suffix(length: int) -> None:
    socket = socket_of(Path("/" + "x" * length))
    assert len(os.fsencode(socket)) + len(".4194304") <= SOCKET_PATH_BYTES


def test_two_long_paths_do_not_share_a_socket() -> None:
    assert socket_of(Path("/" + "x" * 200)) != socket_of(Path("/" + "y" * 200))


def test_nobody_answers_where_there_is_no_socket(tmp_path: Path) -> None:
    assert not Supervisord(tmp_path / "none.sock").answers()
    (tmp_path / "file.sock").write_text("")
    assert not Supervisord(tmp_path / "file.sock").answers()


def test_a_socket_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OrchestratorError, match="is a link"):
        prepare_socket_folder(tmp_path / "linked" / "s.sock")


def test_services_see_where_things_are_and_no_settings() -> None:
    kept = {"PATH": "/bin", "LC_ALL": "C", "https_proxy": "http://p", "CUDA_HOME": "/cuda", "LD_LIBRARY_PATH": "/l"}
    assert inherited({**kept, "DATABASE_URL": "x", "PYTHONPATH": "x", "OPENAI_API_KEY": "x", "VLLM_X": "x"}) == kept
