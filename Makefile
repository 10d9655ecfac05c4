# Everything here works on a fresh clone with Python >= 3.11 and make: the
# targets set up .venv by themselves and keep it in step with pyproject.toml.
#
#   make PYTHON=/path/to/python TARGET    chooses the interpreter
#   make ARGS="-k breaker" test           hands arguments on

MAKEFLAGS += --no-print-directory
PYTHON ?= $(shell tools/find-pythons --default)
ARGS ?=

bin := .venv/bin
ours := src tests tools benchmarks $(wildcard examples)

.DEFAULT_GOAL := help
.PHONY: help install fmt lint types imports test cov stress demo bench docs dist breakages mutants prove check clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' Makefile

install: ## Set up .venv with everything for development
	@tools/make-venv .venv "$(PYTHON)" dev

fmt: install ## Format the code, sort the imports
	@$(bin)/ruff check --quiet --select I --fix $(ours)
	@$(bin)/ruff format --quiet $(ours)

lint: install ## Check format and lint
	@$(bin)/ruff format --quiet --check $(ours)
	@$(bin)/ruff check --quiet $(ours)
	@echo "Format and lint: clean"

types: install ## Check types with mypy and pyright
	@$(bin)/mypy
	@$(bin)/pyright --pythonpath $(bin)/python

imports: install ## Check that imports go one way
	@$(bin)/lint-imports --no-logo

test: ## Run the tests on every Python >= 3.11 that is found
	@"$(PYTHON)" tools/test_everywhere.py "$(PYTHON)" $(ARGS)

cov: install ## Run the tests once more, demanding 100 % branch coverage
	@$(bin)/coverage erase
	@$(bin)/coverage run -m pytest -q -n auto --dist worksteal $(ARGS)
	@$(bin)/coverage combine --quiet
	@$(bin)/coverage report

stress: install ## Hammer shared objects from everywhere at once, for a minute
	@$(bin)/python tests/stress/stress_shared.py $(ARGS)

demo: install ## Download images from real servers on this machine, about 20 s
	@$(bin)/python examples/downloader $(ARGS)

bench: install ## Measure the hot paths against their floors
	@$(bin)/python benchmarks/bench.py $(ARGS)

docs: install ## Build the documentation into build/docs, warnings are errors
	@$(bin)/sphinx-build -q -n -W --keep-going -d build/doctrees docs build/docs
	@$(bin)/python tools/check_links.py build/docs
	@echo "Documentation: build/docs/index.html"

dist: install ## Build wheel and sdist, test the wheel in an empty environment
	@tools/test-dist "$(PYTHON)" $(ARGS)

breakages: install ## Apply every deliberate breakage, see that tests notice
	@$(bin)/python tools/breakages.py $(ARGS)

mutants: ## Mutate the code, see that tests notice; an hour or two, resumable
	@tools/make-venv .venv-mutants "$(PYTHON)" mutants
	@.venv-mutants/bin/python tools/mutants.py $(ARGS)

prove: install ## All that speaks for correctness, in one report; two to three hours
	@tools/make-venv .venv-mutants "$(PYTHON)" mutants
	@$(bin)/python tools/prove.py "$(PYTHON)" $(ARGS)

check: lint types imports docs cov dist ## All checks: also documentation, coverage, wheel

clean: ## Remove what the targets made
	@rm -rf .venv .venv-* build dist .coverage .coverage.* .hypothesis
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
