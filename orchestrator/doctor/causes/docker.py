"""What Docker and Compose says."""

from __future__ import annotations

from orchestrator.doctor.causes.rule import rule

RULES = (
    rule(
        r"docker-credential-\S+: executable file not found|error getting credentials",
        "credential_helper",
        "docker's config.json names a program that keeps logins, and it is not there (Docker Desktop was removed?)",
        "take the line with credsStore out of docker's config.json, then log in anew where it is needed",
        "grep -n credsStore ~/.docker/config.json",
    ),
    rule(
        r"(?:is not a docker command|unknown command: docker compose)",
        "compose_missing",
        "the docker program has no Compose plugin",
        "install it",
        "sudo apt-get install docker-compose-plugin",
    ),
    rule(
        r"server gave HTTP response to HTTPS client|error parsing HTTP \d+ response body: invalid character",
        "not_a_registry",
        "what answers under the registry's name is no registry, or one without TLS",
        "check the name and the mirrors that the engine is set to (a portal or proxy may answer in its place)",
        "docker info --format '{{json .RegistryConfig}}'",
    ),
    rule(
        r'Get "https?://[^"]+/v2/[^"]*": '
        r"(?:dial tcp|net/http: (?:TLS|request canceled)|context deadline|EOF|proxyconnect)",
        "registry_unreachable",
        "the engine cannot reach a registry, and an image is not here",
        "check the engine's network, DNS and proxy; or bring the image along, or run without containers",
        "docker load -i image.tar",
        "orchestrator up --replan --engine native",
    ),
    rule(
        r"no basic auth credentials|unauthorized: (?:authentication required|incorrect username)|"
        r"requested access to the resource is denied|denied: denied",
        "registry_login",
        "a registry lets only known users read the image",
        "log in as somebody who may",
        "docker login REGISTRY",
    ),
    rule(
        r"could not find an available, non-overlapping IPv4 address pool|Pool overlaps with other one",
        "no_addresses",
        "Docker has no address range left for another network",
        "remove networks that nothing uses, or give it more ranges (default-address-pools in daemon.json)",
        "docker network ls",
        "docker network prune",
    ),
    rule(
        r"iptables failed: iptables|No chain/target/match by that name",
        "iptables_lost",
        "another program (a reloaded firewall) removed Docker's own rules",
        "restart the engine: it makes them again",
        "sudo systemctl restart docker",
    ),
    rule(
        r"could not find bridge \S+: route ip\+net: no such network interface",
        "bridge_lost",
        "the engine's own network device was removed under it (by hand, or by a second dockerd)",
        "restart the engine: it makes the device again",
        "sudo systemctl restart docker",
    ),
    rule(
        r'Conflict\. The container name "[^"]+" is already in use',
        "name_taken",
        "a container of this name is left from before, or another project made it",
        "see whose it is; remove it if it is nobody's",
        "docker ps --all",
    ),
    rule(
        r"can't get final child's PID from pipe",
        "no_rlimit",
        "this machine does not let a container raise its own limits (no CAP_SYS_RESOURCE)",
        "run where it may, or without containers: --engine native",
    ),
    rule(
        r"Ports are not available|address already in use|\[Errno 98\]|port is already allocated|"
        r"error while attempting to bind on address",
        "port_taken",
        "another program listens on the port",
        "stop it, or take another port; the next `up` names the holder and a free one",
        "orchestrator up",
    ),
    rule(
        r"permission denied while trying to connect to the Docker|docker\.sock: connect: permission denied",
        "docker_permission",
        "this user may not use Docker",
        "add the user to the group `docker`, then log in anew",
        "sudo usermod -aG docker $USER",
    ),
    rule(
        r"Cannot connect to the Docker daemon|Error while fetching server API version|docker daemon is not running",
        "docker_not_running",
        "no Docker engine answers",
        "start it, or run without it: --engine native",
        "sudo systemctl start docker",
    ),
    rule(
        r"client version [\d.]+ is too (?:new|old)",
        "docker_version",
        "the docker program and the engine are too far apart in version",
        "update the older one",
        "docker version",
    ),
    rule(
        r"toomanyrequests|You have reached your (?:unauthenticated )?pull rate limit|429 Too Many Requests",
        "rate_limited",
        "a registry or hub asks to slow down",
        "log in (docker login, or HF_TOKEN), or wait and run it again: what has arrived is kept",
    ),
    rule(
        r"manifest unknown|manifest for \S+ not found|repository does not exist or may require|No such image",
        "image_missing",
        "an image is neither here nor in its registry",
        "check that the registry can be reached and has the pinned tag",
        "docker login",
    ),
    rule(
        r"additional propert(?:y|ies) \S+ (?:is )?not allowed|^yaml: line \d+|: invalid compose project|"
        r"required variable \S+ is missing a value",
        "compose_file",
        "Compose refuses the file: edited by hand, or read by a Compose that is too old",
        "render it again, and see that Compose is new enough",
        "docker compose version",
        "orchestrator up",
    ),
    rule(
        r"bind source path does not exist",
        "mount_missing",
        "a file or folder that a container wants is not on the host",
        "run it again: the files are written anew",
        "orchestrator up",
    ),
    rule(
        r"executable file not found in \$PATH|unable to start container process: exec: |"
        r"exec format error|no matching manifest for linux/",
        "wrong_image",
        "an image lacks the program, or is for another processor",
        "use the pinned image for this machine's processor",
    ),
    rule(
        r"error setting rlimit type",
        "no_rlimit",
        "this machine does not let a container raise its own limits (no CAP_SYS_RESOURCE)",
        "run where it may, or without containers: --engine native",
    ),
    rule(
        r"gave up: \S+ entered FATAL state|spawnerr: ",
        "cannot_start",
        "a program cannot be started at all",
        "see its last lines",
        "orchestrator logs",
    ),
    rule(
        r"dependency failed to start: container \S+ is unhealthy",
        "dependency_unhealthy",
        "a service that others wait for does not answer its health check",
        "see what it logged",
        "orchestrator logs",
    ),
    rule(
        r"application not healthy after",
        "not_healthy_in_time",
        "a service did not become healthy in time; its container is still up",
        "see what it logged, and whether it only needs longer",
        "orchestrator logs",
    ),
    rule(
        r"container \S+ exited \((?!137\))\d+\)",
        "service_ended",
        "a service ended by itself",
        "see its last lines",
        "orchestrator logs",
    ),
)
