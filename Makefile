# Everything a newcomer needs: `make demo`, `make test`, `make lint`, `make docs`. Each sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
# The real sample; where it is absent, tests that need it are skipped with a reason.
PIXELSIEVE_MUC_REAL ?= ../shared/data/muc-real
export PIXELSIEVE_MUC_REAL

.PHONY: demo test lint docs setup clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "pixelsieve needs Python 3.11 or newer; set PYTHON=python3.x")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[firmware]' --group dev
	@touch $@

demo: .venv/ready
	mkdir -p runs
	$(BIN)/pixelsieve simulate --signal 25000 --bib 25000 --out runs/demo_clusters.parquet
	$(BIN)/pixelsieve compare --data runs/demo_clusters.parquet --bits 4 --seeds 3 --out runs/demo
	@$(BIN)/pixelsieve report runs/demo

test: .venv/ready
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Warnings are errors. The commands' options and the tutorial's output are checked by `make test`.
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv site runs/demo runs/demo_clusters.parquet
