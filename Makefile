# sluice: make (release build), make run, make test, make install, make check, make bench, make fuzz,
# make format.
# SAN=asan|tsan builds and tests a sanitizer variant. Each variant has its own tree under BUILD, so
# that switching never needs a clean.
BUILD   ?= build
VARIANT := $(or $(SAN),release)
OUT     := $(BUILD)/$(VARIANT)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings \
            -Wpointer-arith -Wvla -Wformat=2 -Wno-format-truncation -Werror
# -ffp-contract=off: a multiply and an add are fused only where the source says so, or the same
# expression would round differently in two places.
BASE   := -std=c11 -D_GNU_SOURCE -g -I. -MMD -MP -pthread -ffp-contract=off -fno-math-errno
CFLAGS := $(BASE) $(WARNINGS)
CFLAGS_release := -O2
CFLAGS_asan    := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_tsan    := -O1 -fno-omit-frame-pointer -fsanitize=thread
CFLAGS  += $(CFLAGS_$(VARIANT)) $(EXTRA_CFLAGS)
LDFLAGS += -pthread $(CFLAGS_$(VARIANT))
LDLIBS  += -lmicrohttpd -ljansson -lxxhash -lutf8proc -lsystemd -lm

FOLDERS ?= configs kernels kernels/cpu kvcache scheduler engine engine/formats engine/tokenizer \
           server server/chat server/commands server/output
SOURCES := $(filter-out server/main.c,$(wildcard $(FOLDERS:%=%/*.c)))
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o)
LIBRARY := $(OUT)/libsluice.a

# tests/support is shared; every other test_, check_, sim_, bench_, tool_ file is a program.
TEST_SHARED  := $(wildcard tests/support/*.c)
TEST_LIBRARY := $(OUT)/libtests.a
# The load generator: a program of its own, which knows the server only by its protocol.
BENCH_OBJECTS := $(patsubst %.c,$(OUT)/%.o,$(wildcard tests/load/*.c)) $(OUT)/configs/error.o \
                 $(OUT)/configs/option_table.o
BENCH_PARTS   := $(filter-out %/main.o,$(BENCH_OBJECTS))
PROGRAMS      = $(patsubst %.c,$(OUT)/%,$(wildcard tests/$(1)_*.c))
TESTS        := $(call PROGRAMS,test) $(call PROGRAMS,check) $(call PROGRAMS,sim)
BENCHES      := $(call PROGRAMS,bench)
TOOLS        := $(call PROGRAMS,tool)

BUILD_PACKAGES := gcc libc6-dev make libmicrohttpd-dev libjansson-dev libxxhash-dev \
                  libutf8proc-dev libsystemd-dev
TEST_PACKAGES  := libcmocka-dev python3 python3-venv curl
CHECK_PACKAGES := clang-format clang-tidy cppcheck
FUZZ_PACKAGES  := clang libclang-rt-14-dev
wanted_by       = $(if $(filter $(1),$(MAKECMDGOALS)),$(2))
PACKAGES       := $(BUILD_PACKAGES) $(call wanted_by,run tests test bench check fuzz,$(TEST_PACKAGES)) \
                  $(call wanted_by,check format,$(CHECK_PACKAGES)) $(call wanted_by,fuzz,$(FUZZ_PACKAGES))

.DEFAULT_GOAL := all
.PHONY: all lib tests run test bench check format fuzz install uninstall install-packages clean
.SECONDARY:

all: $(OUT)/sluiced $(OUT)/sluice-bench
lib: $(LIBRARY)
tests: $(TESTS) $(TOOLS) $(BENCHES)

# The packages are Debian's; elsewhere, install what the lists above name.
install-packages:
	@configs/install_packages.sh $(PACKAGES)

# Each instruction set is one family of files with its own flags; nothing else may use intrinsics.
# -O3 with a sanitizer takes the compiler minutes and tests nothing more.
VECTOR_release := -O3
$(OUT)/%_avx2.o:   CFLAGS += $(VECTOR_$(VARIANT)) -mavx2 -mfma -mf16c
$(OUT)/%_avx512vnni.o: CFLAGS += $(VECTOR_$(VARIANT)) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -mf16c
$(OUT)/%_avx512.o: CFLAGS += $(VECTOR_$(VARIANT)) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c
# Following variables through unrolled register tiles, for the debugger, takes gcc minutes under asan.
$(OUT)/%_avx2.o $(OUT)/%_avx512.o $(OUT)/%_avx512vnni.o: CFLAGS += -fno-var-tracking

# The demo model is part of the program.
$(OUT)/engine/demo_model.o: configs/demo/sluice-demo.gguf

$(OUT)/%.o: %.c Makefile | install-packages
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(CFLAGS) -c -o $@ $<

# --version states how the binary was built.
$(OUT)/server/main.o: CFLAGS += -DSLUICE_BUILD='"$(VARIANT) $(CFLAGS_$(VARIANT)) $(EXTRA_CFLAGS)"'

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	@ar rcs $@ $^

$(OUT)/sluiced: $(OUT)/server/main.o $(LIBRARY)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(TEST_LIBRARY): $(TEST_SHARED:%.c=$(OUT)/%.o)
	@rm -f $@
	@ar rcs $@ $^

$(OUT)/sluice-bench: $(BENCH_OBJECTS)
	$(CC) $(LDFLAGS) -o $@ $^ -ljansson -lm

$(OUT)/tests/test_load_%: $(OUT)/tests/test_load_%.o $(BENCH_PARTS)
	@$(CC) $(LDFLAGS) -o $@ $^ -lcmocka -ljansson -lm

$(OUT)/tests/%: $(OUT)/tests/%.o $(TEST_LIBRARY) $(LIBRARY)
	@$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

# MODEL=PATH serves that GGUF file or Hugging Face directory; without it, the embedded demo model.
run: all
	@tests/run_daemon.sh $(OUT) $(MODEL)

test: all tests
	@tests/run_tests.sh $(OUT) $(TESTS)

bench: all $(BENCHES) $(TOOLS)
	@for program in $(BENCHES); do echo "== $$program"; $$program || exit 1; done

check: lib
	@tests/check_layers.sh
	@tests/check_names.sh $(LIBRARY)
	@tests/check_style.sh
	@BASE_FLAGS="$(filter-out -MMD -MP,$(BASE))" tests/check_static.sh

format: install-packages
	clang-format -i $$(tests/check_style.sh --list)

# DESTDIR, PREFIX (/usr/local) and the folders that configs/install.sh names.
export DESTDIR PREFIX BINDIR MANDIR SYSCONFDIR UNITDIR COMPLETIONDIR
install: all
	@configs/install.sh install $(OUT)

uninstall:
	@configs/install.sh uninstall $(OUT)

# Each fuzz target runs FUZZ_SECONDS with address and undefined-behaviour checks.
FUZZ_SECONDS ?= 60
fuzz: install-packages
	@BASE_FLAGS="$(filter-out -MMD -MP,$(BASE))" LIBRARIES="-lcmocka $(LDLIBS)" \
		tests/run_fuzz.sh $(BUILD)/fuzz $(FUZZ_SECONDS)

clean:
	rm -rf $(BUILD)

-include $(shell find $(OUT) -name "*.d" 2>/dev/null)
