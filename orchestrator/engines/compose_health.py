"""The health check of a service in its own image, with the tool that is in there. Pure."""

from __future__ import annotations

from orchestrator.services.service import Service

TIMEOUT_S = 5
"""Open WebUI's /health was measured to stall for 1.6 s under an ingest (facts/open-webui-and-chroma.md 12)."""
UNHEALTHY_AFTER_S = 60
"""Of refusals, once the start deadline is over."""

# bash speaks HTTP by itself: /dev/tcp. The first line must say 200.
BASH = (
    "exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET {path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3"
    ' && read -r line <&3 && [[ "$line" == *" 200"* ]]'
)
# http.client and --noproxy: Docker may put proxy variables into every container, and urllib would ask the proxy.
PYTHON = (
    "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', {port}, timeout={timeout});"
    " c.request('GET', '{path}'); sys.exit(c.getresponse().status != 200)"
)


def retries_of(service: Service) -> int:
    return UNHEALTHY_AFTER_S // service.health.interval_s


def health_test(service: Service) -> tuple[str, ...]:
    path, port = service.health.path, service.port
    within_s = TIMEOUT_S - 1
    match service.health.tool:
        case "bash":
            return ("CMD", "bash", "-c", BASH.format(port=port, path=path))
        case "curl":
            url = f"http://127.0.0.1:{port}{path}"
            return ("CMD", "curl", "-fsS", "--noproxy", "*", "-o", "/dev/null", "--max-time", str(within_s), url)
        case "python3":
            return ("CMD", "python3", "-c", PYTHON.format(port=port, path=path, timeout=within_s))
        case "ollama":
            return ("CMD", "ollama", "list")
