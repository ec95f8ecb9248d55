# The two commands: `make demo` and `make test`. Both set up what they need in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint types check bench bench-smallest clean

demo: $(VENV)/demo.ok
	$(BIN)/onecopy demo
	$(BIN)/onecopy demo guided
	$(BIN)/onecopy demo plan
	$(BIN)/onecopy demo nn
	$(BIN)/onecopy demo agent

test: $(VENV)/dev.ok
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/dev.ok
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.ok $(VENV)/demo.ok
	$(BIN)/mypy

check: lint types test

bench: $(VENV)/dev.ok
	$(BIN)/python -m benchmarks.peers.setup
	$(BIN)/python -m benchmarks

bench-smallest: $(VENV)/dev.ok
	$(BIN)/python -m benchmarks --size smallest --peers none

clean:
	rm -rf $(VENV) .peers build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# ---- set-up; each file says that its set is installed ----

# The C library is built by the installation, and again when its sources have changed.
$(VENV)/base.ok: constraints.txt pyproject.toml $(wildcard src/onecopy/native/*.c src/onecopy/native/*.h)
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[torch]'
	touch $@

$(VENV)/demo.ok: $(VENV)/base.ok
	$(PIP) -e '.[demo]'
	touch $@

$(VENV)/dev.ok: $(VENV)/base.ok requirements-dev.txt
	$(PIP) -r requirements-dev.txt
	touch $@
