# Everything you can do with the project: `make help` lists the targets. CI calls the same ones.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# The interpreter for .venv; by default it is searched for. To choose one: make test PYTHON=python3.13
PYTHON ?=
# Additional arguments, passed unchanged: make demo ARGS=--web.listen-address=:9999; make unit PYTEST_ARGS='-k labels -x'
ARGS ?=
PYTEST_ARGS ?=
# Number of parallel test processes, one more than processors since many tests wait: make test JOBS=1 is the easiest to debug.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# For `make test-fresh`: a Debian suite; `all` of README's commands, or only the tests that fit into ten minutes (`quick`).
SUITE ?= trixie
EXTENT ?= all

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
PARALLEL := --numprocesses=$(JOBS) --maxprocesses=4 --dist=worksteal

# Each writes texts from their source, or checks with --check that they are up to date.
GENERATORS := $(sort $(wildcard scripts/generate_*.py))

# These variables of the user's shell would interfere with .venv.
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
setup: setup-python setup-packages setup-tools ## install everything that the tests need: .venv, Debian packages, .tools

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
clean: ## remove everything built, cached or set up here
	@rm -rf .venv .tools .cache tools/pictures/drawing/node_modules .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache build dist htmlcov
	@find . \( -name __pycache__ -o -name .ruff_cache \) -type d -prune -exec rm -rf {} +

## Test it

.PHONY: test
test: setup ## set up, check, and run all tests except the long ones
	@scripts/timed "make test without the set-up" $(MAKE) --no-print-directory check tests

.PHONY: tests
tests: setup-python
	@$(PYTEST) $(PARALLEL) -m 'not long' $(PYTEST_ARGS)

.PHONY: check
check: setup-python ## static checks: format, lint, types, generated texts, rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@for script in $(GENERATORS); do $(BIN)/python $$script --check; done
	@$(BIN)/python -m scripts.chart --check
	@scripts/check-rules

# Not test_idle.py, which looks at what a process has imported: measuring imports more.
.PHONY: coverage
coverage: setup-python ## measure the branch coverage of the tests of the source that need only Python
	@$(PYTEST) $(PARALLEL) -m 'not long and not needs' \
		--ignore=tests/{rules,dashboards,deploy,docs,benchmarks,end_to_end/test_idle.py} \
		--cov --cov-report=term $(PYTEST_ARGS)

.PHONY: unit
unit: setup-python ## run the tests without sockets and processes: seconds
	@$(PYTEST) $(PARALLEL) -m 'unit and not long' $(PYTEST_ARGS)

.PHONY: contract
contract: setup-python ## run the tests of what others rely on: names, texts, forms of the API
	@$(PYTEST) $(PARALLEL) -m 'contract and not long' $(PYTEST_ARGS)

.PHONY: e2e
e2e: setup ## run the tests with real processes, including a real Prometheus
	@$(PYTEST) $(PARALLEL) -m 'e2e and not long' $(PYTEST_ARGS)

.PHONY: test-long
test-long: setup ## run the tests that take up to a minute each: weeks of clicks, days of requests, twenty kills
	@$(PYTEST) $(PARALLEL) -m long $(PYTEST_ARGS)

## Change it

.PHONY: fmt
fmt: setup-python ## format, and apply ruff's fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: docs
docs: setup-python ## regenerate the generated parts of README, docs/ and the chart
	@for script in $(GENERATORS); do $(BIN)/python $$script; done
	@$(BIN)/python -m scripts.matrix --write
	@$(BIN)/python -m scripts.chart

.PHONY: golden
golden: setup-python ## regenerate tests/data/golden/ from the code; read the diff before you commit
	@$(PYTEST) -m contract --update-golden --quiet $(PYTEST_ARGS)

# Targets that take too long for `make test`; each that CI needs has a line in .ci/run.

.PHONY: test-fresh
test-fresh: ## run README's commands on a fresh Debian, as an ordinary user and as root: make test-fresh SUITE=sid EXTENT=quick
	@scripts/install-packages fresh
	@scripts/test-fresh "$(SUITE)" "$(EXTENT)"

.PHONY: test-status
test-status: setup-python ## test the status page in Chromium and take its pictures: about three minutes; needs Node
	@scripts/install-packages status
	@cd tools/pictures/drawing && npm ci --silent --ignore-scripts
	@$(BIN)/python -m tests.web.in_browser $(ARGS)

.PHONY: test-wheel
test-wheel: setup-python ## build the wheel and test it in a separate environment
	@$(BIN)/python scripts/test-wheel

.PHONY: test-lowest
test-lowest: ## run the unit and contract tests with the oldest dependencies that pyproject.toml allows
	@PYTHON="$(PYTHON)" scripts/lowest test $(PYTEST_ARGS)

.PHONY: audit
audit: ## check every lock and the lower bounds of pyproject.toml against the advisory database
	@PYTHON="$(PYTHON)" scripts/lowest audit

.PHONY: test-image
test-image: setup-python ## build the container image and run it as a cluster would
	@scripts/test-image

.PHONY: lock
lock: setup-python ## update the locks, with hashes
	@scripts/lock

.PHONY: structure
structure: setup-python ## measure the structure: modules, importers, comments, module crossings of a poll and a scrape
	@$(BIN)/python -m scripts.structure $(ARGS)

.PHONY: matrix
matrix: setup-python ## run the fault matrix, then print its table
	@$(PYTEST) $(PARALLEL) tests/matrix $(PYTEST_ARGS)
	@$(BIN)/python -m scripts.matrix

.PHONY: soak
soak: setup-python ## run 10,000 polls with churn and faults, 200 kills, a hung state disk: about seven minutes
	@$(BIN)/python -m scripts.soak $(ARGS)

.PHONY: fuzz
fuzz: setup-python ## fuzz the wire format and the web config file
	@$(BIN)/python -m scripts.fuzz $(ARGS)

.PHONY: bench
bench: setup ## measure every figure of docs/performance.md: about 20 minutes on a quiet machine
	@scripts/install-packages bench
	@$(BIN)/python -m pip install --quiet --group bench
	@$(BIN)/python -m benchmarks --json benchmarks/results/full.json --text benchmarks/results/full.txt $(ARGS) || true
	@$(BIN)/python -m benchmarks.profiling --markdown benchmarks/results/profile.md
	@$(BIN)/python -m benchmarks.document

.PHONY: dashboards
dashboards: setup-python ## regenerate grafana/dashboards/
	@$(BIN)/python -W ignore -m tools.dashboards

.PHONY: pictures
pictures: setup ## draw the dashboards with Grafana's own components over a real Prometheus: needs Node
	@scripts/install-packages pictures
	@cd tools/pictures/drawing && npm ci --silent
	@$(BIN)/python -W ignore -m tools.pictures $(ARGS)

.PHONY: rules
rules: setup-python ## regenerate prometheus/rules/ for clicks and mails
	@$(BIN)/python -m tools.rules

.PHONY: alerts-backtest
alerts-backtest: setup ## evaluate the click rules on hundreds of histories; resumes where it stopped
	@$(BIN)/python -m tools.backtest --document $(ARGS)

.PHONY: alerts-cost
alerts-cost: setup ## measure what one evaluation of the rules costs a Prometheus with 20,000 links
	@$(BIN)/python -m tools.backtest.cost $(ARGS)
