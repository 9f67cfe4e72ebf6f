"""What NVIDIA's driver, its container toolkit, and CUDA says."""

from __future__ import annotations

from orchestrator.doctor.causes.rule import rule

RULES = (
    rule(
        r"could not select device driver \"?(?:nvidia|cdi|)\"? with capabilities",
        "no_gpu_runtime",
        "Docker has nothing that could hand a GPU to a container (no NVIDIA container toolkit)",
        "install the NVIDIA container toolkit and tell Docker about it; or run without Docker: --engine native",
        "sudo nvidia-ctk runtime configure --runtime=docker",
        "sudo systemctl restart docker",
    ),
    rule(
        r"unknown runtime specified nvidia|unknown or invalid runtime name: nvidia",
        "no_gpu_runtime",
        "Docker does not know the runtime `nvidia`",
        "install the NVIDIA container toolkit and tell Docker about it",
        "sudo nvidia-ctk runtime configure --runtime=docker",
        "sudo systemctl restart docker",
    ),
    rule(
        r"unresolvable CDI devices|CDI device injection failed",
        "cdi_stale",
        "the list of GPUs that containers may have (CDI) lacks this card, or is older than the driver",
        "make it again:",
        "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
        "nvidia-ctk cdi list",
    ),
    rule(
        r"unsatisfied condition: cuda>=|CUDA driver version is insufficient for CUDA runtime version|"
        r"The NVIDIA driver on your system is too old",
        "driver_too_old",
        "the NVIDIA driver is older than the CUDA that the server was built with",
        "update the driver (branch 580 or newer for the pinned vLLM), or use a server that needs less",
        "nvidia-smi --query-gpu=driver_version --format=csv",
        "orchestrator up --replan --backend ollama",
    ),
    rule(
        r"driver/library version mismatch|LibRmVersionMismatch|Mismatch in versions between nvidia-smi and NVML",
        "driver_mismatch",
        "the driver was updated while its old kernel module is still loaded",
        "restart the machine",
        "sudo reboot",
    ),
    rule(
        r"Failed to initialize NVML: Unknown Error",
        "gpu_lost_in_container",
        "a running container lost its GPU, most often after `systemctl daemon-reload`",
        "make the container anew; CDI avoids it for good",
        "orchestrator down && orchestrator up",
    ),
    rule(
        r"initialization error: (?:load library failed: libnvidia-ml|nvml error: driver not loaded)|"
        r"couldn't communicate with the NVIDIA driver|NVML Shared Library Not Found|NVMLError_LibraryNotFound|"
        r"NVMLError_DriverNotLoaded|Found no NVIDIA driver on your system",
        "no_driver",
        "there is no working NVIDIA driver on this machine",
        "install or load it, or plan for the CPU",
        "nvidia-smi",
        "orchestrator up --replan --gpu none",
    ),
    rule(
        r"CUDA error: (?:an illegal memory access|unspecified launch failure|uncorrectable ECC)|NVRM: Xid|GPU is lost",
        "gpu_fault",
        "the card itself reported a fault",
        "see the kernel's messages, then restart; if it returns, check the card",
        "sudo dmesg | grep -i xid",
    ),
    rule(
        r"(?:CUDA|HIP) (?:error: )?out of memory|torch\.(?:cuda\.)?OutOfMemoryError|cudaMalloc failed: out of memory|"
        r"ggml_backend_cuda_buffer_type_alloc_buffer|CUDA_ERROR_OUT_OF_MEMORY",
        "gpu_out_of_memory",
        "the card's memory ran out",
        "stop what else holds it (`nvidia-smi`), or plan again with what is free now",
        "nvidia-smi",
        "orchestrator up --replan",
    ),
)
