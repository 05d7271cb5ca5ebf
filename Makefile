# The one place where commands live. `make help` lists them.

PYTHON ?= python3
PROFILE ?= book
JOBS ?= 2
BIN := .venv/bin
INSTALLED := .venv/.installed
C ?=

.DEFAULT_GOAL := help
.PHONY: help install book test unit lint format chapter reference picture bench serve clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

install: $(INSTALLED) ## make .venv with the pinned versions

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Reprise needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "installing the pinned environment into .venv (1 to 3 minutes) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check \
		--constraint constraints.txt --editable '.[book,test,torch]'
	@touch $@

book: $(INSTALLED) ## run what changed and publish _build/html (PROFILE=smoke: a first look)
	@$(BIN)/reprise build --profile $(PROFILE) --jobs $(JOBS)
	@echo "open _build/html/index.html, or run 'make serve'"

test: $(INSTALLED) ## lint, unit tests, smoke runs, references, mutants, site and browser
	@rm -f _build/times.json
	@echo "1/4 lint" && $(MAKE) --no-print-directory lint
	@echo "2/4 unit tests, $(JOBS) at a time" && \
		$(BIN)/python -m pytest tests/unit -q -n $(JOBS) --dist loadfile
	@echo "3/4 chapters at smoke, $(JOBS) at a time" && \
		$(BIN)/reprise build --profile smoke --no-site --jobs $(JOBS)
	@echo "4/4 references, mutants, site and browser" && \
		$(BIN)/python -m pytest tests --ignore tests/unit -q -rs -n $$(($(JOBS) + 1)) \
			--dist loadgroup  # one more: the tests of pages mostly wait for the browser
	@$(BIN)/reprise times

unit: $(INSTALLED) ## the unit tests alone
	@$(BIN)/python -m pytest tests/unit -q -n $(JOBS) --dist loadfile

lint: $(INSTALLED) ## ruff, on the package and on the cells of the pages
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/reprise notebook >/dev/null
	@$(BIN)/ruff check --quiet --no-respect-gitignore --config book/cells.toml _build/notebooks

format: $(INSTALLED) ## let ruff mend what it can, and write the parameter cells anew
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .
	@$(BIN)/reprise knobs

chapter: $(INSTALLED) ## write C=part/slug as a plain .ipynb and run it (PROFILE=smoke: quickly)
	@test -n "$(C)" || { echo "name the chapter: make chapter C=shuffling/sgdo"; exit 2; }
	@$(BIN)/reprise notebook $(C)
	@$(BIN)/reprise run $(C) --profile $(PROFILE)

reference: $(INSTALLED) ## rewrite tests/reference from smoke runs (C=part/slug: just that one)
	@$(BIN)/reprise reference $(C) --jobs $(JOBS)

picture: $(INSTALLED) ## redraw the README's picture from the book run
	@$(BIN)/reprise picture

bench: $(INSTALLED) ## race our kernels against their peers and store the table
	@$(BIN)/python -m pip install -qq --disable-pip-version-check \
		--constraint constraints.txt --editable '.[bench]'
	@$(BIN)/python benchmarks/table.py

serve: ## show the built book at http://127.0.0.1:8000
	@$(PYTHON) -m http.server --bind 127.0.0.1 --directory _build/html 8000

clean: ## delete what was built, compiled kernels too (the environment stays)
	@rm -rf _build && find src tests -name __pycache__ -prune -exec rm -rf {} +
