"""Measures load generators against one stub that answers at once: `python tools/bench_peers.py`. Not part of CI.

What runs is what is there: wrk in PATH; ours; and with --vllm, --aiperf, --guidellm the environments that have them
(docs/bench-peers.md says how they are made). All: 16 requests at once, 2560 numbers in base64, keep-alive.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.standins.embedding_stub.build import build, serving  # noqa: E402 - the repository's own stub

CONCURRENCY = 16
WORDS = " ".join(["word"] * 26)
LUA = """
local texts = {{}}
for i = 1, {batch} do texts[i] = '"document ' .. i .. ' ' .. "{words}" .. '"' end
wrk.method, wrk.path = "POST", "/v1/embeddings"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{{"model":"stub","encoding_format":"base64","input":[' .. table.concat(texts, ",") .. ']}}'
"""


class Seen(NamedTuple):
    documents_per_s: float
    cpu_us: float | None
    """Client CPU per document."""


class Arguments(argparse.Namespace):
    vllm: Path | None
    aiperf: Path | None
    guidellm: Path | None
    tokenizer: Path
    seconds: float
    repeats: int


def run(arguments: list[str], **options: object) -> tuple[str, float]:
    """Its stdout, and its CPU seconds with those of all its children."""
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options) as process:  # type: ignore[call-overload]
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return output, usage.ru_utime + usage.ru_stime


def wrk(url: str, batch: int, asked: Arguments) -> Seen:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA.format(batch=batch, words=WORDS))
        script.flush()
        seconds = str(round(asked.seconds))
        output, cpu_s = run(["wrk", "-t1", f"-c{CONCURRENCY}", f"-d{seconds}", "-s", script.name, url])
    line = next(line for line in output.splitlines() if line.startswith("Requests/sec"))
    rate = float(line.split()[1]) * batch
    return Seen(rate, cpu_s / (rate * round(asked.seconds)) * 1e6)


def ours(workers: int) -> Callable[[str, int, Arguments], Seen]:
    def measure(url: str, batch: int, asked: Arguments) -> Seen:
        flags = ["--url", url, "--model", "stub", "--batch", str(batch), "--concurrency", str(CONCURRENCY)]
        flags += ["--duration", str(asked.seconds), "--warmup", "1", "--workers", str(workers), "--json"]
        command = [sys.executable, "-m", "orchestrator", "bench", *flags]
        with tempfile.TemporaryDirectory() as home:
            own = {**os.environ, "ORCHESTRATOR_HOME": home}
            done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=own)
        data = json.loads(done.stdout)["data"]
        if data["wrongs"] or sum(data["errors"].values()):
            raise SystemExit(f"not every answer was right: {data['wrongs']} {data['errors']}")
        return Seen(data["docs_per_s"], data["client"]["cpu_s"] / (data["docs_per_s"] * asked.seconds) * 1e6)

    return measure


def slope(once: Callable[[int], tuple[float, float]], documents: int) -> Seen:
    """The rate of a long run; the CPU of a long run less that of a short one, so that starting it does not count."""
    _, little = once(documents // 10)
    rate, much = once(documents)
    return Seen(rate, (much - little) / (documents - documents // 10) * 1e6)


def vllm(url: str, batch: int, asked: Arguments) -> Seen:
    assert asked.vllm is not None

    def once(documents: int) -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as folder:
            flags = ["--backend", "openai-embeddings", "--base-url", url, "--endpoint", "/v1/embeddings"]
            flags += ["--model", "stub", "--tokenizer", str(asked.tokenizer), "--dataset-name", "random"]
            flags += ["--random-input-len", "16", "--random-batch-size", str(batch), "--num-prompts", str(documents)]
            flags += ["--max-concurrency", str(CONCURRENCY), "--extra-body", '{"encoding_format":"base64"}']
            flags += ["--save-result", "--result-dir", folder, "--result-filename", "v.json"]
            environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PATH": f"{asked.vllm}/bin:{os.environ['PATH']}"}
            output, cpu_s = run([f"{asked.vllm}/bin/vllm", "bench", "serve", *flags], env=environment)
            result = Path(folder) / "v.json"
            if not result.exists():
                raise SystemExit(output[-3000:])
            return float(json.loads(result.read_text())["request_throughput"]) * batch, cpu_s

    return slope(once, max(round(asked.seconds * 900), 1) if batch == 1 else round(asked.seconds * 8000))


def aiperf(url: str, batch: int, asked: Arguments) -> Seen:
    assert asked.aiperf is not None

    def once(documents: int) -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as folder:
            flags = [
                "--model",
                "stub",
                "--url",
                url,
                "--endpoint-type",
                "embeddings",
                "--tokenizer",
                str(asked.tokenizer),
            ]
            flags += ["--synthetic-input-tokens-mean", "16", "--synthetic-input-tokens-stddev", "0"]
            flags += ["--num-prompts", "64", "--prompt-batch-size", str(batch), "--concurrency", str(CONCURRENCY)]
            flags += ["--request-count", str(max(documents // batch, 20)), "--warmup-request-count", "16"]
            flags += ["--extra-inputs", "encoding_format:base64", "--ui", "none", "--no-gpu-telemetry"]
            flags += ["--no-server-metrics", "--artifact-dir", folder]
            output, cpu_s = run([f"{asked.aiperf}/bin/aiperf", "profile", *flags])
            result = Path(folder) / "profile_export_aiperf.json"
            if not result.exists():
                raise SystemExit(output[-3000:])
            return float(json.loads(result.read_text())["request_throughput"]["avg"]) * batch, cpu_s

    return slope(once, round(asked.seconds * 300) if batch == 1 else round(asked.seconds * 3000))


def guidellm(url: str, batch: int, asked: Arguments) -> Seen:
    assert asked.guidellm is not None

    def once(documents: int) -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as folder:
            body: dict[str, object] = {"encoding_format": "base64"}
            if batch > 1:
                body["input"] = [f"document {i} {WORDS}" for i in range(batch)]
            spec = {
                "backend": {"kind": "openai_http", "target": url, "request_format": "/v1/embeddings", "model": "stub"}
                | {"http2": False, "extras": {"body": body}},
                "profile": {"kind": "concurrent", "streams": [CONCURRENCY]},
                "constraints": [{"kind": "max_requests", "count": max(documents // batch, 20)}],
                "tokenizer": {"kind": "huggingface_auto", "model": str(asked.tokenizer)},
                "data": [{"kind": "synthetic_text", "prompt_tokens": 16, "output_tokens": 1}],
                "outputs": [{"kind": "json", "path": f"{folder}/g.json"}],
            }
            (Path(folder) / "g.yaml").write_text(json.dumps({"spec": spec}))
            command = [f"{asked.guidellm}/bin/guidellm", "run", "-c", f"{folder}/g.yaml", "--disable-progress"]
            output, cpu_s = run(command)
            result = Path(folder) / "g.json"
            if not result.exists():
                raise SystemExit(output[-3000:])
            metrics = json.loads(result.read_text())["benchmarks"][0]["metrics"]
            return float(metrics["requests_per_second"]["successful"]["mean"]) * batch, cpu_s

    return slope(once, round(asked.seconds * 150) if batch == 1 else round(asked.seconds * 1000))


def peers(asked: Arguments) -> dict[str, Callable[[str, int, Arguments], Seen]]:
    known = {"vllm bench serve": vllm, "aiperf": aiperf, "guidellm": guidellm}
    there = {"vllm bench serve": asked.vllm, "aiperf": asked.aiperf, "guidellm": asked.guidellm}
    found: dict[str, Callable[[str, int, Arguments], Seen]] = {
        "wrk -t1 (reads nothing)": wrk,
        "orchestrator bench, 1 process": ours(1),
        "orchestrator bench, 2 processes": ours(2),
    }
    return found | {name: known[name] for name, folder in there.items() if folder is not None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("vllm", "aiperf", "guidellm"):
        parser.add_argument(f"--{name}", type=Path, help="the environment that has it")
    parser.add_argument("--tokenizer", type=Path, help="a Hugging Face folder, for those three")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args(namespace=Arguments())
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, median of {asked.repeats}", file=sys.stderr)
    print("| client | documents/s, 1 per request | CPU µs/document | documents/s, 32 per request | CPU µs/document |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        for name, measure in peers(asked).items():
            cells = []
            for batch in (1, 32):
                with serving(program) as url:
                    seen = [measure(url, batch, asked) for _ in range(asked.repeats)]
                rates = [one.documents_per_s for one in seen]
                cpu = statistics.median(one.cpu_us for one in seen if one.cpu_us is not None)
                spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
                cells += [f"{statistics.median(rates):,.0f} ({spread})", f"{cpu:,.1f}"]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
