# make run   sets up a virtual environment and shows what seamir does
# make test  sets it up and runs all tests
# make docs  writes the reference of the library's leaves into docs/leaves
# Needs Python 3.11 or newer, and for the tests a C compiler.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The library's files that describe leaves, by their paths in the library.
LEAVES := $(patsubst seamir/leaves/%,%,$(shell grep -l '^leaf ' seamir/leaves/tdx/*.seam))

.PHONY: run test lint types bench docs clean

run: $(STAMP)
	$(BIN)/seamir compile tdx/host.seam -o build --emit obj,asm,header,manifest
	$(BIN)/python examples/tour.py build/host.json

test: $(STAMP)
	$(BIN)/python -m pytest -n auto

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m benchmarks.speed

docs: $(STAMP)
	for file in $(LEAVES); do $(BIN)/seamir compile $$file -o docs/leaves --emit docs || exit; done

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "seamir needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build
