# Everything a newcomer runs. `make demo` and `make test` set up what they need by themselves.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Without an NVIDIA GPU take the CPU build of torch; with one, or with TORCH='torch==2.11.0', what it says.
GPU := $(shell nvidia-smi -L 2>/dev/null | head -n 1)
ifeq ($(strip $(TORCH)$(GPU)),)
CONSTRAINTS := --constraint constraints-cpu.txt
endif

.DEFAULT_GOAL := help
.PHONY: help setup check test proofs serve demo screens evaluate benchmarks islands format clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready ## Make the virtual environment and install

$(VENV)/.ready: pyproject.toml constraints-cpu.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12"; exit 1; }
	@echo "Installing into $(VENV); the first time this takes some minutes."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet $(CONSTRAINTS) $(TORCH) --editable . --group dev
	@touch $@

check: setup ## Lint, types, import contracts, and whether the islands are built
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	islands/check.sh

test: setup ## Run every test
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

proofs: setup ## Run the proofs of what must never happen, at length (an hour)
	PROOFS=1 $(BIN)/python -m pytest -m proof

serve: setup ## Start the server
	$(BIN)/safelight serve

demo: setup ## Start the server, send it real requests, save the images under demo/
	$(BIN)/python -m scripts.demo

screens: setup ## Take a picture of every page and state, into docs/screens/ (minutes)
	$(BIN)/python -m scripts.screens

evaluate: setup ## Measure how well the nano weights obey (minutes)
	$(BIN)/python -m training evaluate

benchmarks: setup ## Measure against the peers; run on a quiet machine
	$(BIN)/python -m benchmarks

islands: ## Build what runs in the browser; needs Node, which nothing else does
	cd islands && npm ci && npm run build

format: setup ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove the virtual environment and what the demo made
	rm -rf $(VENV) demo
