# The one door to the project: `make help` lists what stands behind it. CI calls the same targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# The interpreter that .venv is made with: found by itself, or named: make test PYTHON=python3.13
PYTHON ?=
# Further arguments, word for word: make demo ARGS=--web.listen-address=:9999; make unit PYTEST_ARGS='-k labels -x'
ARGS ?=
PYTEST_ARGS ?=
# Test processes at a time, one more than processors, since many tests wait: make test JOBS=1 is the easiest to debug.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# What `make test-fresh` makes: a suite of Debian; `all` of README's commands, or in their place the tests that ten minutes allow (`quick`).
SUITE ?= trixie
EXTENT ?= all

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
PARALLEL := --numprocesses=$(JOBS) --maxprocesses=4 --dist=worksteal

# Each writes texts from their source, or tells with --check whether they are in step.
GENERATORS := $(sort $(wildcard scripts/generate_*.py))

# What a shell may carry about would only confuse .venv.
unexport PYTHONHOME PYTHONPATH PYTHONSTARTUP VIRTUAL_ENV
export PYTHONNOUSERSITE := 1

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^## / {printf "\n%s\n", substr($$0, 4)} \
		/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

## Use it

.PHONY: demo
demo: ## serve http://localhost:10154/metrics from a simulated SendGrid: no key, no configuration
	@PYTHON="$(PYTHON)" scripts/set-up-python run
	@exec $(BIN)/sendgrid-automation-exporter --demo $(ARGS)

.PHONY: wheel
wheel: setup-python ## build the wheel into dist/
	@rm -rf dist build
	@scripts/build-wheel $(BIN)/python dist
	@ls dist/*.whl

## Set it up (the other targets do so by themselves)

.PHONY: setup
setup: setup-python setup-packages setup-tools ## everything that the tests need: .venv, Debian packages, .tools

.PHONY: setup-python
setup-python:
	@PYTHON="$(PYTHON)" scripts/set-up-python dev

.PHONY: setup-packages
setup-packages:
	@scripts/install-packages test

.PHONY: setup-tools
setup-tools: setup-python setup-packages
	@scripts/set-up-tools

.PHONY: clean
clean: ## remove what was built, cached or set up here
	@rm -rf .venv .tools .cache tools/pictures/drawing/node_modules .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache build dist htmlcov
	@find . \( -name __pycache__ -o -name .ruff_cache \) -type d -prune -exec rm -rf {} +

## Test it

.PHONY: test
test: setup ## set up, check, all tests but the long ones
	@scripts/timed "make test without the set-up" $(MAKE) --no-print-directory check tests

.PHONY: tests
tests: setup-python
	@$(PYTEST) $(PARALLEL) -m 'not long' $(PYTEST_ARGS)

.PHONY: check
check: setup-python ## what needs no run: format, lint, types, generated texts, rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@for script in $(GENERATORS); do $(BIN)/python $$script --check; done
	@$(BIN)/python -m scripts.chart --check
	@scripts/check-rules

.PHONY: coverage
coverage: setup-python ## the branch coverage of the tests of the source that need nothing but Python
	@$(PYTEST) $(PARALLEL) -m 'not long and not needs' --ignore=tests/{rules,dashboards,deploy,docs,benchmarks} \
		--cov --cov-report=term $(PYTEST_ARGS)

.PHONY: unit
unit: setup-python ## the tests without sockets and processes: seconds
	@$(PYTEST) -m 'unit and not long' $(PYTEST_ARGS)

.PHONY: contract
contract: setup-python ## the tests of what is promised: names, texts, the API's forms
	@$(PYTEST) -m 'contract and not long' $(PYTEST_ARGS)

.PHONY: e2e
e2e: setup ## the tests with real processes, a real Prometheus among them
	@$(PYTEST) $(PARALLEL) -m 'e2e and not long' $(PYTEST_ARGS)

.PHONY: test-long
test-long: setup ## the tests that take most of a minute each: weeks of clicks, days of requests, twenty kills
	@$(PYTEST) $(PARALLEL) -m long $(PYTEST_ARGS)

## Change it

.PHONY: fmt
fmt: setup-python ## format, and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: docs
docs: setup-python ## write anew what is generated in the README, in docs/ and in the chart
	@for script in $(GENERATORS); do $(BIN)/python $$script; done
	@$(BIN)/python -m scripts.matrix --write
	@$(BIN)/python -m scripts.chart

.PHONY: golden
golden: setup-python ## write tests/data/golden/ anew from the code; read the diff before you commit
	@$(PYTEST) -m contract --update-golden --quiet $(PYTEST_ARGS)

# Targets that take longer than `make test` may, each with a line in .ci/run where it belongs there, stand below here.

.PHONY: test-fresh
test-fresh: ## README's commands on a fresh Debian, as a plain user and as root: make test-fresh SUITE=sid EXTENT=quick
	@scripts/install-packages fresh
	@scripts/test-fresh "$(SUITE)" "$(EXTENT)"

.PHONY: test-status
test-status: setup-python ## look at the status page in Chromium, also at 3 a.m., and take its pictures: some three minutes; needs Node
	@scripts/install-packages status
	@cd tools/pictures/drawing && npm ci --silent --ignore-scripts
	@$(BIN)/python -m tests.web.in_browser $(ARGS)

.PHONY: test-wheel
test-wheel: setup-python ## build the wheel, and try it in an environment of its own
	@$(BIN)/python scripts/test-wheel

.PHONY: test-lowest
test-lowest: ## the unit and contract tests with the oldest dependencies that pyproject.toml admits
	@PYTHON="$(PYTHON)" scripts/lowest test $(PYTEST_ARGS)

.PHONY: audit
audit: ## ask the advisory database about every lock and the lower bounds of pyproject.toml
	@PYTHON="$(PYTHON)" scripts/lowest audit

.PHONY: test-image
test-image: setup-python ## build the container image and run it as a cluster would
	@scripts/test-image

.PHONY: lock
lock: setup-python ## resolve what the locks pin, with hashes
	@scripts/lock

.PHONY: structure
structure: setup-python ## measure the structure: modules, importers, comments, moves of one poll and one scrape
	@$(BIN)/python -m scripts.structure $(ARGS)

.PHONY: matrix
matrix: setup-python ## the fault matrix: run it, then print its table
	@$(PYTEST) $(PARALLEL) tests/matrix $(PYTEST_ARGS)
	@$(BIN)/python -m scripts.matrix

.PHONY: soak
soak: setup-python ## 10,000 polls with churn and faults, 200 kills, a hung state disk: about seven minutes
	@$(BIN)/python -m scripts.soak $(ARGS)

.PHONY: fuzz
fuzz: setup-python ## a long search for input that breaks the wire format or the web config file
	@$(BIN)/python -m scripts.fuzz $(ARGS)

.PHONY: bench
bench: setup ## measure every figure of docs/performance.md: some 20 minutes on a quiet machine
	@scripts/install-packages bench
	@$(BIN)/python -m pip install --quiet --group bench
	@$(BIN)/python -m benchmarks --json benchmarks/results/full.json --text benchmarks/results/full.txt $(ARGS) || true
	@$(BIN)/python -m benchmarks.profiling --markdown benchmarks/results/profile.md
	@$(BIN)/python -m benchmarks.document

.PHONY: dashboards
dashboards: setup-python ## write grafana/dashboards/ anew from their generator
	@$(BIN)/python -W ignore -m tools.dashboards

.PHONY: pictures
pictures: setup ## draw the dashboards with Grafana's own components over a real Prometheus: needs Node
	@scripts/install-packages pictures
	@cd tools/pictures/drawing && npm ci --silent
	@$(BIN)/python -W ignore -m tools.pictures $(ARGS)

.PHONY: rules
rules: setup-python ## write prometheus/rules/ for clicks from their source
	@$(BIN)/python -m tools.rules

.PHONY: alerts-backtest
alerts-backtest: setup ## judge the click rules on hundreds of histories; it goes on where it stopped
	@$(BIN)/python -m tools.backtest --document $(ARGS)

.PHONY: alerts-cost
alerts-cost: setup ## what one evaluation of the rules costs a Prometheus with 20,000 links
	@$(BIN)/python -m tools.backtest.cost $(ARGS)
