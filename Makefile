# Everything a newcomer needs: `make demo`, `make test`; for developers `make lint`, `make docs`.
# Each installs into .venv what it needs and no more; `make setup` installs all of it.
PYTHON ?= python3
BIN := .venv/bin
# The real sample; where it is absent, tests that need it are skipped with a reason.
PIXELSIEVE_MUC_REAL ?= ../shared/data/muc-real
export PIXELSIEVE_MUC_REAL

.PHONY: demo test lint docs setup clean

# $(call install,what,size,arguments of pip)
define install
	@echo "installing $(1) into .venv: $(2)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(3) || { \
	  echo "The installation failed; pip says why above. Without network, check pip's index settings; if a package has no" >&2; \
	  echo "version for this Python ($$($(BIN)/python --version)), choose one from 3.11 to 3.14: make clean, then make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	  exit 1; }
	@touch $@
endef

.venv/package: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; print("Python", v, "from", sys.executable); sys.exit(None if sys.version_info >= (3, 11) else f"pixelsieve needs Python 3.11 or newer, not {v}: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@$(PYTHON) -m venv .venv || { echo "No .venv could be made; Debian and Ubuntu keep that part apart: apt install python3-venv" >&2; rm -rf .venv; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --constraint constraints.txt pip
	$(call install,pixelsieve and what it needs,1.5 GB on disk (0.4 GB to download); one to two minutes,--editable '.[firmware]')

.venv/test: .venv/package
	$(call install,the packages of the tests,0.4 GB,--group test)

.venv/lint: .venv/test
	$(call install,the linters,0.1 GB,--group lint)

.venv/docs: .venv/package
	$(call install,the packages of the documentation,0.1 GB,--group docs)

setup: .venv/test .venv/lint .venv/docs

demo: .venv/package
	mkdir -p runs
	$(BIN)/pixelsieve simulate --signal 25000 --bib 25000 --out runs/demo_clusters.parquet
	$(BIN)/pixelsieve compare --data runs/demo_clusters.parquet --bits 4 --seeds 3 --out runs/demo
	@$(BIN)/pixelsieve report runs/demo

test: .venv/test
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: .venv/lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/check_pins.py

# Warnings are errors. The commands' options and the tutorial's output are checked by `make test`.
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv site runs/demo runs/demo_clusters.parquet
