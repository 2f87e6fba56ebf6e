# The goals of the book: `make` lists them. Each line calls a real tool, and what fails is named.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
PY := $(BIN)/python
TEST := $(PY) -m pytest -q -n 2 -m
UNIT := "not soak and not browser and not fresh"
SITE := $(BIN)/jupyter-book build -n -W --keep-going
# Taught modules and notebooks have 84 columns, as many as a page holds.
SHOWN := $(wildcard $(shell sed -n '/^exclude = /,/^]/s/^  "\(.*\)",$$/\1/p' pyproject.toml))
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OMP_NUM_THREADS := 1# small tensors: more threads only wait for each other
export PYTHONWARNINGS := ignore::DeprecationWarning:debugpy

help: ; @sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile | expand -t 19
book: setup results site ## set up, execute every notebook, build the site
	@echo; echo "The book is built. Open _build/html/index.html or run: make serve"
test: setup browser clouds style imports in-sync notebooks unit-and-pages fresh drive ## everything a change can break
	@echo; echo "✓ test"
check: setup style imports in-sync core ; @echo "✓ check" ## the quick loop: style, imports, sync, drift, core tests
soak: setup browser ; $(TEST) soak ## what takes long, on a built book: a hundred thousand strings, every planted fault
setup: ; @$(PYTHON) tools/setup.py ## the environment alone
serve: ## read the built book on http://localhost:8000/
	@test -e _build/html/index.html || { echo "The book is not built yet: run make book first"; exit 1; }
	$(PY) -m http.server --bind 127.0.0.1 --directory _build/html 8000
pdf: setup browser ; $(PY) tools/pdf.py ## print the built book as one PDF
epub: setup ; $(PY) tools/epub.py ## write the built book as one EPUB
sync: setup ; $(PY) tools/sync.py ## write the package's code, stubs and solutions into the notebooks
measure: ; cp _build/measured/*.json results/measured/ ## accept what the last build measured
results: setup ; $(PY) tools/results.py ## write into pages and notebooks what the logs say
export: ; $(PYTHON) tools/export.py ## write chapter 17's cells as launch/train_gpt2.py in the package
student: ; $(PYTHON) tools/editions.py student ## write the notebooks without their solutions, for a class
solved: setup ## run every notebook with its solutions put in
	$(PY) tools/editions.py solved
	$(PY) tools/run_notebooks.py _build/solved
report: ; $(PYTHON) tools/style_report.py ## show how the chapters read; never fails
types: setup ; -$(BIN)/mypy ## show what mypy says of the package's types; never fails
lock: setup ; $(PY) tools/lock.py ## solve requirements.lock anew
online: ; PYTHONPATH=src $(PYTHON) tools/online.py ## check links and downloads, write results/online.json
# --- what the goals above are made of
browser: setup ; @$(PY) tools/browser.py
clouds: .venv/launch/installed.txt
# SkyPilot's parser stands beside the environment: its pins clash with ours.
.venv/launch/installed.txt: launch/requirements-check.lock
	$(PY) -m pip install -q --require-hashes --no-deps --upgrade --target .venv/launch -r $<
	@touch $@
style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/ruff check --line-length 84 $(SHOWN)
	@$(BIN)/ruff format --check --line-length 84 $(SHOWN)
imports: ; $(BIN)/lint-imports --config pyproject.toml --no-cache
in-sync: ; $(PY) tools/sync.py --check
CORE := text ngram bigram loop autograd optim mlp attention block gpt step sampling precision files config ledger
core: ; $(TEST) "not slow and not soak and not fresh" $(CORE:%=tests/code/test_%.py) tests/tools/test_drift.py
notebooks: ; $(PY) tools/run_notebooks.py
unit: ; $(TEST) $(UNIT)
unit-and-pages: # the builder keeps one core busy
	@$(MAKE) pages > .pages.log 2>&1 & pages=$$!; $(MAKE) unit || { kill $$pages 2>/dev/null; exit 1; }; \
		wait $$pages; code=$$?; cat .pages.log; exit $$code
fresh: ; $(PY) -m pytest -q -m fresh tests/tools
drive: ; $(TEST) "browser and not soak" --dist loadfile tests/book
# Sphinx repeats a warning only in a clean build, and counts a page that it could not run as built.
site:
	rm -rf _build
	GPT2_TUTORIAL_LEDGER="$(CURDIR)/_build/measured" $(SITE) .
	@for file in $$(ls notebooks | sed 's/_.*/.json/'); do test -e _build/measured/$$file || \
		{ echo "✗ the notebook of $$file did not run to its end"; exit 1; }; done
# The pages from the answers that `notebooks` kept: nothing runs a second time.
pages:
	rm -rf _build/source _build/html _build/.doctrees && mkdir -p _build/source
	cp -r $(filter-out notebooks _build,$(wildcard *)) _build/source
	cp -r _build/executed _build/source/notebooks
	sed 's/execute_notebooks: force/execute_notebooks: off/' _config.yml > _build/source/_config.yml
	$(SITE) _build/source --path-output .

# Unit tests computed as on other processors: torch's kernels, oneDNN's and MKL's leave some
# instructions alone, and so round as they do where there are none. Threads add up in another order.
SAME_EVERYWHERE := tests/book tests/code/test_assets.py tests/code/test_bpe.py \
	tests/code/test_bpe_tiktoken.py tests/commands/test_prepare.py tests/launch tests/tools
PROCESSORS := no-vectors no-vector-products avx2 two-threads
processors: ; @$(MAKE) -k $(PROCESSORS) ## unit tests, computed as on other processors
no-vectors: export ATEN_CPU_CAPABILITY = default
no-vectors: export ONEDNN_MAX_CPU_ISA = SSE41
no-vectors no-vector-products: export MKL_CBWR = COMPATIBLE
avx2: export ATEN_CPU_CAPABILITY = avx2
avx2: export ONEDNN_MAX_CPU_ISA = AVX2
avx2: export MKL_CBWR = AVX2
two-threads: export OMP_NUM_THREADS = 2
$(PROCESSORS): setup ; $(TEST) $(UNIT) $(SAME_EVERYWHERE:%=--ignore=%)
PROMISED := $(shell sed -n 's/^  "\([a-z_]*>=[0-9.]*\)",$$/"\1"/p' pyproject.toml)
oldest: WANTED = $(subst >=,==,$(PROMISED))
oldest: LENIENT = -o filterwarnings=default# an old package beside a new one may warn
newest: WANTED = --upgrade $(PROMISED)
oldest newest: # unit tests with the oldest versions that pyproject.toml promises, or the newest there are
	test -e _build/$@/bin/python || $(PYTHON) -m venv _build/$@
	_build/$@/bin/pip install -q $(WANTED) pytest pytest-xdist hypothesis nbval jupytext pyyaml
	_build/$@/bin/pip install -q --no-deps -r requirements-data.txt -e .
	_build/$@/bin/python -m pytest -q -n 2 -m $(UNIT) --ignore=tests/book $(LENIENT)
.NOTPARALLEL:
.PHONY: $(PROCESSORS) newest $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' Makefile)
