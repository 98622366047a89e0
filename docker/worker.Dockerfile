# A compute worker: inversion, training, generation, evaluation. One container per device.
# torch's standard wheels carry their CUDA libraries and run on a CPU too: one image for both.
# Build from the repository's root: docker build -f docker/worker.Dockerfile -t handsoff-worker .

FROM python:3.12-slim-bookworm AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements-worker.lock ./
RUN python -m venv /opt/handsoff \
 && /opt/handsoff/bin/pip install --require-hashes -r requirements-worker.lock
COPY pyproject.toml README.md LICENSE ./
COPY models ./models
COPY workers ./workers
COPY service ./service
RUN /opt/handsoff/bin/pip install --no-deps .

FROM python:3.12-slim-bookworm
# Triton builds its launchers with a C compiler; without one labels are computed plainly.
# No versions: Debian's archive keeps only the newest build of a package.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin handsoff \
 && install -d -o 10001 /cache
COPY --from=build /opt/handsoff /opt/handsoff
# The LPIPS trunk and compiled kernels are kept in a volume, so that they are made once.
ENV PATH=/opt/handsoff/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    TORCH_HOME=/cache TRITON_CACHE_DIR=/cache/triton
USER 10001
STOPSIGNAL SIGTERM
CMD ["python", "-m", "workers.worker", "--queue", "compute"]
