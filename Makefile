# Two commands: `make demo` trains CartPole-v1 to solved, `make test` runs the tests. Both set up .venv first.

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# What all tests may take, in minutes of CPU time from a fresh clone: half of it on two quiet cores.
CPU_MINUTES := 16

.PHONY: demo test test-learning test-faults test-mutants check docs completions clean

demo: $(VENV)/.installed
	$(VENV)/bin/lerax train CartPole-v1 --backend tensorboard

test: $(VENV)/.installed-test
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal --durations 20 --cpu-budget $(CPU_MINUTES)

# What takes minutes each and is left out above: tests by their mark.
test-learning: $(VENV)/.installed-test
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal --durations 20 -m $(@:test-%=%)

# Hostile inputs, kills, full disks and what else there is of faults, from a seed (LERAX_FAULTS_SEED): long.
FAULTS := hostile kills combined_faults resume_together sweep_kills
test-faults: $(VENV)/.installed-test
	LERAX_FAULTS=all $(VENV)/bin/python -m pytest $(addprefix tests/test_,$(addsuffix .py,$(FAULTS)))

# Small changes in the arithmetic, each of which a test must notice (tests/mutants/): minutes on two cores.
test-mutants: $(VENV)/.installed-test
	$(VENV)/bin/python tests/mutants/run.py

# Style and types, as CI checks them.
check: $(VENV)/.installed-check
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

# The site, in docs/_build. Warnings are errors; nothing is fetched.
docs: $(VENV)/.installed-docs
	$(VENV)/bin/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build
	@echo docs/_build/index.html

completions: $(VENV)/.installed
	$(VENV)/bin/python completions/generate.py

clean:
	rm -rf $(VENV) dist docs/_build .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "lerax needs Python 3.11 to 3.13: '$(PYTHON)' was not found; set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "lerax needs Python 3.11 to 3.13: '$(PYTHON)' is $$($(PYTHON) -V 2>&1); set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "lerax needs Python's venv module: install it (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) -e '.[test]'
	@touch $@

$(VENV)/.installed-check: $(VENV)/.installed-test
	$(PIP) -e '.[check]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) -e '.[docs]'
	@touch $@
