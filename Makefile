# Two commands: `make run` and `make test`. `make help` (or plain `make`) lists the rest.

PYTHON      ?= python3
VENV        ?= .venv
CONSTRAINTS ?= constraints.txt
PIP_ARGS    ?=
WORKERS     ?= auto
TABLE       ?= evaluate --table
MUTATE      ?= --sample 10
BENCH       ?= -m hglib experiment accuracy

BIN   = $(VENV)/bin
STAMP = $(VENV)/.installed

# `run` and `test` use the built-in synthetic faces whatever the shell says, so that they give the
# same result everywhere; HGLIB_DATA=/path on make's own command line still wins.
run execute test unit nbval fuzz mutate: export HGLIB_DATA = synthetic
# And a cache of their own: what an older state of the generator left in the home folder is not read.
run execute test unit nbval fuzz mutate: export HGLIB_CACHE = $(CURDIR)/build/cache
# Threads that wait must sleep, not spin: beside other programs spinning made torch ten times slower.
export OMP_WAIT_POLICY ?= passive
# A notebook kernel must choose its own (inline) backend.
unexport MPLBACKEND
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export CONSTRAINTS

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install run test lint unit nbval lab bench fuzz mutate execute sync colab student slides handout explorer site format clean

help:  ## show this list
	@echo "Usage: make TARGET"
	@echo
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'
	@echo
	@echo "Settings, for example:"
	@echo "  make run HGLIB_DATA=/path/to/faces   use the real data (a folder with Kaggle's files)"
	@echo "  make run PYTHON=python3.12           choose the Python that makes $(VENV)"
	@echo "  make run PIP_ARGS='--extra-index-url https://download.pytorch.org/whl/cpu'"
	@echo "                                       torch without CUDA: saves gigabytes on Linux"

install: $(STAMP)  ## make .venv and install everything (the others do this by themselves)

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c "import sys; sys.exit('Python 3.10 or newer is needed; $(PYTHON) is ' + sys.version.split()[0] + '. Try: make PYTHON=python3.12') if sys.version_info < (3, 10) else None"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_ARGS) -c $(CONSTRAINTS) -e ".[dev]"
	@touch $@

run: $(STAMP)  ## execute the notebooks in order, draw figures/, print the result table
	$(BIN)/python tools/notebooks.py execute --to build/notebooks
	$(BIN)/python -m hglib $(TABLE)

test: lint unit nbval  ## ruff, pytest, and nbval over the notebooks

lint: $(STAMP)  ## ruff only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

unit: $(STAMP)  ## pytest only
	MPLBACKEND=Agg $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8

nbval: $(STAMP)  ## run the notebooks and compare their checked outputs
	@rm -rf build/nbval && mkdir -p build/nbval && cp -R notebooks build/nbval  # figures/ is not beside it
	$(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout 600 --durations 5 build/nbval/notebooks

lab: $(STAMP)  ## open JupyterLab on the notebooks
	$(BIN)/jupyter-lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

bench: $(STAMP)  ## what everything costs here, then accuracy against seconds of training
	$(BIN)/python -m hglib experiment costs
	$(BIN)/python $(BENCH)

fuzz: $(STAMP)  ## authors: ten times the bad inputs that `make test` tries
	HGLIB_FUZZ=10 $(BIN)/python -m pytest tests/test_fuzz.py

mutate: $(STAMP)  ## authors: break the library in many small ways and see whether the tests notice
	$(BIN)/python tools/mutate.py $(MUTATE)

execute: $(STAMP)  ## authors: run the notebooks and save their outputs in place
	$(BIN)/python tools/notebooks.py execute

sync: $(STAMP)  ## authors: rewrite headers, links and tables from tools/course.toml and the results
	$(BIN)/python tools/notebooks.py sync

colab: $(STAMP)  ## authors: run the notebooks as on Colab, from a wheel in an empty folder
	$(BIN)/python tools/colab.py

student: $(STAMP)  ## the notebooks without solutions: build/student; with them: build/teacher
	$(BIN)/python tools/editions.py

slides: $(STAMP)  ## slides from the notebooks' own figures: build/slides.html, no network needed
	$(BIN)/python tools/slides.py

handout: $(STAMP)  ## authors: docs/handout.pdf from docs/handout.md
	$(BIN)/python tools/handout.py

explorer:  ## the page "Look inside": explorer/dist (needs Node 20; fetches its packages once)
	@command -v npm >/dev/null || { echo "make explorer needs Node.js 20 or newer, with npm"; exit 1; }
	@cd explorer && { cmp -s package-lock.json node_modules/.stamp || { npm ci --ignore-scripts --no-audit --no-fund && cp package-lock.json node_modules/.stamp; }; }
	cd explorer && node build.mjs

site: $(STAMP) explorer  ## the site with every notebook: build/site/html
	$(BIN)/python -m pip install -q $(PIP_ARGS) -c $(CONSTRAINTS) -e ".[site]"
	$(BIN)/python tools/website.py

format: $(STAMP)  ## authors: let ruff put code and notebooks in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove .venv and build/
	rm -rf $(VENV) build
