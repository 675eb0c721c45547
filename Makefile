# `make` prints what there is to run. What it installs goes into .venv, once: an install leaves a
# stamp there, of the time when it started. It runs again when pyproject.toml or constraints.txt is
# newer than that.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup demo test check faults mutants bench docs pin clean system-packages

export PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests run in two processes; tests/distribution.py shares them out.
TOGETHER := -n 2 --dist loadgroup
UNIT := not services and not kafka and not browser and not training

# Needs EXTRAS. A virtual environment without pip was never finished.
define install
	scripts/system-packages.sh demo
	test -x $(BIN)/pip || "$(PYTHON)" -m venv --clear $(VENV)
	touch $(VENV)/started
	$(BIN)/python -m pip uninstall --quiet --yes freshet # as the distribution was called before
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[$(EXTRAS)]'
	$(BIN)/python -c 'import streams.worker' # compiles the folds, once
endef

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo 'Options: PYTHON=python3.12 chooses the interpreter, ARGS="..." goes to what is run.'

setup: $(VENV)/.setup ## Install everything into .venv, for work on Freshet

demo: $(VENV)/.demo ## Install what the demo needs and start it: open the address it prints
	$(BIN)/freshet demo $(ARGS)

# Each of the two processes computes with one thread: threads that wait for a processor spin.
test: export OMP_NUM_THREADS := 1
test: export OMP_WAIT_POLICY := PASSIVE
test: system-packages $(VENV)/.setup ## Run every test, with Apache Kafka and Chromium (20 minutes)
	$(BIN)/python -m pytest $(TOGETHER) $(ARGS)

check: $(VENV)/.setup ## Lint, types, import arrows and unit tests (under a minute)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -m '$(UNIT)' $(ARGS)

faults: system-packages $(VENV)/.setup ## Pull every plug, and write what held into RESULTS.md
	$(BIN)/python -m pytest tests/faults --results RESULTS.md $(ARGS)

mutants: $(VENV)/.setup ## Plant bugs one at a time, and see that unit tests find them (ten minutes)
	$(BIN)/python scripts/mutants/plant.py $(ARGS)

bench: export FRESHET_NO_BROWSER := 1
bench: system-packages $(VENV)/.demo ## Measure ingest, freshness, scale, memory, serving; half an hour
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.freshness --rate 10000 --rate 1000 --rate 50000 --backlog
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.serve

docs: $(VENV)/.demo ## Write docs/reference.md anew from the code
	$(BIN)/python scripts/reference.py docs/reference.md

pin: $(VENV)/.setup ## Upgrade all packages within pyproject.toml and pin them in constraints.txt
	$(BIN)/python -m pip install --upgrade --upgrade-strategy eager --editable '.[train,eval,dev]'
	{ head -n 1 constraints.txt; $(BIN)/python -m pip freeze --all --exclude pip --exclude-editable; } > $(VENV)/pinned
	! grep ' @ ' $(VENV)/pinned  # a package from a path or an address cannot be pinned
	mv $(VENV)/pinned constraints.txt
	touch $(VENV)/.demo $(VENV)/.setup

clean: ## Delete .venv and all caches; models and logs in .freshet stay
	rm -rf $(VENV) build dist ./*.egg-info .*_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

system-packages:
	@scripts/system-packages.sh test

$(VENV)/.demo: EXTRAS := train
$(VENV)/.demo: pyproject.toml constraints.txt
	$(install)
	mv $(VENV)/started $@

$(VENV)/.setup: EXTRAS := train,eval,dev
$(VENV)/.setup: pyproject.toml constraints.txt
	$(install)
	cp -p $(VENV)/started $(VENV)/.demo
	mv $(VENV)/started $@
