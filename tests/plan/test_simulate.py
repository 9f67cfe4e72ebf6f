import pytest

from orchestrator.catalog.gpus import cards
from orchestrator.errors import OrchestratorError
from orchestrator.plan.simulate import facts_over, simulated, with_all_sources

GIB = 2**30
MIB = 2**20


@pytest.mark.parametrize(
    ("text", "names", "used"),
    [
        ("RTX 3060 12GB, 3.1 GB used", ["NVIDIA GeForce RTX 3060"], 3_100_000_000),
        ("rtx 3060 12GB", ["NVIDIA GeForce RTX 3060"], 0),
        ("NVIDIA GeForce RTX 4090, 20 GiB free", ["NVIDIA GeForce RTX 4090"], 4 * GIB),
        ("2x RTX 3090; T4", ["NVIDIA GeForce RTX 3090"] * 2 + ["NVIDIA Tesla T4"], 0),
        ("A100 80GB", ["NVIDIA A100-SXM4-80GB"], 0),
        ("A10", ["NVIDIA A10"], 0),
        ("A100 40GB", ["NVIDIA A100-SXM4-40GB"], 0),
        ("A100 80GB MIG 3g.40gb", ["NVIDIA A100-SXM4-80GB MIG 3g.40gb"], 0),
        ("no GPU, 16 GB RAM, 8 cores", [], 0),
    ],
)
def test_descriptions(bare, text, names, used):
    facts = simulated(text, bare, cards())
    assert [gpu.name for gpu in facts.gpu.gpus] == names
    assert all(gpu.used_bytes == used for gpu in facts.gpu.gpus)
    assert [gpu.index for gpu in facts.gpu.gpus] == list(range(len(names)))
    assert facts.simulated


def test_size_tells_namesakes_apart(bare):
    assert simulated("RTX 3060 8GB", bare, cards()).gpu.gpus[0].total_bytes == 8 * GIB
    assert simulated("RTX 3060 12GB", bare, cards()).gpu.gpus[0].total_bytes == 12 * GIB


def test_ram_and_cores(bare):
    host = simulated("no GPU, 16 GiB RAM, 8 cores", bare, cards()).host
    assert (host.memory_available_bytes, host.node_total_bytes, host.cores) == (16 * GIB, 16 * GIB, 8)


@pytest.mark.parametrize("text", ["RTX 9999", "RTX 3060 12GB, 40 GB used", "RTX 3060 12GB, fast", "RTX 3060 16GB", "A"])
def test_what_it_cannot_mean_is_a_usage_error(bare, text):
    with pytest.raises(OrchestratorError) as caught:
        simulated(text, bare, cards())
    assert caught.value.exit_code == 2


def test_yaml_is_laid_over_this_machine(bare):
    facts = facts_over({"host": {"memory_available_bytes": 5}, "gpu": {"driver": "580.1"}}, bare)
    assert facts.host.memory_available_bytes == 5
    assert facts.host.cores == bare.host.cores
    assert facts.gpu.driver == "580.1"


def test_yaml_of_the_wrong_shape(bare):
    with pytest.raises(OrchestratorError) as caught:
        facts_over({"host": {"cores": "many"}}, bare)
    assert "host.cores" in caught.value.message


@pytest.mark.parametrize(
    ("values", "lost"),
    [
        ({"gpus": []}, "gpus"),
        ({"host": {"memory_avalable_bytes": 5}}, "host.memory_avalable_bytes"),
        ({"gpu": {"gpus": [{"index": 0, "uuid": "u", "name": "n", "total_bytes": 1, "used_bytes": 0, "free_bytes": 1,
                            "compute_cap": [8, 6]}]}}, "gpu.gpus[0].compute_cap"),
    ],
)  # fmt: skip
def test_a_fact_that_does_not_exist_is_not_passed_over(bare, values, lost):
    with pytest.raises(OrchestratorError) as caught:
        facts_over(values, bare)
    assert (caught.value.exit_code, lost in caught.value.message) == (2, True)


def test_a_card_from_yaml_is_planned_for(bare):
    card = {
        "index": 0, "uuid": "GPU-0", "name": "NVIDIA GeForce RTX 3060", "total_bytes": 12 * GIB, "used_bytes": 0,
        "free_bytes": 12 * GIB, "compute_capability": [8, 6],
    }  # fmt: skip
    facts = facts_over({"gpu": {"gpus": [card], "error": None}}, bare)
    assert facts.gpu.gpus[0].compute_capability == (8, 6)
    assert facts.docker.gpu


def test_names_that_look_alike_are_offered(bare):
    with pytest.raises(OrchestratorError) as caught:
        simulated("RTX 3009", bare, cards())
    assert "did you mean" in caught.value.remedy
    assert "GeForce RTX 3090 24 GB" in caught.value.remedy


def test_assume_sources(bare):
    facts = with_all_sources(bare)
    assert facts.sources.hub.reachable
    assert facts.docker.usable
    assert facts.simulated
