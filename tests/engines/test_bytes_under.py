from __future__ import annotations

import shutil
import threading
from pathlib import Path

from orchestrator.engines.pip import bytes_under


def test_it_counts_only_the_names_that_count(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/a.whl").write_bytes(b"12345")
    (tmp_path / "pip.log").write_bytes(b"123")
    assert bytes_under(tmp_path, lambda name: name.endswith(".whl")) == 5
    assert bytes_under(tmp_path / "absent", lambda _name: True) == 0


def test_folders_that_vanish_while_it_looks_do_not_end_it(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"1")
    over = threading.Event()

    def churn() -> None:
        while not over.is_set():
            folder = tmp_path / "pip-unpack" / "inner"
            folder.mkdir(parents=True)
            (folder / "file").write_bytes(b"")
            shutil.rmtree(tmp_path / "pip-unpack")

    worker = threading.Thread(target=churn)
    worker.start()
    try:
        assert {bytes_under(tmp_path, lambda _name: True) for _ in range(2000)} == {1}
    finally:
        over.set()
        worker.join()
