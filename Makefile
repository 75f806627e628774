# Everything a person or a machine does with the project starts here. `make` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help env scaper demo pictures notebooks reproduce test test-pythons test-slow test-firmware test-fuzz lint format lock dist clean \
    FORCE

BIN := .venv/bin
# Holds the folder that the environment was made in: environments can't be moved.
STAMP := .venv/made-in
DEMO := demo

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
$(STAMP): FORCE
endif
$(STAMP): requirements.lock requirements-compiler.lock pyproject.toml scripts/environment.sh
	@if [ -d .venv ] && [ "$$(cat $@ 2>/dev/null || echo '$(CURDIR)')" != '$(CURDIR)' ]; then rm -rf .venv; fi
	@PYTHON='$(PYTHON)' sh scripts/environment.sh
	@printf '%s\n' '$(CURDIR)' > $@

env: $(STAMP) ## make or update the environment in .venv (Python 3.11, else 3.13 or 3.12; or PYTHON=...)

scaper: $(STAMP) ## add Scaper, and SoX's library where it is missing, for `keras_mtl data synthesize`
	@sh scripts/scaper.sh

demo: $(STAMP) ## train, quantize, convert, emulate, bundle and listen on the embedded data (minutes); results in demo/
	@$(BIN)/keras_mtl demo --out $(DEMO)

pictures: $(STAMP) ## the pictures of the documents anew, from demo/ (made if it is not there); needs Chromium
	@[ -f $(DEMO)/demo.json ] || $(MAKE) --no-print-directory demo
	@$(BIN)/python scripts/pictures.py $(DEMO)

notebooks: $(STAMP) ## run all notebooks anew (ten minutes) and keep what they print and draw
	@$(BIN)/python scripts/keep_outputs.py

reproduce: $(STAMP) ## table 3 of the paper on your TAU and DESED: DATA=DIR, and SEEDS=0,1,2 OUT=DIR if wanted (days)
	@$(if $(DATA),,echo 'make reproduce DATA=DIR: the folder that holds the TAU and DESED folders' >&2; exit 2)
	@$(BIN)/python benchmarks/reproduce.py --data '$(DATA)' --out '$(or $(OUT),runs/table3)' --seeds '$(or $(SEEDS),0)'

test: $(STAMP) ## the whole test suite, lint and types included, but for what takes long
	@$(BIN)/pytest -m "not slow" -n 2 --dist loadgroup

test-pythons: ## the suite on each of Python 3.11, 3.12 and 3.13 that is there, in build/venv-*; TESTS='tests/...' for a part
	@TESTS='$(TESTS)' sh scripts/test_pythons.sh

test-slow: $(STAMP) ## the tests that take minutes each
	@$(BIN)/pytest -m slow

test-firmware: $(STAMP) ## the firmware's C, here and on emulated Cortex-M cores (with RECORDINGS=DIR, BUNDLE=DIR: yours too)
	@RECORDINGS='$(RECORDINGS)' BUNDLE='$(BUNDLE)' sh scripts/test_firmware.sh

test-fuzz: $(STAMP) ## 2,000 damaged .tflite files and 500 damaged manifests through `emulate` (half an hour)
	@$(BIN)/pytest -m slow -s tests/firmware_host/fuzz

lint: $(STAMP) ## ruff and mypy
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pytest -q tests/test_house_wheel.py -k types

format: $(STAMP) ## let ruff format and mend what it can
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

lock: $(STAMP) ## resolve pyproject.toml anew into requirements.lock and its three companions, for all Pythons
	@sh scripts/lock.sh

dist: $(STAMP) ## sdist and wheel of the commit in dist/, built twice: their bytes must be the same
	@$(BIN)/python -P scripts/build_dist.py

clean: ## remove the environments that `make` made, and caches; results stay
	@if [ -e $(STAMP) ] || [ -e .venv/.keras_mtl ]; then rm -rf .venv; fi
	@if [ -e .venv ]; then echo 'clean: .venv stays: make did not make it' >&2; fi
	rm -rf build/venv-3.11 build/venv-3.12 build/venv-3.13 keras_mtl.egg-info .pytest_cache .mypy_cache .ruff_cache
