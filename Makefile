# Every target makes .venv when it is not there: exact versions from constraints.txt, this checkout editable.
#   make generate   100 new crystals into out/          make lint    ruff
#   make test       the tests, on two processes         make types   mypy
#   make bench      speed, memory and quality tables    make docs    the manual, docs/_build/html/index.html
# PYTHON=python3.12 chooses the interpreter; the versions in constraints.txt were resolved for 3.11.

VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
# Two processes of one thread each: torch and BLAS would otherwise start a thread a core in both.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: generate test lint types bench docs
.DELETE_ON_ERROR:

generate: $(VENV)/.dev
	$(BIN)/aristotype generate -n 100 --seed 0 --out out --force

test: $(VENV)/.dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

# torch goes first and alone, at the pinned version: a build that is already at hand (a CPU wheel that pip knows of) is taken,
# and nothing that follows replaces it.
$(VENV)/.dev: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 with venv found; install one (Debian: python3-venv) or set PYTHON=..."; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	$(PIP) --editable '.[dev]'
	touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(PIP) --editable '.[docs]'
	touch $@
