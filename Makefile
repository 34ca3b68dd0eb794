# QueueCore: `make` lists the targets. Each does its own set-up: a virtual environment in .venv,
# and what the tests need besides in .tools and node_modules (all three are git-ignored).

PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
# Half as many again as there are cores: a test waits for half of its time.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
WORKERS ?= $(shell expr $(CORES) + $(CORES) / 2)

# The processes that the tests start would compile all modules each time.
unexport PYTHONDONTWRITEBYTECODE

RUN = $(VENV)/bin/python
SETUP = @VENV=$(VENV) $(PYTHON) tests/bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help demo demo-node test test-slow test-all lint format messages requirements upgrade \
	check-requirements peers wheel screenshots bench clean

help: ## List the targets
	@echo "make TARGET, where TARGET is one of:"
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' \
		| awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

demo: ## Start the demo: a Valkey, the dashboard, a worker and jobs (PORT=8000)
	$(SETUP) project
	@PORT=$(PORT) exec $(RUN) -m demo.run

demo-node: ## The same, with a Node BullMQ service on the same queues
	$(SETUP) project demo_node
	@PORT=$(PORT) exec $(RUN) -m demo.run --node

test: ## Run the tests, those in the browser and beside Node's BullMQ included (ARGS="-k name")
	$(SETUP) tools browser peers demo_node
	@$(RUN) -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-slow: ## Run the long tests: kill loops, big runs (up to 45 minutes)
	$(SETUP) tools browser peers demo_node postgres celery host
	@$(RUN) -m pytest -n $(WORKERS) --dist worksteal -m slow $(ARGS)

test-all: ## Run all tests on every Python, Django and server there is
	$(SETUP) tools browser peers demo_node postgres celery host
	@$(RUN) -m tests.matrix

lint: ## Check style, types, layers, Lua and templates
	$(SETUP) tools lua
	@$(RUN) -m ruff check --quiet --output-format concise
	@$(RUN) -m ruff format --check --quiet --output-format concise
	@$(RUN) -m mypy
	@$(VENV)/bin/lint-imports --no-logo
	@$(RUN) -m tests.lua
	@git ls-files -co --exclude-standard -z 'templates/*.html' 'queuecore/templates/*.html' 'demo/*.html' \
		| xargs -0 -r $(VENV)/bin/djade --check --target-version 5.2

format: ## Write code and templates in the project's style
	$(SETUP) tools
	@$(RUN) -m ruff check --quiet --fix
	@$(RUN) -m ruff format --quiet
	@git ls-files -co --exclude-standard -z 'templates/*.html' 'queuecore/templates/*.html' 'demo/*.html' \
		| xargs -0 -r $(VENV)/bin/djade --target-version 5.2

messages: ## Bring the translations' catalogues in line with the sources, and compile them
	$(SETUP) tools
	@$(RUN) -m tests.catalogues $(ARGS)

requirements: ## Bring the locks in line with pyproject.toml, changing as little as may be
	$(SETUP) tools
	@$(RUN) -m tests.locks

upgrade: ## Lock the newest versions there are
	$(SETUP) tools
	@$(RUN) -m tests.locks --upgrade

check-requirements: ## Say whether the locks are in line with pyproject.toml
	$(SETUP) tools
	@$(RUN) -m tests.locks --check

peers: ## Install only the peers: BullMQ for Node (6 and 5) and for Python, Bull Board
	$(SETUP) peers

wheel: ## Build the wheel into dist/
	$(SETUP) tools
	@$(RUN) -m build --quiet --outdir dist

screenshots: ## Make the pictures of the README and the docs from the running demo
	$(SETUP) tools browser
	@$(RUN) -m demo.screenshots

bench: ## Measure against BullMQ for Node and for Python (ARGS=...)
	$(SETUP) tools peers
	@$(RUN) -m bench $(ARGS)

clean: ## Remove what set-up, tests and the demo made (.queuecore with its data, too)
	@rm -rf .venv .venvs .tools .queuecore tests/peers/*/node_modules demo/node/node_modules build dist staticfiles \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
