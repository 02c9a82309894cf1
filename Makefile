# What one does with a checkout. Needs Python 3.11 or newer, and its venv module; everything else goes into .venv.

PYTHON ?= python3
BIN := .venv/bin
LISTEN := 127.0.0.1:1053

# Modules are compiled once, as where they are installed, whatever the shell says: half of a start is that otherwise.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test check format bench soak fuzz clean

run: .venv/installed  ## Serve config/example on 127.0.0.1:1053
	@echo 'Try, in another terminal:  dig @$(firstword $(subst :, ,$(LISTEN))) -p $(lastword $(subst :, ,$(LISTEN))) alpaca-prod.default.svc.cluster.local'
	@$(BIN)/clusterdns serve --manifests config/example --listen $(LISTEN)

test: .venv/developing  ## Run all tests, on all cores
	@for tool in dig nslookup; do command -v $$tool >/dev/null || \
	  { echo "make test needs $$tool: apt-get install bind9-dnsutils" >&2; exit 2; }; done
	$(BIN)/python -m pytest -n auto --dist worksteal

check: .venv/developing  ## Format, lint, types, and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/developing
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/bench  ## Compare what a query costs with a C loop that only echoes, and with other DNS servers; ARGS=--help
	@for tool in dnsperf cc; do command -v $$tool >/dev/null || \
	  { echo "make bench needs $$tool: apt-get install dnsperf gcc" >&2; exit 2; }; done
	$(BIN)/python -m tests.benchmarks $(ARGS)

soak: .venv/developing  ## Load, changes, reloads and faults for MINUTES=5, by SEED=any; more with ARGS=--help
	$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: .venv/fuzz  ## Mutate what comes from outside, for SECONDS=60 a target; more with ARGS=--help
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(ARGS)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with make PYTHON=…" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' || \
	  { echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml
	@echo 'Installing into .venv; the first time, this takes a minute.'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/developing: .venv/bin/python pyproject.toml
	@echo 'Installing into .venv what tests and checks need; the first time, this takes some minutes.'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,check]'
	@touch $@ .venv/installed

.venv/bench: .venv/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

.venv/fuzz: .venv/developing
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@touch $@

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
