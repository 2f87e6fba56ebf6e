# Each goal is one line that calls a real tool; tools/steps.py says what the steps are.
PYTHON ?= $(shell command -v python3.11 || command -v python3)

.PHONY: book test check serve measure setup

book:     ; @$(PYTHON) tools/steps.py book     # set up, execute every notebook, build the site
test:     ; @$(PYTHON) tools/steps.py test     # everything, from setup to verdict
check:    ; @$(PYTHON) tools/steps.py check    # the quick loop
serve:    ; @$(PYTHON) tools/steps.py serve    # read the built book on localhost
measure:  ; @$(PYTHON) tools/steps.py measure  # accept the last build's measurements
setup:    ; @$(PYTHON) tools/steps.py setup    # only the environment
