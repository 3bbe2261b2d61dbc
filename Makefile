# make help says what there is; every target sets up what it needs, and the second time at once.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
TESTABLE := $(VENV)/.testable
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
INKPROOF := $(VENV)/bin/inkproof
PEERS := .venv-peers
PEERS_READY := $(PEERS)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint bench-attacks bench-capture bench-real bench-simulator bench-channel bench-scale bench-threads bench-gpu sample clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## create the virtual environment and install inkproof in it

$(READY): pyproject.toml constraints.txt setup-system.sh
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "inkproof needs Python 3.11 or newer; try: make PYTHON=python3.12 demo")'
	@sh setup-system.sh
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(TESTABLE): $(READY)
	$(PIP) -e '.[test]'
	@touch $@

demo: $(READY) ## run the built-in experiment and say where its report is
	$(INKPROOF) demo

# Up to eight at once: each holds PyTorch and the photos that it reads.
PYTEST := $(VENV)/bin/python -m pytest -q -n auto --maxprocesses 8 --dist worksteal

test: $(TESTABLE) ## the test suite, on all cores
	$(PYTEST) -m 'not slow'

test-all: $(TESTABLE) ## the test suite with the slow tests
	$(PYTEST)

lint: $(TESTABLE) ## style and types
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

bench-capture: $(READY) ## how well and how fast photographs are read, beside a naive reader
	$(VENV)/bin/python benchmarks/capture.py
	$(VENV)/bin/python benchmarks/composed_pages.py

bench-real: $(READY) ## how near the simulator comes to real photographs of real prints
	$(VENV)/bin/python benchmarks/real_prints.py $(ARGS)

bench-simulator: $(READY) ## what a simulated photo costs, beside reading its file
	$(VENV)/bin/python benchmarks/simulator_cost.py

bench-channel: $(READY) ## what print and photograph cost an attack, beside the network that it attacks
	$(VENV)/bin/python benchmarks/channel_cost.py

bench-scale: $(READY) ## what a Ray cluster costs beside processes, and what more machines bring
	$(VENV)/bin/python benchmarks/scale.py $(ARGS)

bench-threads: $(READY) ## how PyTorch's threads fare alone and beside other work
	$(VENV)/bin/python benchmarks/threads.py $(ARGS)

bench-gpu: $(READY) ## everything that asks a network, on a GPU beside the CPU: how far apart, how fast (8 min)
	$(VENV)/bin/python benchmarks/gpu.py $(ARGS)

bench-attacks: $(PEERS_READY) ## what attacks cost and find, beside Foolbox, torchattacks and ART
	$(PEERS)/bin/python benchmarks/attacks.py $(ARGS)

# torchattacks wants an old release of requests, which it never asks for anything: installed without what it wants.
$(PEERS_READY): pyproject.toml constraints.txt setup-system.sh
	@sh setup-system.sh
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[foolbox,art,onnx]'
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps torchattacks==3.5.1
	@touch $@

sample: $(READY) ## make the committed sample run and the README's picture again
	rm -rf printouts/sample captures/sample reports/sample
	$(INKPROOF) run examples/sample.toml --workers 1
	$(VENV)/bin/python docs/make_strip.py

clean: ## remove the virtual environments (runs are kept)
	rm -rf $(VENV) $(PEERS)
