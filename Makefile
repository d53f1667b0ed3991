# Runwright's chores. `make` alone lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
export PYTHONPATH :=
JOBS   ?= $(shell nproc)
# Clusters that test-cluster starts side by side. Its tests mostly wait, and 2.5 GB each is what they cost.
CLUSTERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-unit test-contract test-local test-cluster cluster-up cluster-down test-node node-up node-down images test-images lint generate check-generated requirements audit bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

setup: $(VENV)/.ready  ## make the virtual environment with the pinned requirements

$(VENV)/.ready: requirements/dev.txt requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install -q --require-hashes -r requirements/uv.txt
	@echo "installing the pinned requirements (torch brings its CUDA libraries: about 1.5 GB the first time)"
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install -q --compile-bytecode --require-hashes -r requirements/dev.txt
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install -q --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## run the table example end to end, serve it, print a real prediction
	@$(BIN)/python examples/demo.py

test: lint check-generated test-unit test-contract test-local test-images test-node test-cluster  ## every tier

lint: setup  ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff format --check -q . && $(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >.lint-imports.log || { cat .lint-imports.log; exit 1; }; rm -f .lint-imports.log

test-unit: setup  ## pure logic, golden files, components against their contract
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal tests/unit tests/golden

test-contract: setup  ## our KFP client against the double of its API, or a real one (RUNWRIGHT_TEST_KFP_ENDPOINT)
	@$(BIN)/python -m pytest -q -n $(JOBS) tests/contract

test-local: setup  ## every example end to end on this machine
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist loadgroup tests/local

test-cluster: setup  ## a real Kubernetes control plane with the real peers (Linux, root, Go; builds them once)
	@$(BIN)/python -m pytest -q -n $(CLUSTERS) --dist loadfile tests/cluster

cluster-up: setup  ## start that cluster for a person; prints its kubeconfig
	@$(BIN)/python -m tests.cluster.tier up

cluster-down: setup  ## end it
	@$(BIN)/python -m tests.cluster.tier down

test-node: setup  ## the same with one real node: pods that compute, S3, a registry (Linux, root, Go, containerd, runc)
	@$(BIN)/python -m pytest -q tests/node

node-up: setup  ## start that cluster for a person; prints its kubeconfig
	@$(BIN)/python -m tests.node.tier up

node-down: setup  ## end it
	@$(BIN)/python -m tests.node.tier down

test-images: setup  ## what is in the images, and whether it runs in them (Debian 12, root); builds what is missing
	@$(BIN)/python -m pytest -q tests/containers

images: setup  ## the container images, into dist/images; no engine is needed (Debian 12)
	@$(BIN)/python components/images/build.py --save dist/images

generate: setup  ## draw the CRD and the golden pipelines again from the code
	@$(BIN)/python -m runwright_api.crd manifests/crd/trainingruns.yaml charts/runwright/files/trainingruns.yaml
	@$(BIN)/python -m runwright_api.reference docs/reference/trainingrun.md
	@$(BIN)/python -m runwright_pipelines.drawing
	@$(BIN)/python -m tests.golden.generate
	@$(BIN)/python -m tests.golden.rendering

check-generated: setup generate  ## fail when a generated file differs from what is committed
	@git diff --exit-code --stat -- manifests charts docs/reference tests/golden pipelines docs/install.md || \
	  { echo "generated files differ from the code: run 'make generate' and commit the result"; exit 1; }

requirements: setup  ## pin again, with hashes
	@for pair in dev:dev components:all serve:serve,cluster operator:operator airflow:airflow; do \
	  name=$${pair%%:*}; extras=$$(echo $${pair##*:} | sed 's/\([a-z]*\),\{0,1\}/--extra \1 /g'); \
	  constraint=$$(test $$name = dev -o $$name = airflow || echo "-c requirements/dev.txt"); \
	  $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    $$extras $$constraint pyproject.toml -o requirements/$$name.txt $(UPGRADE) || exit 1; \
	done
	@echo uv | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  - -o requirements/uv.txt $(UPGRADE)

audit: setup  ## known vulnerabilities of the pinned requirements (needs the advisory service)
	@$(BIN)/pip-audit --disable-pip --require-hashes -r requirements/dev.txt

bench: setup  ## every benchmark; see docs/benchmarks.md for one at a time
	@for bench in tests/bench/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench || failed="$$failed $$bench"; done; \
	test -z "$$failed" || { echo "did not end well:$$failed"; exit 1; }

clean:  ## remove what runs and tests left behind, not the virtual environment
	rm -rf .runwright examples/*/.runwright .pytest_cache .mypy_cache .ruff_cache
