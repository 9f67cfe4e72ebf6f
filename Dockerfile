# The tool alone: it plans and measures, and drives Compose stacks through the host's Docker socket (docs/install.md).
#
#     docker build --build-arg VERSION=1.2.3 --tag orchestrator .
#
# Both images can be replaced, for a mirror or for a build without a registry.
ARG BASE_IMAGE=python:3.11-slim-bookworm
ARG DOCKER_IMAGE=docker:28-cli

FROM ${DOCKER_IMAGE} AS docker

FROM ${BASE_IMAGE} AS build
# pip reads these from its environment: a private CA that the base image holds, an index of one's own.
ARG PIP_CERT
ARG PIP_INDEX_URL
# The context has no .git to read a version from.
ARG VERSION
COPY . /src
RUN python3 -m venv /opt/orchestrator \
    && SETUPTOOLS_SCM_PRETEND_VERSION="${VERSION:-0.1.0}" \
       /opt/orchestrator/bin/pip wheel --quiet --no-cache-dir --no-deps --wheel-dir /wheels /src \
    && /opt/orchestrator/bin/pip install --quiet --no-cache-dir /wheels/*.whl

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="orchestrator" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/orchestrator/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/home/orchestrator \
    LANG=C.UTF-8
# Anybody may write there: to own the files of a stack, it runs as the host's user (`--user`), who has no entry here.
RUN mkdir -p /home/orchestrator && chmod 1777 /home/orchestrator
USER 10001:10001
WORKDIR /home/orchestrator
ENTRYPOINT ["orchestrator"]
CMD ["--help"]
# The client and its Compose plugin; no daemon.
COPY --from=docker /usr/local/bin/docker /usr/local/bin/
COPY --from=docker /usr/local/libexec/docker/cli-plugins/docker-compose /usr/local/libexec/docker/cli-plugins/
COPY --from=build /opt/orchestrator /opt/orchestrator
