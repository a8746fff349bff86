PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DIRS   := fsm bus store app provisioners tools
READY  := build/.installed
RIVALS := build/rivals
LINKS  := build/.linked
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check fix bench chaos failover fuzz hostile flood docs sbom audit lock link clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer, please: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# Everything pinned and hashed, the build backend too; that is why the project itself is built without isolation.
$(READY): pyproject.toml constraints.txt $(VENV)/pyvenv.cfg
	$(PIP) install -q --require-hashes -r constraints.txt
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@mkdir -p $(@D) && touch $@

# An editable install finds new files at once, but type checkers cannot read its import hook: give mypy
# folders that spell the namespace.
$(LINKS): Makefile
	@mkdir -p build/types/workspaced
	@for d in $(DIRS); do ln -sfn ../../../$$d build/types/workspaced/$$d; done
	@touch $@

demo: $(READY)  ## one chat from nothing to ready, both servers included
	$(BIN)/workspaced demo

# Two workers, each with its own pair of servers.
test: $(READY)  ## all tests
	$(BIN)/pytest -q -n 2 --dist loadfile

check: $(READY) $(LINKS)  ## types, style and borders, as CI runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check -q .
	$(BIN)/mypy $(foreach d,$(DIRS),-p workspaced.$(d))
	$(BIN)/mypy tests examples
	$(BIN)/lint-imports
	$(PIP) check -q
	$(BIN)/python -P docs/supply.py
	$(BIN)/python -P docs/licences.py --check

fix: $(READY)  ## format, and mend what ruff can mend
	$(BIN)/ruff check -q --fix . || true
	$(BIN)/ruff format -q .

# What the benchmark needs besides, in an environment of its own: a rival may bring what we would not ship (psycopg is LGPL).
$(RIVALS)/.installed: bench/constraints.txt constraints.txt pyproject.toml
	$(PYTHON) -m venv $(RIVALS)
	for pins in constraints.txt bench/constraints.txt; do \
		$(RIVALS)/bin/python -m pip --disable-pip-version-check install -q --require-hashes -r $$pins || exit 1; done
	$(RIVALS)/bin/python -m pip --disable-pip-version-check install -q --no-deps --no-build-isolation -e .
	@touch $@

bench: $(RIVALS)/.installed  ## measure everything beside rivals and limits, draw the plots; QUICK=1 takes two minutes
	PYTHONPATH=bench $(RIVALS)/bin/python -P bench/run.py
	-PYTHONPATH=bench $(RIVALS)/bin/python -P bench/check.py

SECONDS ?= 60
SEED    ?= 1
chaos: $(READY)  ## kill, stop and restart everything under load, then audit; SECONDS=600 SEED=1
	PYTHONPATH=chaos $(BIN)/python -P chaos/run.py --seconds $(SECONDS) --seed $(SEED)

failover: $(READY)  ## kill one of two engines again and again: how long what it had in hand waited; six minutes
	PYTHONPATH=bench $(BIN)/python -P bench/failover.py

FUZZ ?= 20000
fuzz: $(READY)  ## try decoders, clients, files, settings and the command line on FUZZ mangled inputs each
	FUZZ=$(FUZZ) $(BIN)/pytest -q -n 2 --timeout 3600 --dist loadfile tests/wire/test_fuzz.py tests/wire/test_fuzz_clients.py tests/wire/test_fuzz_files.py

N ?= 100000
hostile: $(READY)  ## send N hostile messages through a real engine: none lost, nothing grows
	PYTHONPATH=chaos:. $(BIN)/python -P chaos/hostile.py --count $(N) --seed $(SEED)

CREATES ?= 10000
flood: $(READY)  ## N events, CREATES creates at once, builds that never end: others are served, memory stays bounded
	PYTHONPATH=bench $(BIN)/python -P bench/flood.py --events $(N) --creates $(CREATES)

docs: $(READY)  ## write the generated parts of README and docs anew
	$(BIN)/python -P docs/generate.py

# Versions of the whole dev extra for every Python and platform, with all hashes; no addresses. The bench extra apart.
COMPILE := build/lock/bin/uv pip compile -q --universal --python-version 3.11 --upgrade --generate-hashes --no-header \
	--no-annotate --no-emit-package workspaced
lock: $(VENV)/pyvenv.cfg  ## pin the newest versions anew in constraints.txt and bench/constraints.txt
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install -q --disable-pip-version-check uv
	echo 'setuptools>=77' | $(COMPILE) pyproject.toml - --extra dev -o constraints.txt
	$(COMPILE) pyproject.toml --extra bench -c constraints.txt -o bench/constraints.txt
	rm -rf build/lock

# Tools of their own environment: nothing of theirs comes into ours.
sbom: $(READY)  ## write build/sbom.json: everything we install, as CycloneDX
	$(PYTHON) -m venv build/supply
	build/supply/bin/python -m pip install -q --disable-pip-version-check cyclonedx-bom
	build/supply/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible -o build/sbom.json

# pip-audit ends well also when it could ask about nothing; its report says so, and so do we.
audit: $(READY)  ## ask the package index for known vulnerabilities of what is pinned; exit code 3 when it cannot say
	$(PYTHON) -m venv build/supply
	build/supply/bin/python -m pip install -q --disable-pip-version-check pip-audit
	rm -f build/audit.json
	build/supply/bin/pip-audit --disable-pip --require-hashes -r constraints.txt -f json -o build/audit.json || test -s build/audit.json
	$(BIN)/python -P docs/supply.py --report build/audit.json

link: $(LINKS)  ## the links mypy follows; new files need nothing

clean:  ## drop the virtual environment and everything generated
	rm -rf $(VENV) build dist *.egg-info .*_cache .hypothesis
