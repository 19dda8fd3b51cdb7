# Every command of the project; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
READY := $(VENV)/.ready

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.tools/bin/uv:
	@echo "installing uv into .tools"
	@$(PYTHON) -m venv .tools
	@.tools/bin/pip install --quiet --disable-pip-version-check uv

$(READY): pyproject.toml requirements-dev.lock | $(if $(filter .tools/bin/uv,$(UV)),.tools/bin/uv)
	@test -d $(VENV) || $(UV) venv --quiet --python '>=3.11,<3.15' $(VENV)
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements-dev.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $(READY)

.PHONY: setup
setup: $(READY) ## Build the environment and install what the machine lacks
	@$(BIN)/python starter.py setup --lab

.PHONY: demo
demo: setup ## Play a whole case on real parts, in about a minute
	@$(BIN)/python starter.py demo

.PHONY: up
up: setup ## Run Temporal, its UI and a worker, with the lab to try things on
	@$(BIN)/python starter.py up --lab

.PHONY: test
test: $(READY) ## Run every test
	@$(BIN)/python starter.py setup --tests
	@$(BIN)/python -m tests.time_skipping.server
	@$(BIN)/python -m tests.wire.replay.setup
	@$(BIN)/python -m tests.adapters.crawlers.apps.samples
	@$(BIN)/python -m tests.adapters.s3_server
	@$(BIN)/python -m tests.reports.verapdf
	@$(BIN)/pytest -n 2 --dist loadfile

.PHONY: invariants
invariants: $(READY) ## Look for a broken rule in 10,000 steps, from a new seed each time
	@INVARIANT_STEPS=$${INVARIANT_STEPS:-10500} $(BIN)/pytest -q --timeout 3600 tests/invariants/test_invariants.py

.PHONY: check
check: $(READY) ## Format, lint, types, import rules, compose file
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pyright
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

.PHONY: format
format: $(READY) ## Put the code into the house's form
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

.PHONY: bench
bench: setup ## Measure what a capture, reading its record, and a case cost, each beside a twin or peer
	@$(BIN)/python -m bench.captures
	@$(BIN)/python -m bench.decoding
	@$(BIN)/python -m bench.cases

.PHONY: histories
histories: setup ## Record the histories that the replay tests hold on to, anew
	@$(BIN)/python -m tests.replay.record

.PHONY: lock
lock: $(READY) ## Resolve the dependencies anew into the hashed locks
	@$(UV) pip compile --quiet pyproject.toml --extra apps --generate-hashes --no-emit-index-url --python-version 3.11 --universal -o requirements.lock
	@$(UV) pip compile --quiet pyproject.toml --extra apps --group dev --generate-hashes --no-emit-index-url --python-version 3.11 --universal -c requirements.lock -o requirements-dev.lock

.PHONY: clean
clean: ## Remove what was built and what the demo left
	@rm -rf $(VENV) .tools var demo.json dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
