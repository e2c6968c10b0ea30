# Two commands do all set-up on a fresh machine: `make demo` and `make test`.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest

PACKAGES := curation edge ingest labeling preparing service simulators sinks timeline windowing tests sensorloom.py
# Tests start hundreds of processes of ours: what they need is compiled before (see tests/conftest.py).
unexport PYTHONDONTWRITEBYTECODE
# Two cores, and tests that wait for a server or a page a third of their time: three more keep both at work.
TEST_WORKERS := 5
ARCHS := amd64 arm64

.PHONY: help demo test suite servers lint soak bench bundle mutants clean

help:
	@echo "make demo   the whole live line for 20 s: virtual sensors, agent, log, rules, labelled shards"
	@echo "make test   all checks and tests, real servers and a real kernel included"
	@echo "make lint   ruff, mypy, import-linter"
	@echo "make soak   the long proofs (hours)"
	@echo "make bench  measurements: one JSON object a line, a table on stderr"
	@echo "make bundle what install.sh needs on a device without a network: dist/sensorloom-VERSION-ARCH.tar, amd64 and arm64"
	@echo "make mutants  wrong versions of the edge, rules and windows, each of which its tests must see"

$(STAMP): pyproject.toml constraints.txt
	@sh deploy/setup.sh python
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev]'
	@# By pip it takes one core twice as long; tests of libraries, and what is of no Python of today, nobody imports.
	@# Of mypy machine code is imported; of Pygments' 500 languages hardly one.
	@$(BIN)/python -m compileall -qq -j 0 -x '/(tests|mypy|mypyc|pygments/lexers)/' $(VENV)/lib/python3.*/site-packages || true
	@touch $@

demo: $(STAMP)
	$(BIN)/sensorloom demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What looks at the code needs one core for minutes: the other need not wait for it.
# Servers come while libraries do.
test:
	@sh deploy/setup.sh python
	@$(MAKE) --no-print-directory -j 3 lint suite

servers:
	@sh deploy/setup.sh servers kernel

suite: $(STAMP) servers
	@# Test modules are compiled with what their assertions say, by pytest.
	$(BIN)/python -m compileall -q -j 0 -x '/test_[^/]*\.py$$' $(PACKAGES)
	$(PYTEST) -n $(TEST_WORKERS) --dist loadgroup

soak: $(STAMP) servers
	@sh deploy/setup.sh peers
	$(PYTEST) -m soak --timeout 0 -n 2 --dist loadgroup -v

bench: $(STAMP) servers
	$(BIN)/python -m tests.bench

# The same sources and packages give the same bytes.
bundle: $(STAMP)
	@for arch in $(ARCHS); do \
		scratch=$$(mktemp -d) && name=sensorloom-$$($(BIN)/python -c 'import sensorloom; print(sensorloom.__version__)')-$$arch && \
		sh deploy/bundle.sh $(BIN)/python $$scratch/$$name $$arch && mkdir -p dist && \
		tar -C $$scratch --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf dist/$$name.tar $$name && \
		rm -r $$scratch && sha256sum dist/$$name.tar || exit 1; \
	done

mutants: $(STAMP) servers
	$(BIN)/python -m tests.mutants

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
