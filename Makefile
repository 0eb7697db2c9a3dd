# make run      sets up, then trains, evaluates, exports and proves a small model, and tries it
# make test     sets up, then lint, types, tests
# make help     everything else
PYTHON ?= python3
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: run test test-all test-pythons setup lint format bench schema mutants portability clean clean-runs help
.DEFAULT_GOAL := run

setup: .venv/.ready ## .venv from requirements.lock

# The stamp is written last: an interrupted set-up is taken up again, a finished one is not repeated.
.venv/.ready: requirements.lock pyproject.toml tools/setup.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh

run: setup ## the main job on embedded data, to a model that answers
	@sh tools/quickstart.sh

test: lint ## lint, types and the fast tests
	$(BIN)/pytest

test-all: lint ## and the slow ones
	$(BIN)/pytest -m "slow or not slow"

test-pythons: ## `make run` and the fast tests, in a copy, with every supported interpreter that is found
	@sh tools/test_pythons.sh

portability: setup ## released models through TensorFlow's C API, with the libraries of older wheels too (a GB to fetch, once)
	@sh tools/portability.sh

lint: setup ## ruff, the floors of the house, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: setup ## what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## speed of loops, tokenizer and a released model
	@for script in benchmarks/recurrent.py benchmarks/tokenizer.py benchmarks/sentiment.py; do echo "$$script"; $(BIN)/python $$script || exit 1; done

schema: setup ## after a change of the schema: the schema for editors and the reference of all keys; a test fails while they are out of date
	$(BIN)/python tools/reference.py

mutants: setup ## operators changed one at a time: which changes no test notices; hours (fewer: MUTANTS="seqpipe/sound --most 20")
	nice $(BIN)/python tools/mutants.py $(MUTANTS)

clean: ## what is made again: .venv and caches; runs stay
	rm -rf .venv .venv-mutants .ruff_cache .mypy_cache .pytest_cache .hypothesis .import_linter_cache

clean-runs: ## every run in runs/
	rm -rf runs

help: ## this
	@grep -E '^[a-z-]+:.*## ' "$(strip $(MAKEFILE_LIST))" | sed 's/:.*## /: /'
