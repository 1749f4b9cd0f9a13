# The tag names the interpreter, the suite and the patch level; a release adds the digest behind it (docs/releasing.md).
ARG BASE=docker.io/library/python:3.13.16-slim-trixie

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
# The exporter's environment stands where the final stage has it: a console script carries the path of its interpreter.
RUN python3 -m venv --without-pip /opt/exporter \
    && python3 -m pip --python /opt/exporter/bin/python install \
       --require-hashes --only-binary :all: --no-deps -r requirements.lock \
    && python3 -m venv --without-pip /opt/build \
    && python3 -m pip --python /opt/build/bin/python install \
       --require-hashes --only-binary :all: --no-deps -r requirements-build.lock \
    && mkdir /opt/state
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
COPY sendgrid_simulator sendgrid_simulator
ARG REVISION=unknown
RUN printf '%s\n' "${REVISION}" > exporter/revision.txt \
    && /opt/build/bin/python -m hatchling build --target wheel --directory dist \
    && python3 -m pip --python /opt/exporter/bin/python install --no-index --no-deps dist/*.whl

FROM ${BASE}
ARG BASE
ARG BASE_DIGEST=
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=
ARG HOMEPAGE=
LABEL org.opencontainers.image.title="sendgrid-automation-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the link clicks of SendGrid's Marketing Campaigns automations" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="The SendGrid automation exporter maintainers" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.url="${HOMEPAGE}" \
      org.opencontainers.image.source="${HOMEPAGE}" \
      org.opencontainers.image.documentation="${HOMEPAGE}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"
ENV PATH=/opt/exporter/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/exporter /opt/exporter
# A new volume mounted here takes over the owner, so that the state file can be written.
COPY --from=build --chown=65532:65532 /opt/state /var/lib/sendgrid-automation-exporter
WORKDIR /
# Numeric, so that a kubelet can tell that it is not root.
USER 65532:65532
EXPOSE 10154
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/exporter/bin/sendgrid-automation-exporter"]
