/* threads.c - each worker owns a contiguous stretch of the items and helps itself from the others'
 * when its own is done, so memory is read in long runs and a stolen core costs little.
 *
 * One word, `state`, says whether work is open and how many workers are in it. Joining is a
 * compare-and-swap that succeeds only while it is open; the caller closes it and waits for those
 * who joined. A spin barrier for everyone was left out on purpose: it collapses as soon as one
 * core is shared. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/threads.h"

#include "configs/limits.h"

#include <assert.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    CACHE_LINE = 64,
    SPIN_NS = 50000,   /* longer than the gap between two ops of a step */
    SPINS_A_LOOK = 64, /* pauses between two looks at the clock: 1 us or a few */
    NS_A_SECOND = 1000000000,
};

#define STATE_OPEN    0x80000000u /* workers may join */
#define STATE_WAITING 0x40000000u /* the caller sleeps until the last one leaves */

/* One worker's stretch of the items, on a cache line of its own. */
struct stretch {
    _Alignas(CACHE_LINE) atomic_uint next;
    uint32_t end;
};

struct worker {
    struct threads *pool;
    pthread_t thread;
    uint32_t index;
};

struct threads {
    _Alignas(CACHE_LINE) atomic_uint state;      /* STATE_ bits and the count of joined workers */
    _Alignas(CACHE_LINE) atomic_uint generation; /* rises with every call; what sleepers watch */
    atomic_uint sleeper_count;
    atomic_bool stopping;
    _Alignas(CACHE_LINE) threads_fn fn; /* the work; constant while anybody is joined */
    void *context;
    uint32_t thread_count;
    uint32_t started_count;
    struct worker *workers;
    struct stretch *stretches;
};

static void futex_wait(atomic_uint *word, uint32_t expected)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_A_SECOND + (uint64_t)now.tv_nsec;
}

static void spin_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Spins until `word` is `wanted` (or, with `differs`, no longer is); false when that takes longer
 * than SPIN_NS. A limit in time: a pause is 40 cycles on one processor and 140 on the next. */
static bool spin_on(atomic_uint *word, uint32_t wanted, bool differs)
{
    uint64_t begun_ns = 0;
    for (;;) {
        for (int i = 0; i < SPINS_A_LOOK; i++) {
            if ((atomic_load(word) == wanted) != differs) {
                return true;
            }
            spin_pause();
        }
        uint64_t now_ns = clock_ns();
        begun_ns = begun_ns == 0 ? now_ns : begun_ns;
        if (now_ns - begun_ns >= SPIN_NS) {
            return false;
        }
    }
}

/* Takes items from the worker's own stretch, then from the next ones round. */
static void run_items(struct threads *pool, uint32_t worker)
{
    for (uint32_t i = 0; i < pool->thread_count; i++) {
        struct stretch *from = &pool->stretches[(worker + i) % pool->thread_count];
        /* Looking before adding keeps late workers from pulling the line away from its owner. */
        while (atomic_load_explicit(&from->next, memory_order_relaxed) < from->end) {
            uint32_t item = atomic_fetch_add_explicit(&from->next, 1, memory_order_relaxed);
            if (item >= from->end) {
                break;
            }
            pool->fn(pool->context, item, worker);
        }
    }
}

static bool join_work(struct threads *pool)
{
    uint32_t state = atomic_load(&pool->state);
    while (state & STATE_OPEN) {
        if (atomic_compare_exchange_weak(&pool->state, &state, state + 1)) {
            return true;
        }
    }
    return false;
}

static void leave_work(struct threads *pool)
{
    if (atomic_fetch_sub(&pool->state, 1) == (STATE_WAITING | 1)) {
        futex_wake(&pool->state, 1);
    }
}

static void wait_for_generation(struct threads *pool, uint32_t seen)
{
    if (spin_on(&pool->generation, seen, true)) {
        return;
    }
    /* The caller raises generation first and looks for sleepers second; here it is the other way
     * round, so one of the two always notices. */
    atomic_fetch_add(&pool->sleeper_count, 1);
    while (atomic_load(&pool->generation) == seen) {
        futex_wait(&pool->generation, seen);
    }
    atomic_fetch_sub(&pool->sleeper_count, 1);
}

static void *worker_main(void *argument)
{
    const struct worker *self = argument;
    struct threads *pool = self->pool;
    uint32_t seen = 0;
    pthread_setname_np(pthread_self(), "worker");
    for (;;) {
        wait_for_generation(pool, seen);
        seen = atomic_load(&pool->generation);
        if (atomic_load(&pool->stopping)) {
            return NULL;
        }
        if (join_work(pool)) {
            run_items(pool, self->index);
            leave_work(pool);
        }
    }
}

static void raise_generation(struct threads *pool)
{
    atomic_fetch_add(&pool->generation, 1);
    uint32_t sleeper_count = atomic_load(&pool->sleeper_count);
    if (sleeper_count > 0) {
        futex_wake(&pool->generation, (int)sleeper_count);
    }
}

static void wait_until_left(struct threads *pool)
{
    uint32_t state = atomic_fetch_and(&pool->state, ~STATE_OPEN) & ~STATE_OPEN;
    if (state == 0 || spin_on(&pool->state, 0, false)) {
        return;
    }
    state = atomic_fetch_or(&pool->state, STATE_WAITING) | STATE_WAITING;
    while (state != STATE_WAITING) {
        futex_wait(&pool->state, state);
        state = atomic_load(&pool->state);
    }
    atomic_store(&pool->state, 0);
}

enum status threads_open(struct threads **out, uint32_t thread_count, struct error *err)
{
    *out = NULL;
    if (thread_count == 0 || thread_count > LIMIT_THREADS) {
        return error_set(err, ERR_INVALID, "thread count %u is not in 1..%u", thread_count,
                         LIMIT_THREADS);
    }
    struct threads *pool = aligned_alloc(CACHE_LINE, sizeof *pool);
    if (pool == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for a pool of %u threads", thread_count);
    }
    memset(pool, 0, sizeof *pool);
    pool->thread_count = thread_count;
    pool->workers = calloc(thread_count, sizeof *pool->workers);
    pool->stretches = aligned_alloc(CACHE_LINE, thread_count * sizeof *pool->stretches);
    if (pool->workers == NULL || pool->stretches == NULL) {
        threads_close(pool);
        return error_set(err, ERR_MEMORY, "no memory for a pool of %u threads", thread_count);
    }
    memset(pool->stretches, 0, thread_count * sizeof *pool->stretches);
    for (uint32_t i = 1; i < thread_count; i++) {
        struct worker *worker = &pool->workers[i];
        worker->pool = pool;
        worker->index = i;
        int failure = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (failure != 0) {
            threads_close(pool);
            return error_set(err, ERR_MEMORY, "cannot start worker thread %u of %u: %s", i,
                             thread_count, strerror(failure));
        }
        pool->started_count = i;
    }
    *out = pool;
    return OK;
}

void threads_close(struct threads *pool)
{
    if (pool == NULL) {
        return;
    }
    atomic_store(&pool->stopping, true);
    raise_generation(pool);
    for (uint32_t i = 1; i <= pool->started_count; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    free(pool->workers);
    free(pool->stretches);
    free(pool);
}

uint32_t threads_count(const struct threads *pool)
{
    return pool->thread_count;
}

void threads_parallel_for(struct threads *pool, uint32_t item_count, threads_fn fn, void *context)
{
    assert(item_count < 1u << 31);
    if (pool->thread_count == 1 || item_count <= 1) {
        for (uint32_t item = 0; item < item_count; item++) {
            fn(context, item, 0);
        }
        return;
    }
    pool->fn = fn;
    pool->context = context;
    for (uint32_t i = 0; i < pool->thread_count; i++) {
        struct stretch *stretch = &pool->stretches[i];
        uint64_t first = (uint64_t)item_count * i / pool->thread_count;
        stretch->end = (uint32_t)((uint64_t)item_count * (i + 1) / pool->thread_count);
        atomic_store_explicit(&stretch->next, (uint32_t)first, memory_order_relaxed);
    }
    atomic_store(&pool->state, STATE_OPEN);
    raise_generation(pool);
    run_items(pool, 0);
    wait_until_left(pool);
}
