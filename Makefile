# Needs Python 3.11 or newer, make and a C library. Everything else is installed into .venv from constraints.txt.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
WORKERS ?= auto

.PHONY: help setup demo test test-slow check bench bench-data fix clean
help:
	@echo "make demo       set up, protect examples/digits, verify the release"
	@echo "make test       set up, run the tests (make test-slow: the long and fault-injection ones)"
	@echo "make check      lint, types, import floors"
	@echo "make bench      side by side with the peers, in an environment of their own (make bench-data: verification,"
	@echo "                integrity, poison; hours, and HAUBERK_DATA)"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/user: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing hauberk[torch] into $(VENV)"
	$(PIP) install --constraint constraints.txt --editable '.[torch]'
	@touch $@

$(VENV)/dev: $(VENV)/user
	@echo "installing the development tools into $(VENV)"
	$(PIP) install --constraint constraints.txt --editable '.[torch,dev]'
	@touch $@

setup: $(VENV)/user

demo: $(VENV)/user
	$(BIN)/hauberk protect examples/digits
	$(BIN)/hauberk verify examples/digits/release
	@echo "the report: examples/digits/report.html"

# One thread a worker: two workers with two threads each wait for one another more than they work.
test test-slow: export OMP_NUM_THREADS ?= 1

test: $(VENV)/dev
	$(BIN)/python -m pytest -n $(WORKERS)

test-slow: $(VENV)/dev
	$(BIN)/python -m pytest -n $(WORKERS) -m slow

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

BENCH := .venv-bench/bin
bench: pyproject.toml constraints.txt benchmarks/requirements.txt
	test -x $(BENCH)/python || $(PYTHON) -m venv .venv-bench
	$(BENCH)/python -m pip --disable-pip-version-check --quiet install -c constraints.txt -e '.[torch]' -r benchmarks/requirements.txt
	$(BENCH)/python benchmarks/startup.py
	$(BENCH)/python benchmarks/ledger.py
	$(BENCH)/python benchmarks/sealing.py

# The peers of verification bring many packages, so they have an environment of their own.
bench-data: pyproject.toml constraints.txt benchmarks/requirements-poisoning.txt benchmarks/requirements-verification.txt
	test -x $(BENCH)/python || $(PYTHON) -m venv .venv-bench
	$(BENCH)/python -m pip --disable-pip-version-check --quiet install -c constraints.txt -e '.[torch]' -r benchmarks/requirements-poisoning.txt
	test -x .venv-verify/bin/python || $(PYTHON) -m venv .venv-verify
	.venv-verify/bin/python -m pip --disable-pip-version-check --quiet install -e '.[data]' -r benchmarks/requirements-verification.txt
	.venv-verify/bin/python benchmarks/verification.py
	$(BENCH)/python benchmarks/integrity.py
	$(BENCH)/python benchmarks/poisoning_images.py --peers
	$(BENCH)/python benchmarks/poisoning_tables.py --peers
	$(BENCH)/python benchmarks/repair.py
	$(BENCH)/python benchmarks/certificate.py

clean:
	rm -rf $(VENV) .venv-bench .venv-verify
