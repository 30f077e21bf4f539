# make run   sets up a virtual environment, compiles the whole library and lists it
# make test  sets it up and runs all tests but those with real kernels
# make test-system  installs what they need (Debian, Ubuntu), fetches kernels and runs those
# make docs  writes the reference of the library's leaves into docs/leaves
# make verify-all  proves everything and tries the prover, and writes the tables of docs/verification.md
# Needs Python 3.11 or newer, and for the tests a C compiler. Another Python and some of the tests:
# make test VENV=build/newest PYTHON=python3.15 TESTS=tests/golden

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# What of the library may be linked together: all but the RFC's form of TDX Connect and the drop-ins
# for older kernels, which have functions of the same names.
LIBRARY := $(addprefix tdx/,host.seam guest.seam seamldr.seam tdvmcall.seam resume.seam)

# The library's files that describe leaves or wrappers of leaves.
PAGES := $(shell grep -lE '^(leaf|wrapper) ' seamir/leaves/tdx/*.seam | sed 's|seamir/leaves/||')

.PHONY: run test test-system run-kernel-module kernels lint types bench docs verify-all clean

run: $(STAMP)
	$(BIN)/seamir compile $(LIBRARY) -o build --emit obj,asm,header,manifest
	$(BIN)/seamir compile tdx/connect_rfc.seam -o build/connect --emit obj,asm,header,manifest
	$(BIN)/seamir compile tdx/linux_compat.seam --allow-call kvm_spurious_fault \
		-o build/linux --emit obj,asm,header,manifest
	$(BIN)/python examples/tour.py build/*.json build/*/*.json

test: $(STAMP)
	$(BIN)/python -m pytest -n auto $(TESTS)

test-system: kernels
	$(BIN)/python -m pytest -n auto --dist loadfile tests/kernel

# What examples/kernel-module/README.md shows.
run-kernel-module: kernels
	$(BIN)/python tests/kernel_example.py

kernels: $(STAMP)
	tests/kernel/install
	$(BIN)/python tests/kernels.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m benchmarks.speed

docs: $(STAMP)
	for file in $(PAGES); do $(BIN)/seamir compile $$file --allow-call kvm_spurious_fault \
		-o docs/leaves --emit docs || exit; done

JOBS ?= $(shell nproc)

verify-all: $(STAMP)
	$(BIN)/python tests/prove_library.py --jobs $(JOBS) --record tests/data/proofs.json
	$(BIN)/python tests/fuzz_instructions.py --states 10000 --jobs $(JOBS) --json tests/data/fuzz_instructions.json
	$(BIN)/python tests/fuzz_code_mutants.py --jobs $(JOBS) --json tests/data/code_mutants.json
	$(BIN)/python -m pytest -q tests/unit/test_verify_compiler_errors.py
	rm -f tests/data/fuzz_proofs.json
	$(BIN)/python tests/fuzz_proofs.py --leaves 40 --timeout 20 --jobs $(JOBS) --json tests/data/fuzz_proofs.json
	$(BIN)/python tests/verification_tables.py

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "seamir needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build
