# The two commands are `make up` and `make test`; everything works without root, Docker or Nix.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
LOCK := UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile -q --universal --generate-hashes --no-annotate --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help up down status logs restart api doctor test test-container check format bench lock clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

up: $(VENV)/.installed ## Start the whole stack and wait until it is ready
	@$(BIN)/holdfast up

down: $(VENV)/.installed ## Stop it in order
	@$(BIN)/holdfast down

status: $(VENV)/.installed ## Show its processes
	@$(BIN)/holdfast status

logs: $(VENV)/.installed ## Show its log, readable, and follow it
	@$(BIN)/holdfast logs

restart: $(VENV)/.installed ## Replace API processes one by one, then worker and beat
	@$(BIN)/holdfast restart

api: $(VENV)/.installed-dev ## Run the API alone with reload on port 8000
	@$(BIN)/holdfast api --reload

doctor: $(VENV)/.installed ## Name each fault of machine and configuration, with its fix
	@$(BIN)/holdfast doctor

test: $(VENV)/.installed-dev ## Install what tests need and run all of them
	@$(BIN)/python scripts/test.py

test-container: $(VENV)/.installed-dev ## Build the images and try them in a container engine
	@sh scripts/build-backend.sh
	@sh scripts/build-backend.sh holdfast:development --target development
	@. scripts/engine.sh && $(BIN)/pytest -q tests/container

check: $(VENV)/.installed-dev ## Format, lint, types and the import contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev ## Put the source in form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev ## Print the figures of this machine, each as a ratio in one run
	@$(BIN)/python -m bench

lock: $(UV) ## Pin the dependencies anew
	$(LOCK) --upgrade pyproject.toml -o requirements.txt
	$(LOCK) --upgrade pyproject.toml --extra embedded -c requirements.txt -o requirements-embedded.txt
	$(LOCK) --upgrade pyproject.toml --extra embedded --group dev -c requirements-embedded.txt -o requirements-dev.txt
	$(BIN)/python nix/wheels/update.py

clean: ## Remove the virtual environment and caches; the state folder stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage*

# The virtual environment: made once, and brought up to date when a lock file changes.
$(UV):
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/bootstrap.sh

$(VENV)/.installed: requirements-embedded.txt pyproject.toml scripts/embedded_redis.py | $(UV)
	@lock=requirements-embedded.txt; if [ -e $(VENV)/.installed-dev ]; then lock=requirements-dev.txt; fi; \
	$(UV) pip install -q --require-hashes -r $$lock
	@$(UV) pip install -q --no-deps -e .
	@$(BIN)/python scripts/embedded_redis.py
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt pyproject.toml scripts/embedded_redis.py | $(UV)
	@$(UV) pip install -q --require-hashes -r requirements-dev.txt
	@$(UV) pip install -q --no-deps -e .
	@$(BIN)/python scripts/embedded_redis.py
	@touch $@ $(VENV)/.installed
