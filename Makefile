# The only set-up there is: `make up` and `make test` on a machine with Python 3.11.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: up test unit integration lint docs down clean

up: .venv/installed
	$(BIN)/orchestrator up $(ARGS)

down: .venv/installed
	$(BIN)/orchestrator down $(ARGS)

test: lint unit integration

lint: .venv/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: .venv/developed
	$(BIN)/pytest -m "not integration and not docker"

# Real upstream programs: installs them on the first run (minutes), uses a Docker engine where one answers.
integration: .venv/developed
	$(BIN)/pytest -m "integration or docker" -v --durations=25 --timeout 1800

docs: .venv/developed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.venv/bin/python:
	$(PYTHON) -m venv .venv

# Byte code at once: an editable install leaves it to the first run, and PYTHONDONTWRITEBYTECODE to none.
.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	$(BIN)/python -m compileall -q orchestrator
	touch $@

.venv/developed: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
