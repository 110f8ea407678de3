# `make` alone is the help.
PORT ?= 8080
DATA ?= .data
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.stamp

.DEFAULT_GOAL := help
.PHONY: help setup run test check bench proof screenshots scenarios ci clean

help:  ## this help
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(STAMP)  ## the environment in .venv

$(STAMP): pyproject.toml requirements.lock package-lock.json frontend.py
	@test -x $(PY) || python3 -m venv $(VENV)
	@echo "installing dependencies (once)"
	@$(VENV)/bin/pip install -q --disable-pip-version-check -c requirements.lock -e '.[dev,embedded]' 2>&1 | grep -v '^WARNING' || true
	@$(PY) -c 'import unstuck.cli.main, pytest'
	@$(PY) frontend.py
	@touch $@

run: setup  ## database, demo world, server and workers on http://127.0.0.1:$(PORT)
	@exec $(VENV)/bin/unstuck up --port $(PORT) --data $(DATA)

test: setup  ## the test suite (one seed, smoke-sized proofs)
	@$(PY) -m pytest

check: setup  ## format, lint, types, scripts, import contracts, licences
	@$(VENV)/bin/ruff format --check src tests bench proof docs frontend.py
	@$(VENV)/bin/ruff check src tests bench proof docs frontend.py
	@$(VENV)/bin/mypy
	@$(PY) frontend.py check
	@$(VENV)/bin/lint-imports
	@$(PY) -m proof.licences requirements.lock package-lock.json

bench: setup  ## performance against the other side; ONLY=engine|intake|commands|queue|pages|verify
	@python3 bench/run.py $(or $(ONLY),engine)

proof: setup  ## the promises; ONLY=P1,P4 SCALE=smoke|gate|release SEED=n
	@$(PY) -m proof.run --scale $(or $(SCALE),gate) --seed $(or $(SEED),1) $(if $(ONLY),--only $(ONLY))

screenshots: setup  ## every page in both themes and three widths into shots/, and the two pictures of the README
	@$(PY) docs/screenshots.py

scenarios: setup  ## every scenario, over three seeds
	@for seed in 1 2 3; do $(VENV)/bin/unstuck scenario run all --seed $$seed || exit 1; done

ci: export TESTS_GATE = 1
ci: check test  ## what CI runs: check, test, proofs at gate scale, scenarios over three seeds
	@$(MAKE) --no-print-directory proof SCALE=gate
	@$(MAKE) --no-print-directory scenarios
