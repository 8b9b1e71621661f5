# The tests of the core, which need a C compiler and no Python.  Included by
# the Makefile; also `make -f tests/core/core.mk core` from the root.
#
#   make core K=timer     only the tests whose file or name has "timer" in it

CC ?= cc
K ?=
CORE_WARN := -std=gnu11 -Wall -Wextra -Wconversion -Wstrict-prototypes \
    -Wmissing-prototypes -Wshadow -Werror
CORE_LIBS := -lpthread -lrt
CORE_LIMIT := timeout --kill-after=10 240
CORE_HEADERS := $(wildcard csrc/kev/*.h tests/core/*.h)
CORE_SOURCES := $(wildcard csrc/kev/*.c)
CORE_RUNNER := tests/core/runner.c tests/core/fixture.c
CORE_TESTS := $(CORE_RUNNER) $(filter-out tests/core/test_faults.c, \
    $(wildcard tests/core/test_*.c))

# core_program: directory, flags, sources.  One object a source.  A file has its
# name only when it is whole: two Pythons' tests may build it, and run it, at once.
define core_program
$(1)_OBJECTS := $$(patsubst %.c,$(1)/%.o,$(3))
$(1)/%.o: %.c $$(CORE_HEADERS) tests/core/core.mk
	@mkdir -p $$(@D)
	@$$(CC) $$(CORE_WARN) $(2) -Icsrc -Itests/core -c $$< -o $$@.$$$$$$$$ \
	    && mv -f $$@.$$$$$$$$ $$@
$(1)/program: $$($(1)_OBJECTS)
	@$$(CC) $(2) $$($(1)_OBJECTS) $$(CORE_LIBS) -o $$@.$$$$$$$$ \
	    && mv -f $$@.$$$$$$$$ $$@
endef

CORE_ASAN := -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
    -fno-sanitize-recover=all -DKEV_NO_FREELIST -DKEV_DEBUG
CORE_TSAN := -g -O1 -fno-omit-frame-pointer -fsanitize=thread \
    -DKEV_NO_FREELIST -DKEV_DEBUG

$(eval $(call core_program,build/core,-g -O2 -DKEV_DEBUG,\
    $(CORE_SOURCES) $(CORE_TESTS)))
$(eval $(call core_program,build/core-asan,$(CORE_ASAN),\
    $(CORE_SOURCES) $(CORE_TESTS)))
$(eval $(call core_program,build/core-tsan,$(CORE_TSAN),\
    $(CORE_SOURCES) $(CORE_TESTS)))
$(eval $(call core_program,build/core-faults,$(CORE_ASAN) -DKEV_FAULTS,\
    $(CORE_SOURCES) $(CORE_RUNNER) tests/core/test_faults.c))
$(eval $(call core_program,build/core-bench,-O2,\
    $(CORE_SOURCES) benchmarks/core/bench_harvest.c))
$(eval $(call core_program,build/core-dumazet,-O2,\
    $(CORE_SOURCES) benchmarks/core/bench_dumazet.c))

$(eval $(call core_program,build/evtest,-O2,\
    $(CORE_SOURCES) benchmarks/examples/evtest.c))
$(eval $(call core_program,build/webserver,-O2,\
    $(CORE_SOURCES) benchmarks/examples/webserver.c))

.PHONY: core core-asan core-tsan core-faults core-bench core-dumazet core-examples core-threads

core: build/core/program ## the core's tests, without Python
	@$(CORE_LIMIT) build/core/program core $(K)

core-asan: build/core-asan/program ## the same under ASan and UBSan
	@$(CORE_LIMIT) build/core-asan/program core-asan $(K)

core-tsan: build/core-tsan/program ## the same under TSan
	@$(CORE_LIMIT) build/core-tsan/program core-tsan $(K)

core-faults: build/core-faults/program ## each system call and allocation fails once
	@$(CORE_LIMIT) build/core-faults/program core-faults $(K)

core-bench: build/core-bench/program ## ns an event over a bare epoll_wait loop
	@for n in 1 10 100 1000; do $(CORE_LIMIT) build/core-bench/program $$n \
	    || exit 1; done

core-threads: build/core/program build/core-tsan/program ## 8 threads on one queue: 10,000,000 events, and 1,000,000 under TSan
	@KEV_TEST_EVENTS=10000000 KEV_TEST_SECONDS=230 $(CORE_LIMIT) \
	    build/core/program core-threads threads_eight
	@KEV_TEST_EVENTS=1000000 KEV_TEST_SECONDS=230 $(CORE_LIMIT) \
	    build/core-tsan/program core-threads-tsan threads_eight

core-examples: build/evtest/program build/webserver/program ## programs on the core alone: evtest runs, a web server is built
	@build/evtest/program

core-dumazet: build/core-dumazet/program ## the benchmark of November 2006, in C: the queue and bare epoll
	@for n in 1 20 200 1000; do $(CORE_LIMIT) build/core-dumazet/program $$n \
	    || exit 1; done
