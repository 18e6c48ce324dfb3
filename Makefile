# Two commands: `make bench` measures and reports, `make test` tests. Both set up what they need.
HARNESS := .venv/bin/harness
# A fleet of this host alone: boots that count instructions go beside each other, one for each CPU.
BENCH_FLAGS ?= --threads 1,8,16 --fleet local

help:
	@echo "make bench          build both kernels, boot, measure, report (about half an hour at first)"
	@echo "make test           lint, type-check and test, with real guests"
	@echo "make setup          only install what is needed"
	@echo "make doctor         say what is missing and what it is for"
	@echo "make mutants        break the series on purpose and see that the race suite notices (hours on a cold cache)"
	@echo "make bench-harness  how fast the harness itself is"
	@echo "make clean          remove .venv and build leftovers (the cache stays: harness cache)"

setup:
	@sh scripts/setup.sh

bench: setup
	$(HARNESS) bench $(BENCH_FLAGS)

# Two workers: tests that boot guests are one's, in their order, all others the other's.
test: setup lint
	.venv/bin/pytest -n 2 $(PYTEST_FLAGS)

lint: setup
	.venv/bin/ruff check .
	.venv/bin/mypy

unit: setup
	.venv/bin/pytest tests/unit $(PYTEST_FLAGS)

mutants: setup
	HARNESS_MUTANTS=all .venv/bin/pytest tests/kernel/test_mutants.py $(PYTEST_FLAGS)

doctor: setup
	$(HARNESS) doctor

bench-harness: setup
	sh scripts/bench-harness.sh

clean:
	rm -rf .venv guest/bin *.egg-info .pytest_cache .mypy_cache .ruff_cache

.PHONY: help setup bench test lint unit mutants doctor bench-harness clean
