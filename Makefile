# make demo    fit on scikit-learn's digits, print the figures, write pictures into demo/
# make test    run the whole test suite
# Both make a virtual environment in .venv and install what is missing. The rest: make help

PYTHON  ?= python3
VENV    ?= .venv
WORKERS ?= 2
ARGS    ?=

BIN     := $(VENV)/bin
# The constraints hold the tested versions of everything.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test coverage lint format types docs serve dev clean

help:
	@echo "make demo      fit on the digits; pictures go into demo/"
	@echo "make test      the whole suite (ARGS='-k codec' for a part, WORKERS=4 for more processes)"
	@echo "make lint      style, format and the one-way imports"
	@echo "make format    format the code, and repair what can be repaired"
	@echo "make types     the type checker"
	@echo "make docs      the documentation, into site/ (make serve shows it while you write)"
	@echo "make coverage  the suite with a report of the lines that no test reaches"
	@echo "make dev       install everything at once"
	@echo "make clean     remove all that was made, .venv too"

demo: $(VENV)/.package
	$(BIN)/python examples/digits.py --output demo

# One thread for each worker: several processes with many threads each only hinder one another.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

test: $(VENV)/.group-test
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

coverage: $(VENV)/.group-test
	$(BIN)/coverage erase
	$(ONE_THREAD) $(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine
	$(BIN)/coverage report

lint: $(VENV)/.group-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(VENV)/.group-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The signatures of tests and fixtures may be without types; what they call is checked.
IN_TESTS := --allow-untyped-defs --allow-incomplete-defs --allow-any-generics

types: $(VENV)/.group-types $(VENV)/.group-test
	$(BIN)/mypy
	MYPYPATH=tests:benchmarks $(BIN)/mypy $(IN_TESTS) tests/*.py

docs: $(VENV)/.group-docs
	$(BIN)/mkdocs build --strict

serve: $(VENV)/.group-docs
	$(BIN)/mkdocs serve

dev: $(VENV)/.group-dev

clean:
	rm -rf $(VENV) .nox build demo dist site .coverage .coverage.* \
		.hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find gencls tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamp files: each step runs again only when what it depends on is newer.
$(VENV)/.made: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip
	@touch $@

$(VENV)/.package: $(VENV)/.made pyproject.toml gencls/_version.py
	$(INSTALL) --editable ".[metrics,plot]"
	@touch $@

$(VENV)/.group-%: $(VENV)/.package
	$(INSTALL) --group $*
	@touch $@
