# Everything that can be done with a checkout; `make help` lists it.
#
# Each interpreter has a virtual environment of its own: .venv for the one that
# make finds, .venv-3.12 and so on for one that is named (make test
# PYTHON=python3.12).  Files in it without content are stamps: what they stand
# for is done again only when something that it depends on has changed.

.DEFAULT_GOAL := help
SHELL := /bin/sh
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PYTHONDONTWRITEBYTECODE := 1

# ---- which Python ---------------------------------------------------------

ifeq ($(origin PYTHON),undefined)
VENV := .venv
PYTHON := $(shell for p in python3 python3.15 python3.14 python3.13 \
    python3.12 python3.11; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    >/dev/null 2>&1 && echo $$p && break; done)
else
VENV := .venv-$(shell $(PYTHON) -c 'import sys, sysconfig; \
    print("%d.%d%s%s" % (*sys.version_info[:2], sys.abiflags, "-tsan" * \
    ("thread-sanitizer" in str(sysconfig.get_config_var("CONFIG_ARGS")))))' \
    2>/dev/null)
endif
PY := $(VENV)/bin/python
PIP := $(PY) -m pip -q --no-python-version-warning

# ---- what is built from what ----------------------------------------------

SOURCES := setup.py pyproject.toml $(wildcard csrc/*/*.c csrc/*/*.h)
CC ?= cc

.PHONY: help demo test test-python prepare build tidy suite typing conformance symbols sdist asan \
    bench bench-quick dumazet ecosystem instructions bench-echo syscalls shell clean clean-all soak probes

help: ## this list
	@echo 'make TARGET [PYTHON=python3.12]'
	@echo
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort -u | \
	    awk -F ':.*## *' '{printf "  %-14s %s\n", $$1, $$2}'

# ---- the two commands of README -------------------------------------------

demo: $(VENV)/built $(VENV)/extras ## build, serve aiohttp under load: asyncio, uvloop, kevent
	$(PY) -m benchmarks.demo

test: test-python core ## everything that must pass (make -k test: even after a failure)
	@echo "make test: all passed on $$($(PY) -VV)"

test-python: suite symbols conformance ## of it, what depends on the Python

# ---- environment and build ------------------------------------------------

$(VENV)/ready:
	@[ -n "$(PYTHON)" ] || { \
	    echo 'kevent needs Python 3.11 or newer: make PYTHON=/path/to/it' >&2; \
	    exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo '$(PYTHON) is no Python 3.11 or newer: make PYTHON=...' >&2; \
	    exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo '$(PYTHON) has no venv (Debian, Ubuntu: apt-get install python3-venv)' >&2; \
	    exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists( \
	    sysconfig.get_path("include") + "/Python.h"))' || { \
	    echo '$(PYTHON) has no Python.h (Debian, Ubuntu: apt-get install python3-dev)' >&2; \
	    exit 1; }
	@command -v $(firstword $(CC)) >/dev/null || { \
	    echo 'no C compiler: $(CC) (Debian, Ubuntu: apt-get install gcc libc6-dev)' >&2; \
	    exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip 'setuptools>=77'
	@pwd >"$$($(PY) -c 'import sysconfig; \
	    print(sysconfig.get_path("purelib"))')/kevent-checkout.pth"
	@touch $@

# The extension is built beside kevent/*.py, one file for each Python, and the
# venv looks into the checkout.  make sdist shows the road that users take.
BUILD = $(PY) setup.py -q build_ext --inplace --force --build-temp $(VENV)/build

$(VENV)/built: $(SOURCES) | $(VENV)/ready
	$(BUILD)
	@touch $@

# The same with warnings as errors; what `make test` looks at.
$(VENV)/built-strictly: $(SOURCES) | $(VENV)/ready
	KEVENT_WERROR=1 $(BUILD)
	@touch $@ $(VENV)/built

# What the demo and some tests use.  A Python that is too new for one of them
# goes without it: what needs it says so.  An older wheel rather than a newest
# release that has none for this Python, and minutes of compiling.
EXTRAS := aiohttp uvloop pytest-benchmark tqdm mypy numpy hypothesis
$(VENV)/extras: Makefile | $(VENV)/ready
	@$(PIP) install --prefer-binary $(EXTRAS) || \
	    for p in $(EXTRAS); do $(PIP) install --prefer-binary $$p || \
	    echo "note: $$p cannot be installed for $$($(PY) -V)"; done
	@touch $@

$(VENV)/pytest: Makefile | $(VENV)/ready
	$(PIP) install pytest
	@touch $@

prepare: $(VENV)/built-strictly $(VENV)/pytest $(VENV)/extras ## all that the tests stand on

build: $(VENV)/built ## build the extension in place, for the venv

# ---- the parts of make test -----------------------------------------------

PYTEST := $(PY) -m pytest -p no:cacheprovider
# These take their time, and have targets of their own.
PROOFS := tests/faults/ tests/fuzz/
SUITES := $(filter-out $(PROOFS),$(sort $(dir $(wildcard tests/*/test_*.py))))

suite: $(VENV)/built-strictly $(VENV)/pytest $(VENV)/extras ## all tests that pytest runs: kevent, selectors, aio, tidy, ...
	$(PYTEST) -q $(SUITES)

tidy: $(VENV)/pytest ## the rules that the source text keeps
	$(PYTEST) -q tests/tidy

typing: $(VENV)/built-strictly $(VENV)/pytest $(VENV)/extras ## mypy: the stubs against the code, a program against the stubs
	$(PYTEST) -q tests/typing

conformance: $(VENV)/built-strictly ## CPython's own asyncio and selectors tests
	@$(PY) -m tests.conformance || { s=$$?; [ $$s -eq 77 ] && \
	    echo "note: $$($(PY) -V) comes without its tests: no conformance"; }

symbols: $(VENV)/built-strictly ## only PyInit__core may be exported, and nothing static be written
	@lib=$$($(PY) -c 'import kevent._core as c; print(c.__file__)') && \
	found=$$(nm -D --defined-only "$$lib" | awk '{print $$NF}' | sort) && \
	if [ "$$found" = PyInit__core ]; then echo "symbols: 1 passed"; \
	else echo "exported: $$found"; echo "symbols: 1 failed"; exit 1; fi && \
	$(PY) tests/tidy/statics.py "$$lib" csrc/*/*.c

# The core, its tests and their sanitizers need no Python: core, core-asan, ...
-include tests/core/core.mk

# ---- further proofs -------------------------------------------------------

# The extension and the tests under ASan and UBSan, in a copy of the tree: two
# builds of one extension cannot lie in one package.
ASAN_TREE := $(VENV)/asan
ASAN_SUITES := $(filter-out tests/tidy/ tests/benchmarks/ tests/conformance/ \
    tests/typing/ tests/examples/ tests/reference/ tests/probes/ tests/refleak/,$(SUITES))
asan: $(VENV)/ready $(VENV)/pytest $(VENV)/extras ## extension under ASan+UBSan, pytest on it
	rm -rf $(ASAN_TREE)
	mkdir -p $(ASAN_TREE)
	cp -r setup.py pyproject.toml README.md LICENSE csrc kevent tests $(ASAN_TREE)
	rm -f $(ASAN_TREE)/kevent/*.so
	cd $(ASAN_TREE) && KEVENT_DEBUG=1 KEVENT_SANITIZE=address,undefined \
	    $(abspath $(PY)) setup.py -q build_ext --inplace
	cd $(ASAN_TREE) && PYTHONPATH=$(abspath $(ASAN_TREE)) \
	    LD_PRELOAD="$$($(CC) -print-file-name=libasan.so)" \
	    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:abort_on_error=1 \
	    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 PYTHONMALLOC=malloc \
	    KEVENT_TEST_SLOWNESS=5 \
	    $(abspath $(PY)) -m pytest -p no:cacheprovider -q $(ASAN_SUITES)

.PHONY: life refleak faults fallbacks fuzz fuzz-core hostile connections

# FULL=0: the short forms, for a machine that does this often.
FULL ?= 1
PROOF := KEVENT_FULL=$(FULL) KEVENT_TEST_SLOWNESS=$${KEVENT_TEST_SLOWNESS:-4} $(PYTEST) -q

faults: $(VENV)/built-strictly $(VENV)/pytest core-faults ## each call to the kernel or for memory fails once
	$(PROOF) tests/faults/test_calls.py tests/memory/test_no_memory.py

fallbacks: $(VENV)/built-strictly $(VENV)/pytest ## the same tests without the newer system calls
	$(PROOF) tests/faults/test_fallbacks.py

$(VENV)/hypothesis: Makefile | $(VENV)/ready
	$(PIP) install hypothesis
	@touch $@

# The core under libFuzzer.  What it has found out is kept in build/fuzz.
CLANG ?= $(firstword $(foreach c,clang clang-18 clang-17 clang-16 clang-15 clang-14,\
    $(if $(shell command -v $(c)),$(c))))
FUZZ_SECONDS ?= $(if $(filter 0,$(FULL)),30,600)
build/fuzz/core: tests/fuzz/fuzz_core.c $(wildcard csrc/kev/*)
	@mkdir -p $(@D)/corpus
	$(CLANG) -std=gnu11 -g -O1 -Wall -Wextra -Werror -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=all -DKEV_DEBUG -DKEV_NO_FREELIST -Icsrc \
	    tests/fuzz/fuzz_core.c $(wildcard csrc/kev/*.c) -lpthread -lrt -o $@

fuzz-core: ## calls of the core at random, against a model (clang: libFuzzer)
	@if [ -z "$(CLANG)" ]; then echo "note: no clang here: the core is not fuzzed"; else \
	    $(MAKE) -s build/fuzz/core && build/fuzz/core -max_total_time=$(FUZZ_SECONDS) \
	    -max_len=800 -timeout=20 -print_final_stats=1 -verbosity=1 \
	    -artifact_prefix=build/fuzz/ build/fuzz/corpus 2>build/fuzz/log \
	    || { tail -40 build/fuzz/log; exit 1; }; \
	    grep -E 'number_of_executed|peak_rss' build/fuzz/log; fi

fuzz: fuzz-core $(VENV)/built-strictly $(VENV)/pytest $(VENV)/hypothesis ## the same of the loop, against asyncio; wrong arguments
	$(PROOF) tests/fuzz

build/faults/inject.so: tests/faults/inject.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g -Wall -Wextra -Werror -fno-builtin -shared -fPIC $< -o $@ -ldl

.PHONY: soak-faults
soak-faults: $(VENV)/built build/faults/inject.so ## soak for an hour while calls are interrupted and cut short
	KEVENT_FAULT_PERIOD=50 KEVENT_FAULT_SAY=1 LD_PRELOAD=$(abspath build/faults/inject.so) \
	    $(PY) -m tests.soak --verbose --seed $(or $(SOAK_SEED),1) \
	    --seconds $(or $(SOAK_SECONDS),$(if $(filter 0,$(FULL)),60,3600))

hostile: $(VENV)/built-strictly $(VENV)/pytest ## programs and peers that fight the loop
	$(PROOF) -rs tests/hostile

connections: $(VENV)/built ## a million connections, one after the other, in flat memory
	$(PY) -m tests.hostile.connections
# How long each part of the stress is, and how many interpreters are made.
life: $(VENV)/built-strictly $(VENV)/pytest ## fork, sub-interpreters, threads, signals, shutdown: the long form
	KEVENT_LIFE_SECONDS=2 KEVENT_LIFE_INTERPRETERS=100 \
	    KEVENT_TEST_SLOWNESS=$${KEVENT_TEST_SLOWNESS:-4} $(PYTEST) -q tests/life

# The extension under TSan, in a copy of the tree, with the stress of
# tests/life; the core's own tests before that.  With a GIL there is nothing to
# see in the extension, and TSan has to see CPython's own locks: it takes a
# Python that was configured --disable-gil --with-thread-sanitizer.
TSAN_TREE := $(VENV)/tsan
TSAN_SECONDS := 2
tsan: core-tsan ## the core, and on a Python that was built for it the extension, under TSan
	@case $(VENV) in *t-tsan) \
	    $(MAKE) --no-print-directory tsan-extension PYTHON='$(PYTHON)';; \
	*) echo "note: only the core: $$($(PYTHON) -V) was not configured" \
	    "--disable-gil --with-thread-sanitizer";; esac

# Such a Python takes minutes to fill a venv with a pip of its own.
.PHONY: tsan-extension
tsan-extension: export TSAN_OPTIONS := report_bugs=0
tsan-extension:
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(PY) -q install --no-compile 'setuptools>=77'
	rm -rf $(TSAN_TREE)
	mkdir -p $(TSAN_TREE)
	cp -r setup.py pyproject.toml README.md LICENSE csrc kevent tests $(TSAN_TREE)
	rm -f $(TSAN_TREE)/kevent/*.so
	cd $(TSAN_TREE) && KEVENT_SANITIZE=thread \
	    $(abspath $(PY)) setup.py -q build_ext --inplace
	cd $(TSAN_TREE) && PYTHONPATH=$(abspath $(TSAN_TREE)) \
	    TSAN_OPTIONS=suppressions=tests/life/tsan.supp:exitcode=66:history_size=7 \
	    $(abspath $(PY)) -m tests.life.stress $(TSAN_SECONDS)

# A debug build counts references; any other only memory blocks and descriptors.
# FORM=short leaves out tests that are slow.
FORM := full
REFLEAK_SUITES := tests/kevent tests/selectors tests/aio tests/entry tests/streams
refleak: $(VENV)/built-strictly $(VENV)/pytest $(VENV)/hypothesis ## each test many times: lost references, memory, descriptors
	KEVENT_TEST_SLOWNESS=10 $(PYTEST) -q -p tests.refleak.plugin --refleak=$(FORM) \
	    $(REFLEAK_SUITES)

sdist: $(VENV)/ready ## build the sdist, install it elsewhere, import it
	rm -rf $(VENV)/sdist
	mkdir -p $(VENV)/sdist
	$(PIP) install build
	$(PY) -m build -s -o $(VENV)/sdist . >/dev/null
	$(PY) -m venv $(VENV)/sdist/venv
	cd $(VENV)/sdist && ./venv/bin/python -m pip -q install ./*.tar.gz
	cd $(VENV)/sdist && ./venv/bin/python -c "import asyncio, kevent; \
	    print(kevent.run(asyncio.sleep(0.001, 'sdist: 1 passed')))"

probes: $(VENV)/built $(VENV)/extras ## what each loop does and does not, into docs/behaviour.md
	$(PY) -m tests.probes

soak: $(VENV)/built ## 300 s of mixed random use with Ctrl-C: nothing lost, nothing left (SOAK_SECONDS, SOAK_SEED)
	$(PY) -m tests.soak --verbose --seconds $(or $(SOAK_SECONDS),300) --seed $(or $(SOAK_SEED),1)

# The `ecosystem` extra of pyproject.toml.  Those that a Python cannot have are
# left out, and so are servers that the machine has not: the tests say which.
ECOSYSTEM := pytest uvicorn httptools aiohttp anyio websockets httpx redis asyncpg aioquic nest-asyncio
$(VENV)/ecosystem: Makefile | $(VENV)/ready
	@$(PIP) install $(ECOSYSTEM) || for p in $(ECOSYSTEM); do $(PIP) install $$p || \
	    echo "note: $$p cannot be installed for $$($(PY) -V)"; done
	@touch $@

ecosystem: $(VENV)/built $(VENV)/ecosystem ## uvicorn, aiohttp, anyio, httpx, ... and databases on kevent's loop
	$(PYTEST) -q -rs tests/ecosystem

# What `python -m benchmarks` and its report use beyond EXTRAS.
BENCH_EXTRAS := pytest matplotlib uvicorn httptools
$(VENV)/bench-extras: Makefile $(VENV)/extras | $(VENV)/ready
	@$(PIP) install $(BENCH_EXTRAS) || for p in $(BENCH_EXTRAS); do $(PIP) install $$p || \
	    echo "note: $$p cannot be installed for $$($(PY) -V)"; done
	@touch $@

$(VENV)/peers: benchmarks/lib/peers.py | $(VENV)/ready
	$(PY) -m benchmarks peers
	@touch $@

BENCH_PYTEST := $(PYTEST) -q benchmarks --benchmark-columns=min,median,max,rounds \
    --benchmark-sort=min --benchmark-json=build/report/suites.json
# A report is made of what there is, also when a row of kevent failed.
BENCH = $(PY) -m benchmarks --json build/report/results.json

bench: $(VENV)/built $(VENV)/bench-extras $(VENV)/peers ## everything on every loop that can be had, and a report: < 30 minutes
	@mkdir -p build/report
	$(BENCH_PYTEST)
	$(BENCH) --peers --rounds 5 --seconds 0.4 --minutes 26; s=$$?; \
	    $(PY) -m benchmarks report build/report/results.json; exit $$s

bench-quick: $(VENV)/built $(VENV)/bench-extras ## a few rows on asyncio, uvloop and kevent: < 3 minutes
	@mkdir -p build/report
	$(BENCH_PYTEST) -k 'queues or ready'
	$(BENCH) --quick; s=$$?; \
	    $(PY) -m benchmarks report build/report/results.json; exit $$s

dumazet: core-dumazet $(VENV)/built ## the same from Python: kevent's ring and select.epoll
	$(PY) -m benchmarks.dumazet --check

instructions: $(VENV)/built $(VENV)/extras ## callgrind: fails when kevent needs 3 % more than recorded
	$(PY) -m benchmarks.instructions --loops kevent,uvloop --streams --check

bench-echo: $(VENV)/built $(VENV)/extras ## server CPU of an echo request; fails if above uvloop's
	$(PY) -m benchmarks.echo --check

syscalls: $(VENV)/built ## strace: one recv and one send an echo request
	$(PY) -m benchmarks.syscalls

shell: $(VENV)/built ## asyncio REPL of the venv
	$(PY) -m asyncio

# ---- away with it ---------------------------------------------------------

clean: ## remove what was built, keep the venvs
	rm -rf build dist *.egg-info .pytest_cache .benchmarks
	rm -f kevent/*.so .venv*/built .venv*/built-strictly
	rm -rf .venv*/asan .venv*/sdist
	find kevent tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

clean-all: clean ## and the venvs
	rm -rf .venv .venv-*
