# Each goal is one line that calls a real tool; tools/steps.py says what the steps are.
PYTHON ?= $(shell command -v python3.11 || command -v python3)

.PHONY: book test check serve measure setup sync student export results report solved oldest newest processors online

book:       ; @$(PYTHON) tools/steps.py book       # set up, execute every notebook, build the site
test:       ; @$(PYTHON) tools/steps.py test       # everything, from setup to verdict
check:      ; @$(PYTHON) tools/steps.py check      # the quick loop
serve:      ; @$(PYTHON) tools/steps.py serve      # read the built book on localhost
measure:    ; @$(PYTHON) tools/steps.py measure    # accept the last build's measurements
setup:      ; @$(PYTHON) tools/steps.py setup      # only the environment

sync:       ; @$(PYTHON) tools/steps.py sync       # the package's code, stubs and solutions, into the notebooks
student:    ; @$(PYTHON) tools/steps.py student    # the notebooks without solutions, for a class
export:     ; @$(PYTHON) tools/steps.py export     # the last notebook's cells, as gpt2_tutorial/launch/train_gpt2.py
results:    ; @$(PYTHON) tools/steps.py results    # the tables of the results page, from results/
report:     ; @$(PYTHON) tools/steps.py report     # how the chapters read; never fails
solved:     ; @$(PYTHON) tools/steps.py solved     # every notebook with its solutions put in
oldest:     ; @$(PYTHON) tools/steps.py oldest     # unit tests with the oldest versions we promise
newest:     ; @$(PYTHON) tools/steps.py newest     # unit tests with the newest versions there are
processors: ; @$(PYTHON) tools/steps.py processors # unit tests, computed as on other processors
online:     ; @$(PYTHON) tools/steps.py online     # links and downloads, into results/online.json
