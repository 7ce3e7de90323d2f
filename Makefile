# Every target makes what it needs on a fresh machine: Python 3.11 or newer is enough.
#   make demo     the whole idea on a small world: four minutes after the install, offline; opens nothing, prints a path
#   make test     checks and tests
#   make check    formatting, lint, types, documents
#   make docs     the site, in site/: built strictly, offline
#   make fuzz     10 000 damaged inputs for everything that is read, counted (an hour)
#   make audit-dependencies   known vulnerabilities of what is installed (asks the network)
#   make bench    seconds per step and peak memory with paper-size models (about ten minutes)
#   make campaign runs killed, stopped, damaged and out of disk, compared bit for bit (hours; goes on in campaign/)

PYTHON ?= python3
# The version the tests run with; any in pyproject.toml's range works.
TORCH ?= torch==2.13.0
BIN := .venv/bin
# Compiled Python is kept from one process to the next, also where the environment forbids it: tests start many.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test check docs fuzz audit-dependencies bench campaign install clean

demo: install
	$(BIN)/bambino demo

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: install docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

CASES ?= 10000

fuzz: install
	PYTHONPATH=tests HF_HUB_OFFLINE=1 $(BIN)/python -m fuzz --cases $(CASES)

audit-dependencies: install
	$(BIN)/pip install --quiet --disable-pip-version-check 'pip-audit>=2.9,<3'
	$(BIN)/pip-audit --local --skip-editable

bench: install
	$(BIN)/python benchmarks/paper_size.py

campaign: install
	OMP_NUM_THREADS=1 $(BIN)/python tests/campaign.py --out campaign --trials 1000

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv site .pytest_cache .mypy_cache .ruff_cache .hypothesis
