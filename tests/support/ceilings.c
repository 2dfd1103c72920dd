/* ceilings.c - see ceilings.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/ceilings.h"

#include "tests/support/dot_probe_avx512vnni.h"
#include "tests/support/fma_probe_avx512.h"

#include "kernels/backend.h"
#include "kernels/cpu/threads.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TURNS = 7,
    STREAM_BYTES = 192 << 20, /* well beyond the last-level cache */
    STREAM_ITEMS = 384,
    ROUND_TRIPS = 20000,
    AHEAD_WORDS = 2048, /* without prefetching ahead, a core reads half of what it could */
};

static double now_of(const struct threads *pool)
{
    struct timespec now;
    clock_gettime(threads_count(pool) == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct stream {
    const uint64_t *words;
    size_t item_words;
    uint64_t sums[STREAM_ITEMS];
};

static void read_item(void *context, uint32_t item, uint32_t worker)
{
    struct stream *stream = context;
    const uint64_t *words = stream->words + item * stream->item_words;
    uint64_t sums[8] = {0};
    (void)worker;
    for (size_t i = 0; i < stream->item_words; i += 8) {
        __builtin_prefetch(words + i + AHEAD_WORDS);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
            sums[j] += words[i + (size_t)j];
        }
    }
    for (int j = 0; j < 8; j++) {
        stream->sums[item] += sums[j];
    }
}

static void multiply_item(void *context, uint32_t item, uint32_t worker)
{
    float *sums = context;
    (void)worker;
    sums[(size_t)item * 16] = fma_probe_avx512_run(1 << 20);
}

static void dot_item(void *context, uint32_t item, uint32_t worker)
{
    int32_t *sums = context;
    (void)worker;
    sums[(size_t)item * 16] = dot_probe_avx512vnni_run(1 << 20);
}

static double measure_bandwidth(struct threads *pool)
{
    struct stream stream = {.item_words = STREAM_BYTES / STREAM_ITEMS / sizeof(uint64_t)};
    uint64_t *words = malloc(STREAM_BYTES);
    double best = INFINITY;
    if (words == NULL) {
        abort();
    }
    memset(words, 1, STREAM_BYTES);
    stream.words = words;
    for (int turn = 0; turn < TURNS; turn++) {
        double start = now_of(pool);
        threads_parallel_for(pool, STREAM_ITEMS, read_item, &stream);
        double spent = now_of(pool) - start;
        best = spent < best ? spent : best;
    }
    free(words);
    return STREAM_BYTES / best;
}

/* Rounds of a probe a second. */
static double measure_rounds(struct threads *pool, threads_fn probe)
{
    static float sums[256 * 16];
    uint32_t item_count = threads_count(pool) * 4;
    double best = INFINITY;
    for (int turn = 0; turn < TURNS; turn++) {
        double start = now_of(pool);
        threads_parallel_for(pool, item_count, probe, sums);
        double spent = now_of(pool) - start;
        best = spent < best ? spent : best;
    }
    return (double)item_count * (1 << 20) / best;
}

/* Two items that hand a word to and fro: 0 is for the one, 1 for the other. */
static void pass_item(void *context, uint32_t item, uint32_t worker)
{
    atomic_uint *word = context;
    (void)worker;
    for (int i = 0; i < ROUND_TRIPS; i++) {
        for (int looks = 1; atomic_load_explicit(word, memory_order_acquire) != item; looks++) {
            if (looks % 1024 == 0) {
                sched_yield(); /* both may be on one core */
            }
        }
        atomic_store_explicit(word, 1 - item, memory_order_release);
    }
}

static double measure_round_trip(struct threads *pool)
{
    static _Alignas(64) atomic_uint word;
    double best = INFINITY;
    for (int turn = 0; turn < TURNS; turn++) {
        atomic_store(&word, 0);
        double start = now_of(pool);
        threads_parallel_for(pool, 2, pass_item, &word);
        double spent = now_of(pool) - start;
        best = spent < best ? spent : best;
    }
    return best / ROUND_TRIPS;
}

static struct threads *open_threads(uint32_t thread_count)
{
    struct threads *pool = NULL;
    struct error err = {0};
    if (threads_open(&pool, thread_count, &err) != OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    return pool;
}

struct ceilings ceilings_measure(uint32_t thread_count)
{
    struct ceilings ceilings = {.thread_count = thread_count};
    struct threads *pool = open_threads(1);
    ceilings.read_of_one = measure_bandwidth(pool);
    threads_close(pool);
    pool = open_threads(thread_count);
    ceilings.read = measure_bandwidth(pool);
    if (thread_count > 1) {
        ceilings.round_trip = measure_round_trip(pool);
    }
    if (strcmp(backend_isa_name(ISA_AUTO), "avx512") == 0) {
        ceilings.fma = measure_rounds(pool, multiply_item) * FMA_PROBE_FLOPS;
    }
    if (__builtin_cpu_supports("avx512vnni")) {
        ceilings.dot = measure_rounds(pool, dot_item) * DOT_PROBE_OPS;
    }
    threads_close(pool);
    return ceilings;
}

void ceilings_print(const struct ceilings *ceilings)
{
    printf("ceiling.read_of_one %.1f GB/s\n", ceilings->read_of_one * 1e-9);
    printf("ceiling.read %.1f GB/s\n", ceilings->read * 1e-9);
    if (ceilings->round_trip > 0) {
        printf("ceiling.round_trip %.0f ns\n", ceilings->round_trip * 1e9);
    }
    if (ceilings->fma > 0) {
        printf("ceiling.fma %.1f GFLOP/s\n", ceilings->fma * 1e-9);
    }
    if (ceilings->dot > 0) {
        printf("ceiling.dot %.1f GOP/s\n", ceilings->dot * 1e-9);
    }
}
