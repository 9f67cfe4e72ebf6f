import pytest

from orchestrator.catalog.gpus import GIB, MIB, cards, match


@pytest.mark.parametrize(
    ("name", "mib", "key"),
    [
        ("NVIDIA GeForce RTX 3060", 12288, "rtx3060_12gb"),
        ("GeForce RTX 3060", 12288, "rtx3060_12gb"),
        ("NVIDIA GeForce RTX 3060", 8192, "rtx3060_8gb"),
        ("NVIDIA GeForce RTX 3060 Ti", 8192, "rtx3060ti"),
        ("NVIDIA GeForce RTX 4060 Ti", 16380, "rtx4060ti_16gb"),
        ("NVIDIA GeForce RTX 4060 Ti", 8188, "rtx4060ti_8gb"),
        ("NVIDIA A10", 23028, "a10"),
        ("NVIDIA A100 80GB PCIe", 81920, "a100_80gb"),
        ("NVIDIA L4", 23034, "l4"),
        ("NVIDIA L40S", 46068, "l40s"),
        ("Tesla T4", 15360, "t4"),
        ("NVIDIA H100 80GB HBM3", 81559, "h100_sxm"),
        ("NVIDIA GeForce RTX 3060", 6144, None),
        ("NVIDIA GeForce RTX 3060 Laptop GPU", 6144, None),
        ("NVIDIA A10G", 23028, None),
        ("NVIDIA A100", 81920, None),
        ("", 12288, None),
    ],
)
def test_whole_name_and_memory(name, mib, key):
    found = match(name, mib * MIB, cards())
    assert (found.key if found else None) == key


def test_unknown_memory_matches_only_a_name_that_is_sold_once():
    assert match("NVIDIA GeForce RTX 3090", None, cards()).key == "rtx3090"
    assert match("NVIDIA GeForce RTX 3060", None, cards()) is None


def test_every_card_matches_itself_by_every_name():
    for card in cards():
        for name in card.nvml_names:
            if "nvgpu" not in name:
                assert match(f"NVIDIA {name}", int(card.memory_gib * GIB), cards()) == card


def test_keys_are_unique_and_sources_are_there():
    assert len({card.key for card in cards()}) == len(cards()) >= 48
    assert all(card.spec_source and card.tflops_source for card in cards())


def test_peaks_follow_the_formula_of_the_file():
    """SM x FMA x 2 x clock, halved for GeForce: spot checks against published figures."""
    known = {card.key: card.fp16_tflops_fp32acc_dense for card in cards()}
    assert known["rtx3060_12gb"] == pytest.approx(28 * 512 * 2 * 1777 / 1e6 / 2, abs=0.1)
    assert known["rtx4090"] == pytest.approx(165.2, abs=0.1)
