"""What a running service really uses: the RSS of its processes, its container's memory, or its part of a card's."""

from __future__ import annotations


def resident_bytes(pid: int) -> int | None:
    """RSS of a process and all its children; shared pages count once for each. None when it has gone."""
    import psutil

    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return None
    total = 0
    for process in family:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue  # it ended while we counted
    return total or None


def gpu_bytes(pid: int, uuid: str) -> int | None:
    """What the process and its children hold on one card; None where NVML does not tell (containers, WSL)."""
    import psutil

    from orchestrator.facts.gpu import read_gpus

    try:
        parent = psutil.Process(pid)
        family = {pid, *(child.pid for child in parent.children(recursive=True))}
    except psutil.Error:
        return None
    held = [
        process.used_bytes or 0
        for gpu in read_gpus(environment={}).gpus
        if gpu.uuid == uuid
        for process in gpu.processes
        if process.pid in family
    ]
    return sum(held) or None


def container_bytes(name: str) -> int | None:
    """What the engine counts for a container, without the page cache that the kernel gives back.

    For an engine in a virtual machine, or as another user, whose processes cannot be seen from here.
    """
    from orchestrator.facts.docker import ask_engine

    try:
        # One sample, not two: the second makes the engine wait a second more than a question may take (measured).
        told = ask_engine(f"/containers/{name}/stats?stream=false&one-shot=true")["memory_stats"]
        counted = told["stats"]
        cache = counted.get("total_inactive_file") or counted.get("inactive_file") or 0
        return max(int(told["usage"]) - int(cache), 0) or None
    except (OSError, ValueError, KeyError, TypeError):
        return None
