"""What the operating system, said by whichever program met it: the last resort says."""

from __future__ import annotations

from orchestrator.doctor.causes.rule import rule

RULES = (
    rule(
        r"dev/shm[^\n]*No space|No space[^\n]*dev/shm|unable to (?:open|allocate) shared memory|Bus error",
        "shared_memory",
        "the shared memory of the container is too small",
        "render it again: the plan sets shm_size",
        "orchestrator up",
    ),
    rule(
        r"Out of memory: Killed process|oom-kill:|Memory cgroup out of memory|OOMKilled[\"']?: ?true|"
        r"DefaultCPUAllocator: can't allocate memory|std::bad_alloc|Cannot allocate memory|^MemoryError",
        "out_of_memory",
        "the RAM ran out and the kernel ended the process",
        "close other programs, raise the container's limit, or plan a smaller model",
        "orchestrator up --replan --model auto",
    ),
    rule(
        r"No space left on device|\[Errno 28\]|disk quota exceeded|database or disk is full",
        "disk_full",
        "a disk is full",
        "free some space, or keep everything on a larger disk: ORCHESTRATOR_HOME",
        "df -h",
    ),
    rule(
        r"unrecognized arguments?:|error while handling argument \"|error: argument -\S+|error: invalid argument:|"
        r"unknown flag:|unexpected argument '-|"
        r"error: unknown argument",
        "bad_flag",
        "the program does not know a flag that it was started with: another version than the pinned one",
        "use the pinned version",
        "orchestrator up",
    ),
    rule(
        r"Illegal instruction|SIGILL|requires AVX",
        "wrong_cpu",
        "the program was built for a processor with more instructions than this one has",
        "use a build for this processor (llama-server is built here), or another server",
        "orchestrator up --replan --backend llamacpp",
    ),
    rule(
        r"(\S+\.so[.\d]*): cannot open shared object file",
        "missing_library",
        "a system library is missing; the line names it",
        "install the package that has it",
        "apt-file search LIBRARY",
    ),
    rule(
        r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|x509: certificate signed by unknown authority|"
        r"self[- ]signed certificate",
        "private_ca",
        "something between here and the server re-signs HTTPS with a certificate that is not trusted",
        "give the CA file: PIP_CERT, SSL_CERT_FILE, REQUESTS_CA_BUNDLE, or install it in the system",
    ),
    rule(
        r"no such host|Temporary failure in name resolution|Name or service not known|Could not resolve host",
        "no_name_resolution",
        "a name could not be resolved: no network, or no DNS",
        "check the network, the proxy variables and, for containers, the engine's DNS",
    ),
    rule(
        r"Read-only file system|\[Errno 30\]",
        "read_only",
        "something must be written where nothing may be",
        "keep everything where this user may write: ORCHESTRATOR_HOME",
    ),
    rule(
        r"PermissionError: \[Errno 13\]|permission denied",
        "permission",
        "a file or device may not be used by this user; the line names it",
        "give it to this user",
        "ls -l PATH",
    ),
    rule(
        r"exit(?:ed)?(?: with)? (?:code |status )?\(?137\)?|signal: killed|^Killed$",
        "killed",
        "the process was killed from outside: the kernel for want of memory, or somebody",
        "see the kernel's messages",
        "sudo dmesg | grep -i -E 'killed process|oom' | tail",
    ),
    rule(
        r"\[Errno 111\]|connection refused",
        "connection_refused",
        "nothing listens where a service asks",
        "see which service does not run",
        "orchestrator status",
    ),
)
