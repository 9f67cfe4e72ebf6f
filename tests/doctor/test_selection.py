import pytest

from orchestrator.doctor.catalogue import CHECKS
from orchestrator.doctor.check import Check, passed
from orchestrator.doctor.selection import Selection, choose, matching, paired, was_skipped
from orchestrator.errors import OrchestratorError


def check(name, area="host", stage="host"):
    return Check(
        id=name, area=area, question="Is it?", reads=("it",), severity="fail", stage=stage,
        answer=lambda context: passed("it"),
    )  # fmt: skip


MINE = (
    check("host.ram"),
    check("gpu.nvml", "gpu"),
    check("gpu.vram.free", "gpu", "plan"),
    check("ctk.cdi", "container-gpu", "plan"),
    check("embed.ready", "stack", "stack"),
)
ALL = ("host", "plan", "stack")


def asked(selection=Selection(), stages=ALL):
    return [check.id for check in choose(MINE, selection, stages).asked]


def test_without_a_word_everything_of_the_stages_is_asked():
    assert asked() == [check.id for check in MINE]
    assert asked(stages=("host",)) == ["host.ram", "gpu.nvml"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("host.ram",), ["host.ram"]),
        (("gpu.",), ["gpu.nvml", "gpu.vram.free"]),
        (("gpu.vram.",), ["gpu.vram.free"]),
        (("container-gpu",), ["ctk.cdi"]),
        (("embed.ready", "gpu.nvml"), ["gpu.nvml", "embed.ready"]),
        (("gpu.", "gpu.nvml"), ["gpu.nvml", "gpu.vram.free"]),
    ],
)
def test_only_what_is_named_in_the_catalogues_order(words, expected):
    assert asked(Selection(only=words)) == expected


def test_what_is_named_is_asked_whatever_its_stage():
    assert asked(Selection(only=("embed.ready",)), ("host",)) == ["embed.ready"]


def test_a_skipped_check_is_a_finding_with_the_reason():
    chosen = choose(MINE, Selection(skip={"gpu.": "no driver on the build machine"}), ALL)
    assert [check.id for check in chosen.asked] == ["host.ram", "ctk.cdi", "embed.ready"]
    assert [(f.id, f.verdict, f.reason) for f in chosen.skipped] == [
        ("gpu.nvml", "skip", "no driver on the build machine"),
        ("gpu.vram.free", "skip", "no driver on the build machine"),
    ]
    assert all(was_skipped(finding) for finding in chosen.skipped)
    assert [check.id for check in chosen.wanted] == [check.id for check in MINE]


def test_what_was_not_selected_is_not_said_to_be_skipped():
    chosen = choose(MINE, Selection(only=("gpu.nvml",), skip={"host.ram": "known"}), ALL)
    assert chosen.skipped == ()


@pytest.mark.parametrize("selection", [Selection(only=("gpu.nvmll",)), Selection(skip={"gpu.nvmll": "why"})])
def test_an_unknown_id_names_the_nearest(selection):
    with pytest.raises(OrchestratorError) as caught:
        choose(MINE, selection, ALL)
    assert caught.value.exit_code == 2
    assert "did you mean gpu.nvml?" in caught.value.remedy


def test_an_id_like_no_other_has_no_nearest():
    with pytest.raises(OrchestratorError) as caught:
        matching(MINE, "zzzzzz", "--only")
    assert "did you mean" not in caught.value.remedy
    assert "--list" in caught.value.remedy


def test_one_reason_is_that_of_all_skips_else_each_has_its_own():
    assert paired((), ()) == {}
    assert paired(("a", "b"), ("why",)) == {"a": "why", "b": "why"}
    assert paired(("a", "b"), ("one", "two")) == {"a": "one", "b": "two"}


@pytest.mark.parametrize(
    ("skips", "reasons"),
    [(("a",), ()), ((), ("why",)), (("a", "b", "c"), ("one", "two")), (("a",), ("one", "two")), (("a",), ("  ",))],
)
def test_a_skip_without_its_reason_is_a_usage_error(skips, reasons):
    with pytest.raises(OrchestratorError) as caught:
        paired(skips, reasons)
    assert caught.value.exit_code == 2


def test_ids_in_the_catalogue_are_unique_and_every_beginning_can_be_named():
    ids = [check.id for check in CHECKS]
    assert len(set(ids)) == len(ids)
    for check in CHECKS:
        assert check in matching(CHECKS, f"{check.id.partition('.')[0]}.", "--only")
        assert check in matching(CHECKS, check.area, "--only")
