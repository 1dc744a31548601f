# make quickstart   a first result on this machine, no GPU and no download of data needed
# make test         the tests
# make test-fast    those that take no more than two seconds each: what a change needs
# make test-isa     the numerical tests again, with the instructions of processors without AVX-512
# make lint         checks format, style, types, and that the pages of docs/ make a site: each link
# make docs         opens these pages as a site
# Each makes .venv with what it needs. PYTHON=python3.12 chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# On CPU, XLA allocates the workspace of each step anew. With these variables glibc keeps what a step
# frees for the next one, instead of giving it back to the system (docs/performance.md).
KEEP_MEMORY := MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=-1

.PHONY: quickstart test test-fast test-isa lint docs clean

quickstart: $(VENV)/user
	$(KEEP_MEMORY) $(BIN)/python -m alexnet_jax.main --config=configs/quickstart.py --workdir=runs/quickstart
	$(KEEP_MEMORY) $(BIN)/python -m alexnet_jax.evaluate --workdir=runs/quickstart --views=10

PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses=4 --dist loadfile --no-loadscope-reorder

test: $(VENV)/developer
	$(PYTEST)

test-fast: $(VENV)/developer
	$(PYTEST) -m "not slow"

# The first variable limits the instructions of XLA's own code. The second limits oneDNN's, which has
# the convolutions: their sums are taken in another order without AVX-512.
NUMBERS := $(patsubst %,tests/%.py,system/test_sharding net/test_alexnet net/test_layers \
	net/test_convolution net/test_response_norm data/input/test_augment)
SAME_BITS := "test_one_and_two_devices or test_parts_have"

test-isa: $(VENV)/developer
	XLA_FLAGS=--xla_cpu_max_isa=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 \
		$(PYTEST) $(NUMBERS)
	XLA_FLAGS=--xla_cpu_max_isa=SSE4_2 ONEDNN_MAX_CPU_ISA=SSE41 \
		$(BIN)/python -m pytest tests/system/test_sharding.py tests/net/test_convolution.py -k $(SAME_BITS)

lint: $(VENV)/developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MKDOCS) build --strict

# The variable silences an advertisement of the theme's successor.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs

docs: $(VENV)/developer
	$(MKDOCS) serve --open

$(VENV)/user: requirements.txt pyproject.toml
	$(MAKE) --no-print-directory $(VENV)/pip
	$(BIN)/pip install --quiet -r requirements.txt -e .
	@touch $@

$(VENV)/developer: requirements.txt requirements-dev.txt requirements-docs.txt requirements-onnx.txt \
		pyproject.toml
	$(MAKE) --no-print-directory $(VENV)/pip
	$(BIN)/pip install --quiet -r requirements-dev.txt -e .
	$(BIN)/pip install --quiet --no-deps -r requirements-onnx.txt
	@touch $@

$(VENV)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed; choose one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "error: this Python cannot make environments; on Debian: apt install $$($(PYTHON) -c \
			'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
