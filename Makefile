# Two commands do all their set-up themselves:  make demo   and   make test
# They need Debian or Ubuntu (other Linux mostly works), Python 3.11 or newer, git and make.

VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test check format docs setup clean

help:
	@echo "make demo [DEMO_ARGS='--seconds 60 --no-browser']   everything on this machine, with a simulated camera, shoppers and staff"
	@echo "make test [TEST_ARGS='-k outbox']                   all tests"
	@echo "make check                                          formatting, lint, types, import contracts"
	@echo "make format | docs | setup | clean                  rewrite files; regenerate reference pages; only set up; remove what make made"

demo: $(VENV)/.demo
	@$(BIN)/shelfvision demo $(DEMO_ARGS)

test: $(VENV)/.dev
	@.ci/system-packages
	@$(BIN)/pytest -n 2 --dist loadfile $(TEST_ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports

format: $(VENV)/.dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(VENV)/.dev
	@$(BIN)/python -m shelfvision.site_reference > docs/site-file.md.part && mv docs/site-file.md.part docs/site-file.md
	@$(BIN)/python -m shelfvision.learn.train_reference > docs/training-settings.md.part && mv docs/training-settings.md.part docs/training-settings.md

setup: $(VENV)/.dev

# a stamp is older than what it was made from: install again
$(VENV)/.demo $(VENV)/.dev: $(VENV)/.%: pyproject.toml constraints.txt .ci/setup
	@.ci/setup $*

clean:
	rm -rf $(VENV) build dist var .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
