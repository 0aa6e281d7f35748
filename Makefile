# evensky's commands. Each does its own set-up, in .venv, and can be interrupted and run again.
# Needed: Python 3.11 or newer with venv (PYTHON=... chooses another), git, make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := PYTHON="$(PYTHON)" bash ops/setup.sh develop

# An environment that somebody has activated, or a path of theirs, is not ours.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
# Nor is one that has each process read our sources anew, of which the tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE
# Nor are switches of the compiler that turn it off or slow it down; where it keeps its files is theirs.
unexport $(filter-out NUMBA_CACHE_% NUMBA_CPU_%,$(filter NUMBA_%,$(.VARIABLES)))
export PYTHONNOUSERSITE := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check prove fuzz bench-core bench-night bench-pipeline bench-stream lock clean setup setup-dev

help:  ## say what there is
	@echo "evensky: make COMMAND"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: setup  ## a simulated night, from warps to models, pictures and checked numbers
	@$(BIN)/evensky demo

# Two processes, each with brokers of its own: while one waits, the other computes.
test: setup-dev  ## all tests (those of Kafka need Java 17, Maven and openssl, some need promtool)
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: setup-dev  ## lint, format, types, import contracts, the house's own rules
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest --quiet tests/test_house.py

prove: setup-dev  ## hold the figures of reliability with real brokers and kills (PROVE="1 3 --scale 0.1")
	@$(BIN)/python -m ops.proof $(PROVE)

fuzz: setup  ## damage warps for a while, and see that none is misread (FUZZ="--seconds 600")
	@$(BIN)/python -m ops.fuzz $(FUZZ)

bench-core: setup  ## how fast and how lean the mathematics is (BENCH="--side 2000 --only speed")
	@$(BIN)/python -m ops.bench core $(BENCH)

bench-pipeline: setup-dev  ## what a warp costs, from file to model (BENCH="--only price --side 2000")
	@$(BIN)/python -m ops.bench pipeline $(BENCH)

bench-night: setup  ## 500 warps of full size through a small spool (BENCH="--groups 1 --warps 20")
	@$(BIN)/python -m ops.bench night $(BENCH)

bench-stream: setup  ## how fast the service is, on a file and on a broker (BENCH="--events 20000 --only flow")
	@$(BIN)/python -m ops.bench stream $(BENCH)

# The larger first: what only the tests want may allow less.
lock: $(BIN)/uv  ## solve the requirements anew (UPGRADE=1 takes the newest of everything)
	@$(call lock,requirements-dev.lock,--group dev)
	@$(call lock,requirements.lock,--constraint requirements-dev.lock)

clean:  ## remove what these commands made
	rm -rf $(VENV) .kafka .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache evensky-demo
	find core schemas stream tests ops -name __pycache__ -prune -exec rm -rf {} +

setup:
	@$(SETUP) requirements.lock $(VENV)

setup-dev:
	@$(SETUP) requirements-dev.lock $(VENV)

# Only if there is none: the locks may not fit the requirements yet, which is why they are solved.
$(BIN)/uv:
	@$(SETUP) requirements-dev.lock $(VENV)

# One lock for every Python and machine; no index address and nothing of whoever solved it.
lock = $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate $(if $(UPGRADE),--upgrade) \
	--group build $(2) --output-file $(1) pyproject.toml
