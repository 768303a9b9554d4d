PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAMPLE := .samples/demo.mp4

INSTALLED := $(VENV)/.installed
LOCK_VENV := build/lock-venv
KEPT_PINS := -c constraints.txt
PIP_INSTALL := $(BIN)/python -m pip install -qq --no-compile
CUDA := -e ^torch -e ^triton -e ^nvidia- -e ^cuda-

# Every process that a test starts would compile again all of ours that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv samples system-deps check-python check-system lint docs test chaos swap canary demo lock upgrade clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Frontfoot needs Python 3.11 or newer, and '$(PYTHON)' is not; choose one with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }

check-system: check-python
	@$(PYTHON) tools/system_packages.py

# The stamp is written last, so an installation that was interrupted is begun again. Modules are compiled when they are
# first imported: to compile them all takes half a minute of one core. pip unpacks one package after the other, on one
# core, and CUDA's and torch are three quarters of it: a second pip unpacks them meanwhile. What the two leave, the last does.
$(INSTALLED): pyproject.toml constraints.txt | check-python
	$(PYTHON) -m venv $(VENV)
	@echo 'Installing the pinned packages into $(VENV): some minutes the first time.'
	@grep $(CUDA) constraints.txt | $(PIP_INSTALL) --no-deps -r /dev/stdin & \
	  grep -v $(CUDA) constraints.txt | $(PIP_INSTALL) --no-deps -r /dev/stdin; wait
	$(PIP_INSTALL) -c constraints.txt -e '.[worker,dev]'
	@touch $@

venv: $(INSTALLED) ## make .venv with the pinned dependencies (again only when they change)

samples: venv ## fetch the sample clip, checked, into .samples (once)
	@$(BIN)/python tools/fetch_sample.py $(SAMPLE)

system-deps: ## install the Debian packages of system-packages.txt (root, or sudo)
	@sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; set -x; \
	  $$sudo apt-get -qq -o DPkg::Lock::Timeout=300 update && \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends \
	    $$(awk '!/^#/ && NF {print $$1}' system-packages.txt) >/dev/null

lint: venv ## ruff, mypy and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: venv ## write docs/metrics.md and what rules may name anew, from the code that measures
	$(BIN)/python -m tools.metrics_page
	$(BIN)/python -m tools.rule_metrics

test: check-system venv samples lint ## set up, then every check: lint and all tests
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

chaos: check-system venv samples ## 200 jobs while everything is killed around them; ARGS='--seed 7 --jobs 50'
	$(BIN)/python tests/support/chaos.py $(ARGS)

swap: check-system venv samples ## a model swapped under 200 jobs, and whatever can come in between; ARGS='--jobs 50'
	$(BIN)/python tests/support/swap.py $(ARGS)

canary: check-system venv samples ## a canary on two workers, and whatever can come in between; ARGS='--athletes 20'
	$(BIN)/python tests/support/canary_scenes.py $(ARGS)

demo: venv samples ## the whole thing on the sample clip: upload, job, findings, report
	@$(PYTHON) tools/system_packages.py worker
	@$(BIN)/python -m frontfoot.demo

lock: check-python ## write constraints.txt anew for a changed pyproject.toml; pins that are there stay
	rm -rf $(LOCK_VENV)
	$(PYTHON) -m venv $(LOCK_VENV)
	$(LOCK_VENV)/bin/python -m pip install -qq $(KEPT_PINS) -e '.[worker,dev]'
	$(LOCK_VENV)/bin/python -m pip check
	pins=$$($(LOCK_VENV)/bin/python -m pip freeze --all --exclude pip --exclude-editable) && \
	  printf '%s\n' '# Every package of `.[worker,dev]`, pinned. Written by `make lock`; not edited by hand.' "$$pins" > constraints.txt
	rm -rf $(LOCK_VENV)

upgrade: ## the same, with the newest of everything that pyproject.toml admits
	@$(MAKE) lock KEPT_PINS=

clean: ## remove what was built or installed here (the sample clip stays)
	rm -rf $(VENV) build dist out .demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
