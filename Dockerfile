# One image for the dashboard and the workers; docker-compose.yml says which of them a container is. A container listens
# to all who reach it, so the dashboard starts in one only with INGESTBOARD_AUTH=oidc or proxy (docs/sign-in.md).
FROM python:3.11.13-slim-bookworm AS build

RUN python -m venv /opt/venv
COPY requirements.txt /tmp/requirements.txt
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/requirements.txt


FROM python:3.11.13-slim-bookworm

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    INGESTBOARD_DATA=/data \
    INGESTBOARD_HOST=0.0.0.0 \
    PORT=8501

# Text recognition loads OpenCV, whose wheel expects these two of the system.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --uid 10001 --create-home ingestboard \
    && install --directory --owner ingestboard --group ingestboard /data
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY tasks tasks
COPY workers workers
COPY dashboard dashboard
# The `ingestboard` command, and the byte code of what was copied.
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --editable . \
    && python -m compileall -q dashboard tasks workers

USER ingestboard
VOLUME /data
EXPOSE 8501
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
CMD ["python", "-m", "dashboard"]
