"""What the machine does during a run; through the stand-in NVML for the card, on the real machine for the rest."""

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import msgspec
import pytest

from orchestrator.bench.fingerprint import fingerprint_of, processor_name, unlike, unlike_loads
from orchestrator.bench.peak import matmul_arguments, measure_peak
from orchestrator.bench.records import Load, MeasuredPeak
from orchestrator.bench.server_metrics import NAMES, read_exposition, read_loaded, server_source
from orchestrator.bench.telemetry import HostSource, ProcessSource, Sampler, sources_of
from orchestrator.facts.host import read_host
from orchestrator.facts.records import DockerFacts, Facts, Gpu, GpuFacts, ProgramFacts, Reach, SourceFacts
from tests.plans import GPU_UUID, plan_of
from tests.standins.nvml.build import environment

WATCH = """
import json, sys, time
from orchestrator.bench.telemetry import Sampler, sources_of
sources, notes = sources_of(gpu_uuid=sys.argv[1], server_pid=None, server=None)
with Sampler(sources) as sampler:
    time.sleep(1.0)
unreadable = getattr(sources[-1], "unreadable", {})
series = {s.name: [s.unit, list(s.value)] for s in sampler.series(time.monotonic())}
print(json.dumps({"series": series, "notes": [*notes, *sampler.notes], "unreadable": unreadable}))
"""
VLLM = """# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="all-minilm-l6-v2"} 12345.0
vllm:prompt_tokens_created{engine="0",model_name="all-minilm-l6-v2"} 1.7e+09
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 40.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0"} NotANumber
"""


def watch(folder, gpus, uuid="GPU-standin-0", **change):
    done = subprocess.run(
        [sys.executable, "-c", WATCH, uuid],
        env=environment(folder, gpus) | change,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_card_is_read_through_nvml(standin_nvml):
    seen = watch(standin_nvml, "NVIDIA GeForce RTX 3060,12288,4000,8,6,throttle=4")
    series = seen["series"]
    assert series["gpu.power"][0] == "W"
    assert set(series["gpu.power"][1]) == {15.5}
    assert set(series["gpu.utilisation"][1]) == {0.37}
    assert set(series["gpu.sm_clock"][1]) == {1777}
    assert set(series["gpu.throttle"][1]) == {4}
    assert set(series["gpu.memory"][1]) == {4300 * 2**20}
    assert series["gpu.energy"][1] == sorted(series["gpu.energy"][1])
    assert len(series["gpu.power"][1]) >= 2
    assert not seen["notes"]


def test_what_an_old_card_does_not_tell_is_left_out(standin_nvml):
    seen = watch(standin_nvml, "NVIDIA GeForce GTX 1080 Ti,11264,1,6,1")
    assert "gpu.energy" not in seen["series"]
    assert "gpu.power" in seen["series"]
    assert "does not tell" in seen["unreadable"]["gpu.energy"]


@pytest.mark.parametrize(
    ("gpus", "uuid", "change", "said"),
    [
        ("NVIDIA GeForce RTX 3060,12288,1,8,6", "GPU-elsewhere", {}, "no such thing on this card"),
        ("NVIDIA GeForce RTX 3060,12288,1,8,6", "GPU-standin-0", {"STANDIN_NVML_INIT": "9"}, "kernel module"),
    ],
)
def test_a_card_that_cannot_be_watched_is_a_note_and_nothing_more(standin_nvml, gpus, uuid, change, said):
    seen = watch(standin_nvml, gpus, uuid, **change)
    assert any(said in note for note in seen["notes"])
    assert "host.cpu" in seen["series"]


def test_a_working_process_shows_its_cores_and_memory():
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        source = ProcessSource(busy.pid)
        source.read()
        time.sleep(0.5)
        reading = source.read()
    finally:
        busy.kill()
        busy.wait()
    assert 0.1 < reading["server.cpu"] < 1.3
    assert reading["server.rss"] > 1 << 20


def test_the_host_counts_all_cores():
    source = HostSource()
    assert source.read()["host.memory"] > 1 << 20
    time.sleep(0.2)
    assert 0 <= source.read()["host.cpu"] <= os.cpu_count() + 0.5


class Failing:
    name, every_s, units = "a broken source", 0.01, {"x": "y"}

    def __init__(self):
        self.asked = 0

    def read(self):
        self.asked += 1
        raise ConnectionError("nobody there")


class Counting:
    name, every_s, units = "a counter", 0.02, {"n": "requests"}

    def __init__(self):
        self.n = 0

    def read(self):
        self.n += 1
        return {"n": self.n}


def test_a_source_that_fails_is_a_note_and_the_others_go_on():
    broken, counter = Failing(), Counting()
    with Sampler([broken, counter]) as sampler:
        end = time.monotonic() + 30
        while (counter.n < 5 or not sampler.notes) and time.monotonic() < end:
            time.sleep(0.01)
        zero = time.monotonic()
    assert sampler.notes == ("a broken source was not read: ConnectionError: nobody there",)
    assert broken.asked == 3
    (series,) = sampler.series(zero)
    assert list(series.value[:5]) == [1, 2, 3, 4, 5]
    assert series.time_s[0] < 0
    assert (series.name, series.unit) == ("n", "requests")


def test_vllm_metrics_are_added_over_engines_and_reasons():
    reading = read_exposition(VLLM, NAMES["vllm"])
    assert reading == {"server.tokens": 12345.0, "server.running": 3.0, "server.requests": 42.0}


def test_ollama_tells_what_the_model_holds():
    body = {"models": [{"name": "qwen3-embedding:4b", "size_vram": 5}, {"name": "other:1b", "size_vram": 7}]}
    assert read_loaded(body, "qwen3-embedding") == {"server.vram": 5.0}
    assert read_loaded(["not", "this"], "m") == {}


class Metrics(BaseHTTPRequestHandler):
    def do_GET(self):
        body = VLLM.encode() if self.path == "/metrics" else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_metrics_are_read_over_http():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        source = server_source("vllm", f"http://127.0.0.1:{server.server_port}", "m")
        assert source.read()["server.tokens"] == 12345.0
    finally:
        server.shutdown()
        server.server_close()


def test_sources_are_those_that_are_there():
    sources, notes = sources_of(gpu_uuid=None, server_pid=os.getpid(), server=None)
    assert [source.name for source in sources] == ["the host", "the server's process"]
    assert notes == ()


def test_a_matrix_product_runs_on_this_processor():
    peak = measure_peak(plan_of("llamacpp"), None)
    assert isinstance(peak, MeasuredPeak)
    assert 0.0005 < peak.tflops < 100
    assert "numpy" in peak.basis
    assert "2 threads" in peak.basis


def test_a_matrix_product_that_cannot_run_says_why(tmp_path):
    assert "did not run" in measure_peak(plan_of(), tmp_path / "no-python")
    assert "No module named 'torch'" in measure_peak(plan_of(), sys.executable)
    assert "ollama brings no library" in measure_peak(plan_of("ollama", gpu=True), None)


def test_a_matrix_product_uses_the_type_and_place_of_the_plan():
    on_card = plan_of(gpu=True)
    bf16 = msgspec.structs.replace(on_card, weights=msgspec.structs.replace(on_card.weights, dtype="bfloat16"))
    assert matmul_arguments(bf16, "torch")[:3] == ("torch", "cuda:0", "bfloat16")
    assert matmul_arguments(plan_of(), "torch")[1:5] == ("cpu", "float32", "2048", "2")


def facts_with(gpu):
    no = Reach(reachable=False)
    return Facts(
        gpu=GpuFacts(gpus=(gpu,), driver="580.95.05"),
        host=read_host(),
        docker=DockerFacts(usable=False),
        sources=SourceFacts(hub=no, ollama=no, pypi=no, registry=no),
        programs=ProgramFacts(),
    )


def test_a_fingerprint_names_the_machine_without_its_serial_number():
    gpu = Gpu(index=0, uuid=GPU_UUID, name="NVIDIA GeForce RTX 3060", total_bytes=1, used_bytes=0, free_bytes=1)
    plan = plan_of(gpu=True)
    fields = fingerprint_of(facts_with(gpu), plan, plan_hash="abc", packages={"vllm": "0.32.0"}, processor="a CPU")
    assert fields["gpu.name"] == gpu.name
    assert fields["package.vllm"] == "0.32.0"
    assert GPU_UUID not in json.dumps(fields)
    other = fingerprint_of(facts_with(gpu), plan, plan_hash="abc", packages={"vllm": "0.33.0"}, processor="a CPU")
    assert unlike(fields, other) == ("package.vllm: '0.32.0' against '0.33.0'",)
    assert unlike(fields, fields) == ()


def test_another_length_is_another_load_another_duration_is_not():
    assert unlike_loads(Load(), Load(duration_s=60, seed=9)) == ()
    assert unlike_loads(Load(), Load(tokens="128", batch=1)) == (
        "load.batch: 32 against 1",
        "load.tokens: '32' against '128'",
    )


def test_the_processor_has_a_name_where_the_kernel_tells():
    assert processor_name("processor\t: 0\nmodel name\t: AMD  EPYC 7763\n") == "AMD EPYC 7763"
    assert processor_name("processor\t: 0\n") == ""
