# sluice: make (release build), make run, make test, make check, make bench; SAN=asan|tsan.
# Each variant has its own tree under BUILD, so that switching never needs a clean.
CC      ?= gcc
BUILD   ?= build
VARIANT := $(or $(SAN),release)
OUT     := $(BUILD)/$(VARIANT)

CFLAGS := -std=c11 -D_GNU_SOURCE -g -I. -MMD -MP -pthread -Wall -Wextra -Wshadow \
          -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wpointer-arith -Wvla -Wformat=2 \
          -Wno-format-truncation -ffp-contract=off -fno-math-errno -Werror
CFLAGS_release := -O2
CFLAGS_asan    := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_tsan    := -O1 -fno-omit-frame-pointer -fsanitize=thread
CFLAGS  += $(CFLAGS_$(VARIANT))
LDFLAGS += -pthread $(CFLAGS_$(VARIANT))
LDLIBS  += -lmicrohttpd -ljansson -lxxhash -lutf8proc -lm

FOLDERS ?= configs kernels kernels/cpu kvcache scheduler engine engine/formats engine/tokenizer \
           server server/chat
SOURCES := $(filter-out server/main.c,$(wildcard $(FOLDERS:%=%/*.c)))
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o)
LIBRARY := $(OUT)/libsluice.a

# What tests share; every other tests/*.c is a program of its own.
TEST_SHARED  := $(wildcard tests/support/*.c)
TEST_OBJECTS := $(TEST_SHARED:%.c=$(OUT)/%.o)
TESTS        := $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/test_*.c tests/check_*.c tests/sim_*.c))
BENCHES      := $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/bench_*.c))
TOOLS        := $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/tool_*.c))

.DEFAULT_GOAL := all
.PHONY: all lib tests
all: $(OUT)/sluiced
lib: $(LIBRARY)
tests: $(TESTS) $(TOOLS)

# Each instruction set is one family of files with its own flags; nothing else may use intrinsics.
$(OUT)/%_avx2.o:   CFLAGS += -O3 -mavx2 -mfma -mf16c
$(OUT)/%_avx512.o: CFLAGS += -O3 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c

$(OUT)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c -o $@ $<

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	ar rcs $@ $^

$(OUT)/sluiced: $(OUT)/server/main.o $(LIBRARY)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/tests/%: $(OUT)/tests/%.o $(TEST_OBJECTS) $(LIBRARY)
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

.SECONDARY:
-include $(wildcard $(OUT)/*/*.d $(OUT)/*/*/*.d)
