# make demo   the day-offline scenario with real processes on loopback
# make test   style, types, every test, and every branch of pki/verify run by one
# make bench  what verification costs, and a charger's messages, next to raw work and to others (bench/README.md)
# make soak   plans of kills, power cuts and all other faults, for hours (SOAK_ARGS="--seed 7", see CONTRIBUTING.md)
# Each sets up .venv from PyPI by itself; nothing else is needed than Python 3.11+, make and git.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST_ARGS ?=
SOAK_ARGS ?=

.PHONY: demo test lint bench soak docs clean
.DELETE_ON_ERROR:

demo: $(VENV)/.run
	$(BIN)/pnc-sim run firmware_sim/scenarios/day_offline.toml

# Only the tests of the verifier are measured: a tracer would slow the others down for nothing.
JUDGES := tests/pki tests/vectors tests/crossed
SERVICE := tests/pki/registry tests/pki/web tests/pki/pool
# The others run in two processes, file by file; those that take minutes begin.
LONG := tests/site tests/test_readme.py tests/test_pki_page.py tests/laws
SHORT := $(filter-out $(LONG) $(JUDGES) tests/__pycache__,$(patsubst %/,%,$(wildcard tests/*/)) $(wildcard tests/test_*.py))

test: lint
ifeq ($(strip $(PYTEST_ARGS)),)
	$(BIN)/python -m coverage erase
	$(MAKE) --no-print-directory -j 2 -Otarget $(JUDGES:%=judge/%)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(LONG) $(SHORT) $(SERVICE)
else
	$(BIN)/python -m pytest $(PYTEST_ARGS)
endif

# One folder of the judges; two of them run side by side.
judge/%:
	$(BIN)/python -m coverage run -m pytest $* $(SERVICE:%=--ignore=%)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/mypy

# The pages that are made from the code.
docs: $(VENV)/.run
	$(BIN)/python docs/generate.py

bench: $(VENV)/.test
	$(BIN)/python -m bench.verify
	$(BIN)/python -m bench.meter
	$(BIN)/python -m bench.answers
	$(BIN)/python -m bench.service
	$(BIN)/python -m bench.registry
	$(BIN)/python -m bench.chargers
	$(BIN)/python -m bench.ledger
	$(BIN)/python -m bench.settlement
	$(BIN)/python -m bench.outbox
	$(BIN)/python -m bench.whitelist
	$(BIN)/python -m bench.roaming
	$(BIN)/python -m bench.drain
	$(BIN)/python -m bench.start
	$(BIN)/python -m bench.week 1
	$(BIN)/python -m bench.ingest

soak: $(VENV)/.test
	$(BIN)/python -m tests.site.faults.soak $(SOAK_ARGS)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "pncgate needs Python 3.11, 3.12 or 3.13; none was found. Name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON) (once; packages come from PyPI)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) install -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .coverage certs/lab build dist
