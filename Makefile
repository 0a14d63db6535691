# The steps of CI, for people: `.ci/run` calls these very targets. `make` alone lists them.

PYTHON ?= $(or $(shell command -v python3.11),python3)
BIN    := .venv/bin
# Workers of the test run: two for each core, since many tests wait for servers.
JOBS   ?= $(shell echo $$((2 * $$(nproc))))
# More for pytest, as in `make test ARGS='tests/engine -k recover'`.
ARGS   ?=

PIP := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check --no-input install -qq

.DEFAULT_GOAL := help
.PHONY: help install run test bench coverage docs histories mutants lint fix wheel lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.installed ## Make .venv, with the locked dependencies and the command .venv/bin/evaluator.

# `--without-pip` needs no python3-venv, which Debian leaves out of python3. The build backend is locked like everything else.
.venv/.installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'Python 3.11 or newer is needed. Say which: make PYTHON=python3.12 install' >&2; exit 1; }
	@$(PYTHON) -m pip --version > /dev/null || { echo 'pip is needed: apt-get install python3-pip' >&2; exit 1; }
	@echo 'Making .venv (once, and after a change of dependencies) ...'
	$(PYTHON) -m venv --without-pip .venv
	$(PIP) --require-hashes --requirement requirements-dev.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

run: install ## Watch this machine: the daemon with evaluator.toml, its state in var/, its page on http://127.0.0.1:9464.
	@mkdir -p var
	@exec $(BIN)/evaluator run --config evaluator.toml

test: install ## Run the whole test suite, against real servers.
	.ci/components
	$(BIN)/pytest -n $(JOBS) --dist worksteal $(ARGS)

bench: install ## Measure what sources, judging and the daemon cost, as the tables of docs/performance.md; a quarter of an hour.
	$(BIN)/python -m bench.sources
	$(BIN)/python -m bench.engine
	$(BIN)/python -m bench.language
	$(BIN)/python -m bench.daemon

coverage: install ## Prove that tests/engine and tests/incidents reach every branch of the two pure stations.
	$(BIN)/coverage erase
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal --cov --cov-report= tests/engine tests/incidents
	$(BIN)/coverage report --include='evaluator/engine/*,evaluator/incidents/*' --fail-under=100

histories: install ## Play a million random histories to judging and to an independent model of it; ARGS='--histories 100000' for fewer.
	$(BIN)/python -m tests.story.many --histories 1000000 --processes $(shell nproc) $(ARGS)

mutants: install ## Change judging and deciding in thousands of small ways, and see that tests notice; an hour or two.
	nice $(BIN)/python tests/mutants.py --max-children $(shell nproc) $(ARGS)

lint: install ## Check style, format, types and the layers.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

fix: install ## Mend what a tool can mend: imports, format, simple slips.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: install ## Write the tables of docs/judging.md anew, from those by which is judged.
	$(BIN)/python -m tests.house.judging_tables

wheel: install ## Build what ships, into dist/.
	rm -rf dist
	$(BIN)/python -m hatchling build

lock: install ## Take the newest versions that pyproject.toml allows into the lock files.
	$(BIN)/uv $(UV_COMPILE) pyproject.toml --output-file requirements.lock
	$(BIN)/uv $(UV_COMPILE) pyproject.toml --group test --group lint --group desk --group mutation \
		--constraint requirements.lock --output-file requirements-dev.lock

UV_COMPILE := pip compile --quiet --no-config --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-strip-extras --no-emit-index-url --custom-compile-command 'make lock'

clean: ## Remove what was built and cached. Keeps var/, which is state.
	rm -rf .venv .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist mutants
	find evaluator tests -name __pycache__ -type d -prune -exec rm -rf {} +
