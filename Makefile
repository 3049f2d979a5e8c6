# `make run` and `make test` work on a fresh machine with Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup dev run outage recover test quick lint bench lock clean

setup: $(VENV)/.run.stamp

$(VENV)/.run.stamp: requirements/run.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Mainstay needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/run.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

dev: setup $(VENV)/.dev.stamp

$(VENV)/.dev.stamp: requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	touch $@

PING := http://127.0.0.1:$(or $(MAINSTAY_PORT),8000)/ping/5b6f1d0a-7c1e-4a53-9a57-3e1c8d2f4b60

run: setup
	$(BIN)/mainstay up --apply examples/shop.yaml --apply examples/shop.rules.yml \
	  --with "$(BIN)/python -m examples.shop --port 9001 --data var/shop --heartbeat $(PING)" \
	  --with "$(BIN)/python -m examples.receiver --port 9999"

outage: setup
	$(BIN)/python -m examples.shop.fault errors 1

recover: setup
	$(BIN)/python -m examples.shop.fault clear

AGAIN := (database and not slow) or postgresql
TIMING = $(shell grep -rl --include='test_*.py' mark.timing mainstay examples bench tests)

# All tests on SQLite, then those that meet the database again on PostgreSQL; those that measure time alone, after each.
# Where the tables of faults lie beside the project, each row must have a test that passed (tests/faults.py).
# More workers than processors where many tests wait (tests/rows.py); each has to collect all tests first.
test: export FAULTS := $(CURDIR)/output/faults.txt
test: dev
	rm -f $(FAULTS)
	$(BIN)/python -m pytest -n 5 -m "not postgresql and not timing"
	$(BIN)/python -m pytest -m "timing and not postgresql" $(TIMING)
	TEST_DATABASE=postgresql $(BIN)/python -m pytest -n 4 -m "($(AGAIN)) and not timing"
	TEST_DATABASE=postgresql $(BIN)/python -m pytest -m "($(AGAIN)) and timing" $(TIMING)
	test ! -d ../shared/faults || $(BIN)/python -m tests.faults ../shared/faults $(FAULTS)

# What can be known in two minutes: SQLite, no browser, nothing that takes long or starts the whole program.
quick: dev
	$(BIN)/python -m pytest -n 3 --hypothesis-profile quick \
	  -m "not (slow or long or browser or timing or postgresql)"

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: dev
	$(BIN)/python -m bench

# The lock is made with uv, for every platform and Python from 3.11.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q requirements/run.in -o requirements/run.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q requirements/dev.in -c requirements/run.lock -o requirements/dev.lock

clean:
	rm -rf $(VENV) var output
