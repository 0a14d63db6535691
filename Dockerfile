# syntax=docker/dockerfile:1
# docs/operations.md says how to run it. The build stage has the tools; the image has Python, the locked dependencies and the wheel.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
RUN python -m venv --without-pip /opt/evaluator \
 && pip --python /opt/evaluator/bin/python install --require-hashes --requirement requirements.lock
RUN pip install --require-hashes --requirement requirements-dev.lock
COPY LICENSE README.md evaluator.toml pyproject.toml ./
COPY docs/operations.md docs/
COPY docs/runbooks/ docs/runbooks/
COPY systemd/evaluator.service systemd/
COPY rules/ rules/
COPY evaluator/ evaluator/
RUN python -m hatchling build --target wheel \
 && pip --python /opt/evaluator/bin/python install --no-deps dist/*.whl \
 && python -m compileall -q /opt/evaluator/lib

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="evaluator" \
      org.opencontainers.image.description="Judges metrics with plain TOML rules, opens and closes PagerDuty incidents by itself" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/evaluator --shell /usr/sbin/nologin evaluator \
 && install --directory --mode=0700 --owner=evaluator --group=evaluator /var/lib/evaluator
COPY --from=build /opt/evaluator /opt/evaluator
COPY evaluator.toml /etc/evaluator/evaluator.toml
COPY rules/ /etc/evaluator/rules/
# A container keeps its state in the volume, and must listen to more than its own loopback to be reached through a port.
RUN sed -i -e 's#"sqlite:///var/#"sqlite:////var/lib/evaluator/#' -e 's#"127.0.0.1:9464"#"0.0.0.0:9464"#' \
    /etc/evaluator/evaluator.toml
ENV PATH=/opt/evaluator/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    EVALUATOR_CONFIG=/etc/evaluator/evaluator.toml
WORKDIR /var/lib/evaluator
VOLUME ["/var/lib/evaluator"]
USER 10001:10001
EXPOSE 9464
STOPSIGNAL SIGTERM
# Alive, not healthy in every source: a container is no better off for being restarted because Redis is down.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/healthz', timeout=4)"]
ENTRYPOINT ["evaluator"]
CMD ["run"]
