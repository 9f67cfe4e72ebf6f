from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.engines.logs import follow, last_lines


@pytest.mark.parametrize(
    ("count", "lines"), [(0, []), (2, ["c", "d"]), (4, ["a", "b", "c", "d"]), (9, ["a", "b", "c", "d"])]
)
def test_last_lines_also_out_of_the_rotated_file(tmp_path: Path, count: int, lines: list[str]) -> None:
    (tmp_path / "it.log.1").write_text("a\nb\n")
    (tmp_path / "it.log").write_text("c\nd\n")
    assert last_lines(tmp_path / "it.log", count) == lines


def test_last_lines_of_a_large_file_and_of_none(tmp_path: Path) -> None:
    large = tmp_path / "large.log"
    large.write_text("".join(f"line {number} {'x' * 100}\n" for number in range(20_000)))
    assert [line.split()[1] for line in last_lines(large, 3)] == ["19997", "19998", "19999"]
    assert len(last_lines(large, 5000)) == 5000
    assert last_lines(tmp_path / "absent.log", 3) == []


def test_follow_reads_on_across_a_rotation_and_keeps_half_lines(tmp_path: Path) -> None:
    log = tmp_path / "it.log"
    log.write_text("old\nseen\n")
    shown: list[str] = []
    steps = iter(
        (
            lambda: log.open("a").write("new\nhal"),
            lambda: log.open("a").write("f\n"),
            lambda: (log.rename(tmp_path / "it.log.1"), log.write_text("rotated\n")),
        )
    )
    left = [3]

    def goes_on() -> bool:
        left[0] -= 1
        return left[0] >= 0

    follow(
        {"it": log, "webui": tmp_path / "absent.log"}, 1, shown.append, goes_on=goes_on, pause=lambda _: next(steps)()
    )
    assert shown == ["it    | seen\n", "it    | new\n", "it    | half\n", "it    | rotated\n"]
