# Two targets are the whole interface: `make quickstart` and `make test`.
# Both build their own environment in .venv from nothing but Python, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: quickstart test lint unit docs bench dist clean

QUICKSTART := validation/quickstart/study.toml --store build/quickstart.sqlite

quickstart: $(READY)
	mkdir -p build
	$(BIN)/rmtfl validate $(QUICKSTART)
	$(BIN)/rmtfl table $(QUICKSTART) --format markdown > build/quickstart.md
	$(BIN)/rmtfl figure $(QUICKSTART) -o build/quickstart.png

test: lint docs unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(READY)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(READY)
	$(BIN)/pip install --quiet --editable ".[bench]"
	$(BIN)/python -m pytest benchmarks

# What would be published, installed into empty environments, and the quickstart run there.
dist: $(READY)
	rm -rf dist
	$(BIN)/pip install --quiet build
	$(BIN)/python -m build --outdir dist
	set -e; for file in dist/*; do \
		rm -rf build/empty; $(PYTHON) -m venv build/empty; build/empty/bin/pip install --quiet $$file; \
		build/empty/bin/rmtfl validate validation/quickstart/study.toml --store build/empty/quickstart.sqlite; \
	done

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist
