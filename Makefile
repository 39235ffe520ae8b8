# Sets up and runs kscale on a machine that has Python 3.11 or newer, and nothing else.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-compiled test-plain lint bench gate reports clean

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("kscale needs Python 3.11 or newer: make PYTHON=python3.12 …") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

demo: $(READY) ## Replay the bundled trace and write demo/report.html.
	$(BIN)/kscale demo --out demo

test: test-compiled test-plain ## Run the tests, with compiled kernels and with plain ones.

test-compiled: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not plain" $(PYTEST_COMPILED)

test-plain: $(READY)
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not data and not browser and not slow and not compiled" \
		tests/test_simulation.py tests/test_object_worlds.py tests/test_queue_worlds.py tests/controllers tests/living tests/node \
		tests/network tests/cli/test_proxy_fit.py tests/scenario tests/engine tests/scheduler tests/state $(PYTEST_PLAIN)

lint: $(READY) ## Check style, types and the floors.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

bench: $(READY) ## Run the quick benchmarks.
	$(BIN)/python -m pytest benchmarks --benchmark-enable --benchmark-only -m "not slow"

gate: $(READY) ## Compare speed and counts with the stored ones.
	$(BIN)/python -m benchmarks.gate

reports: $(READY) ## Make the example report anew.
	$(BIN)/python -m reports.make

clean:
	rm -rf $(VENV) demo
