# Everything for one machine. Needs Python 3.11 or later and nothing else: 'make run' and 'make test' set themselves up in .venv.

.DEFAULT_GOAL := help
.PHONY: help run test test-newest test-mutants lint bench bench-long package clean python
SHELL := /bin/sh

VENV := .venv
PYTHONS := python3.11 python3.12 python3.13 python3
PY := $(VENV)/bin/python
RIGHT_VERSION := import sys; sys.exit(sys.version_info < (3, 11))
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev

help:  ## Shows this
	@echo "DIY Relay. Targets:"
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
	@echo "Variables of make run: RECEIVER_PORT CONSOLE_PORT PANGOLIN_PORT FEED_PORT STATE_DIR TRAFFIC (0: none), e.g. TRAFFIC=0 make run"
	@echo "make run BACKEND=google runs the functions of Google Cloud between its emulators (needs gcloud with their components, Java)"

run: python $(INSTALLED)  ## Everything on this machine, with ten seconds of traffic, until Ctrl-C
	@exec $(PY) -m relay.local_run

test: python $(INSTALLED_DEV)  ## Every test that can run here; what is left out is listed with its reason (ARGS="-k name" chooses)
	@exec $(PY) -m pytest -n auto --dist worksteal $(ARGS)

test-newest:  ## The same on the newest Python that is supported
	@$(MAKE) --no-print-directory test VENV=.venv-newest PYTHONS=python3.13

test-mutants: python $(INSTALLED_DEV)  ## Each mechanism that keeps order switched off by itself: the simulation must notice
	@exec $(PY) -m tests.simulation.mutants $(ARGS)

lint: python $(INSTALLED_DEV)  ## Style and strict types
	@$(PY) -m ruff check .
	@$(PY) -m mypy

bench: python $(INSTALLED_DEV)  ## What speed can be measured by, each beside its floor (ARGS="--check" compares with the last release)
	@$(PY) -m bench $(ARGS)

bench-long: python $(INSTALLED_DEV)  ## Floods, large holds, a full console, half an hour of bad weather: three quarters of an hour (Linux)
	@$(PY) -m bench.hostile
	@$(PY) -m bench.holds
	@$(PY) -m bench.console
	@$(PY) -m bench.exchanges
	@$(PY) -m bench.soak

package: python  ## dist/diy-relay.zip, for deploying in the browser (deploy/README.md)
	@$(PY) deploy/package.py dist/diy-relay.zip

clean:  ## Removes what was made here, except the state (.state)
	@rm -rf $(VENV) .venv-newest build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis bench/results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@if [ -d .state ]; then echo "Kept .state, which holds audiences, holds and secrets. To start anew: rm -r .state"; fi

# The virtual environment is made by the first Python that fits; one that no longer works is made anew.
python:
	@if $(PY) -c '$(RIGHT_VERSION)' >/dev/null 2>&1; then exit 0; fi; \
	for candidate in $(PYTHONS); do \
		if $$candidate -c '$(RIGHT_VERSION)' >/dev/null 2>&1; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "DIY Relay needs Python 3.11 or later; none of these is: $(PYTHONS). See https://www.python.org/downloads/" >&2; \
		exit 1; \
	fi; \
	echo "making $(VENV) with $$($$found -V) ..."; \
	rm -rf $(VENV); \
	said=$$($$found -m venv $(VENV) 2>&1) || { \
		rm -rf $(VENV); \
		echo "$$said" >&2; \
		echo "The virtual environment could not be made. On Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; \
	}

$(INSTALLED): requirements.txt pyproject.toml | python
	@echo "installing dependencies ..."
	@$(PY) -m pip install -qq --disable-pip-version-check -r requirements.txt
	@$(PY) -m pip install -qq --disable-pip-version-check --no-deps -e .
	@touch $@

$(INSTALLED_DEV): requirements-dev.txt $(INSTALLED) | python
	@echo "installing what the tests need ..."
	@$(PY) -m pip install -qq --disable-pip-version-check -r requirements-dev.txt
	@touch $@
