# The API, the CPU worker (ingest, finalize) and the reaper: slim, without torch.
# Build from the repository's root: docker build -f docker/service.Dockerfile -t handsoff-service .

FROM python:3.12-slim-bookworm AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements-service.lock ./
RUN python -m venv /opt/handsoff \
 && /opt/handsoff/bin/pip install --require-hashes -r requirements-service.lock
COPY pyproject.toml README.md LICENSE ./
COPY models ./models
COPY workers ./workers
COPY service ./service
RUN /opt/handsoff/bin/pip install --no-deps .

FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin handsoff
COPY --from=build /opt/handsoff /opt/handsoff
ENV PATH=/opt/handsoff/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["python", "-m", "service"]
