# Every job makes what it needs first (dev/set_up.sh, instant when nothing has changed). `python -m dev` has the same jobs
# for machines without make.
PORT ?= 7071
TABLE_PORT ?= 10002
export PORT TABLE_PORT PYTHON
# What a person has set for a Python of their own.
unexport PYTHONHOME PYTHONIOENCODING PYTHONOPTIMIZE PYTHONPATH PYTHONSAFEPATH PYTHONWARNINGS

python := .venv/bin/python

.PHONY: help run test test-oldest test-deploy test-long test-web pictures lint bench package set-up clean

help: ## these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' Makefile

run: set-up ## the app with sample policies (PORT=7071 TABLE_PORT=10002)
	@exec $(python) -m dev.run

test: set-up ## every test
	@$(python) -m dev test

test-oldest: set-up ## the served path with the oldest packages that it allows
	@./dev/test_oldest.sh

test-deploy: set-up ## what the Azure CLI says of our commands: installs it, 700 MB
	@./dev/set_up_azure_cli.sh
	@$(python) -m pytest -q tests/deploy

test-long: set-up ## what takes long: breaks, models, a checkout that was worked in
	@$(python) -m pytest -q -n 3 -o faulthandler_timeout=0 tests/long
	@./dev/test_used_checkout.sh

test-web: set-up ## a day's work in the page, in a real browser (CHROMIUM=PATH)
	@$(python) -m pytest -q -n 2 tests/browser

pictures: set-up ## the pictures of the page in docs/pictures, taken anew
	@$(python) -m dev.pictures

lint: set-up ## ruff and mypy
	@$(python) -m dev lint

bench: set-up ## how fast the app and the command are
	@$(python) -m bench

package: set-up ## the folder .publish, which func publishes
	@$(python) -m dev.package

set-up: ## .venv and dev/node/node_modules
	@./dev/set_up.sh

clean: ## remove all that these jobs made, the local tables too
	rm -rf .venv .venv-azure-cli .venv-oldest dev/node/node_modules .azurite .bench .publish .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
