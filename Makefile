# `make` alone lists what there is. Everything is installed into .venv, from the locked files, by itself.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
VENV := .venv
BIN := $(VENV)/bin
# Stamps: a locked file that is newer than its stamp is installed again.
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
PEERS := $(VENV)/.peers-installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SOURCES := dashboard tasks workers tests benchmarks
ARGS ?=
# Files of tests that run at once: most of their time is waiting for real programs, so more than the cores.
PROCESSES ?= 3

.PHONY: help setup run test lint format check fuzz audit licences sbom demo chaos bench lock clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEV) ## make .venv with everything that runs and tests the project

run: $(RUNTIME) ## start Redis, workers and the dashboard; Ctrl-C stops them
	@exec $(BIN)/python -m tasks.cli up $(ARGS)

test: $(DEV) ## run the tests (ARGS="-k cancel -x" goes to pytest)
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile $(ARGS)

fuzz: $(DEV) ## spoil files and Redis values for long and print what was tried (CASES=100000)
	@FUZZ_CASES=$(or $(CASES),20000) $(BIN)/python -m pytest -q tests/fuzz $(ARGS)

lint: $(DEV) ## find what ruff would complain about
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)

format: $(DEV) ## put the source into its format
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

check: lint ## lint, types, import rules, stray whitespace and secrets: what CI runs
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@.ci/tidy
	@$(BIN)/python .ci/audit --licences

audit: $(DEV) ## look the locked packages up among known advisories, where a source can be reached, and check licences
	@$(BIN)/python .ci/audit

licences: $(DEV) ## write docs/licences.md from what is locked
	@$(BIN)/python .ci/audit --write --licences

sbom: $(DEV) ## write dist/sbom.cdx.json, the bill of materials of what is locked (CycloneDX)
	@mkdir -p dist
	@PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-reproducible -o dist/sbom.cdx.json

demo: $(RUNTIME) ## fill a scratch board with a job in every state and show it
	@INGESTBOARD_DATA=.demo exec $(BIN)/python -m tasks.demo $(ARGS)

chaos: $(DEV) ## kill real programs by a drawn schedule and check what is left (ARGS="--seed 7 --seconds 600")
	@$(BIN)/python -m tests.chaos $(or $(ARGS),--seconds 300)

bench: $(PEERS) ## run the benchmarks beside their peers and print the tables
	@for program in pickup submit cancel recovery ingest resubmit scale quality snapshots board pixel viewers; do $(BIN)/python -m benchmarks.$$program $(ARGS); done

COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-config --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --build-deps-for editable

lock: $(DEV) ## resolve pyproject.toml into the locked files (ARGS="--upgrade" takes newer versions)
	@$(COMPILE) $(ARGS) --output-file requirements.txt pyproject.toml
	@$(COMPILE) $(ARGS) --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

clean: ## remove what can be made again; DATA stays
	@rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .demo test-artifacts build dist
	@find $(SOURCES) -type d -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Ingestboard needs Python 3.11 or newer, and $(PYTHON) is older or missing; install it or name one: make PYTHON=/path/to/python." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "Python cannot make a virtual environment here; on Debian and Ubuntu install python3-venv." >&2; exit 1; }

$(RUNTIME): requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing what Ingestboard runs on (about a minute the first time) ..." >&2
	@$(PIP) --require-hashes -r requirements.txt
	@PYTHONWARNINGS=ignore $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	@echo "Installing what the tests and checks need ..." >&2
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

$(PEERS): benchmarks/requirements.txt $(DEV)
	@$(PIP) --no-deps --require-hashes -r benchmarks/requirements.txt
	@touch $@
