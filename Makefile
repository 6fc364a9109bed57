# Two targets are the whole interface: `make quickstart` and `make test`.
# Both build their own environment in .venv from nothing but Python, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: quickstart test lint unit bench clean

quickstart: $(READY)
	$(BIN)/rmtfl validate validation/quickstart/study.toml --store build/quickstart.sqlite
	$(BIN)/rmtfl table validation/quickstart/study.toml --store build/quickstart.sqlite --format markdown
	$(BIN)/rmtfl figure validation/quickstart/study.toml --store build/quickstart.sqlite -o build/quickstart.png

test: lint unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(READY)
	$(BIN)/python -m pytest

bench: $(READY)
	$(BIN)/pip install --quiet --editable ".[bench]"
	$(BIN)/python -m pytest benchmarks

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist
