# make run   sets up, then trains, evaluates, exports and proves a small model, and tries it
# make test  sets up, then lint, types, tests
PYTHON ?= python3
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: run test test-all setup lint format bench schema clean
.DEFAULT_GOAL := run

setup: .venv/.ready

# The stamp is written last: an interrupted set-up is taken up again, a finished one is not repeated.
.venv/.ready: requirements.lock pyproject.toml tools/setup.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh

run: setup
	@sh tools/quickstart.sh

test: lint
	$(BIN)/pytest

test-all: lint
	$(BIN)/pytest -m "slow or not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	@for script in benchmarks/recurrent.py benchmarks/tokenizer.py benchmarks/sentiment.py; do echo "$$script"; $(BIN)/python $$script || exit 1; done

# After a change of the schema; a test fails while it is out of date.
schema: setup
	$(BIN)/seqpipe schema > docs/pipeline.schema.json

clean:
	rm -rf .venv .ruff_cache .mypy_cache .pytest_cache .hypothesis runs
