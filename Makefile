# Needs Python 3.11 or later with pip and venv; everything else is installed into .venv.

PYTHON ?= python3
ENV ?= CartPole-v1
ARGS ?=
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
DOCS_VENV := .venv-docs
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help train test test-all check docs format clean

help:  ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

train: $(VENV)/train.stamp  ## Install what training needs, then train (ENV=Acrobot-v1 ARGS="--seed 1")
	@$(BIN)/tensor-optix train $(ENV) $(ARGS)

test: check  ## Format, lint, types and the fast tests
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test-all: check  ## The same with the learning tests that take longer
	$(BIN)/python -m pytest -m "slow or extras or not slow"

check: $(VENV)/test.stamp  ## Format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(DOCS_VENV)/docs.stamp  ## The documentation as a site: build/docs/html/index.html
	$(DOCS_VENV)/bin/python website/build.py

format: $(VENV)/test.stamp  ## Put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Remove the environment and all caches; runs are kept
	rm -rf $(VENV) $(DOCS_VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/train.stamp: $(BIN)/python requirements.txt pyproject.toml
	@echo "Installing into $(VENV): a minute or two, this once."
	$(PIP) -r requirements.txt
	$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/test.stamp: $(VENV)/train.stamp requirements-dev.txt
	$(PIP) -r requirements-dev.txt
	@touch $@

# Neither training nor tests need it: its packages are in an environment of their own.
$(DOCS_VENV)/docs.stamp: requirements-docs.txt
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip --disable-pip-version-check install --quiet -r requirements-docs.txt
	@touch $@
