/* reply.c - one array of events, written once from the front and read once from the front.
 *
 * Every event has its own place from the start, so there is nothing to wrap or to wait for. The
 * array comes straight from mmap: a request that may produce a million tokens and produces ten
 * costs the pages of ten. SPDX-License-Identifier: Apache-2.0 */
#include "engine/reply.h"

#include "configs/checked.h"
#include "configs/limits.h"
#include "engine/clock.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct reply {
    atomic_uint reference_count;
    atomic_bool abandoned;
    atomic_uint cached_tokens;
    pthread_mutex_t lock; /* leaf: guards what follows up to `events` */
    pthread_cond_t filled;
    uint64_t pushed_count;
    uint64_t taken_count;
    uint64_t top_used_count;
    bool reader_waiting; /* the last reply_take found nothing: the next push wakes, once */
    reply_wake_fn wake;
    void *wake_context;
    struct reply_event *events; /* [event_count_max] in `memory` */
    struct reply_logprob *tops; /* [top_count_max] behind them */
    uint64_t event_count_max;
    uint64_t top_count_max;
    void *memory;
    size_t memory_bytes;
    uint32_t choice_count;
    atomic_bool stopped[LIMIT_CHOICES];
};

/* How many events and alternatives a request can produce at most, and the bytes for them. */
static bool measure(struct reply *reply, const struct generate_params *params)
{
    uint64_t output_events;
    uint64_t event_bytes;
    uint64_t top_bytes;
    uint64_t total_bytes;
    if (!checked_mul_u64(params->choice_count, (uint64_t)params->max_tokens + 1, &output_events)) {
        return false;
    }
    reply->event_count_max =
        output_events + (params->prompt_logprobs ? (uint64_t)params->prompt_tokens : 0);
    if (params->sampling.top_logprobs > 0) {
        reply->top_count_max = reply->event_count_max * params->sampling.top_logprobs;
    }
    if (!checked_mul_u64(reply->event_count_max, sizeof(struct reply_event), &event_bytes) ||
        !checked_mul_u64(reply->top_count_max, sizeof(struct reply_logprob), &top_bytes) ||
        !checked_add_u64(event_bytes, top_bytes, &total_bytes) || total_bytes > SIZE_MAX) {
        return false;
    }
    reply->memory_bytes = (size_t)total_bytes;
    return true;
}

static enum status take_memory(struct reply *reply, const struct generate_params *params,
                               struct error *err)
{
    if (params->choice_count == 0 || params->choice_count > LIMIT_CHOICES ||
        params->sampling.top_logprobs > LIMIT_TOP_LOGPROBS || !measure(reply, params)) {
        return error_set(err, ERR_INVALID,
                         "a reply for %u choices of %u tokens with %u alternatives is not possible",
                         params->choice_count, params->max_tokens, params->sampling.top_logprobs);
    }
    void *memory = mmap(NULL, reply->memory_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return error_set(err, ERR_MEMORY, "no memory for a reply of %zu bytes",
                         reply->memory_bytes);
    }
    reply->memory = memory;
    reply->events = memory;
    reply->tops = (struct reply_logprob *)(void *)(reply->events + reply->event_count_max);
    return OK;
}

enum status reply_open(struct reply **out, const struct generate_params *params, struct error *err)
{
    struct reply *reply = calloc(1, sizeof *reply);
    if (reply == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for a reply");
    }
    enum status status = take_memory(reply, params, err);
    if (status != OK) {
        free(reply);
        return status;
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&reply->filled, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&reply->lock, NULL);
    reply->choice_count = params->choice_count;
    atomic_init(&reply->reference_count, 1);
    *out = reply;
    return OK;
}

void reply_set_waker(struct reply *reply, reply_wake_fn wake, void *context)
{
    pthread_mutex_lock(&reply->lock);
    reply->wake = wake;
    reply->wake_context = context;
    pthread_mutex_unlock(&reply->lock);
}

void reply_get(struct reply *reply)
{
    atomic_fetch_add_explicit(&reply->reference_count, 1, memory_order_relaxed);
}

void reply_put(struct reply *reply)
{
    unsigned before = atomic_fetch_sub_explicit(&reply->reference_count, 1, memory_order_acq_rel);
    assert(before >= 1);
    if (before > 1) {
        return;
    }
    pthread_cond_destroy(&reply->filled);
    pthread_mutex_destroy(&reply->lock);
    munmap(reply->memory, reply->memory_bytes);
    free(reply);
}

/* With the lock held. */
static bool take_locked(struct reply *reply, struct reply_event *event)
{
    if (reply->taken_count == reply->pushed_count) {
        return false;
    }
    *event = reply->events[reply->taken_count];
    reply->taken_count++;
    return true;
}

bool reply_take(struct reply *reply, struct reply_event *event)
{
    pthread_mutex_lock(&reply->lock);
    bool found = take_locked(reply, event);
    reply->reader_waiting = !found;
    pthread_mutex_unlock(&reply->lock);
    return found;
}

bool reply_wait(struct reply *reply, struct reply_event *event, uint64_t timeout_us)
{
    struct timespec deadline = clock_deadline(timeout_us);
    pthread_mutex_lock(&reply->lock);
    bool found = take_locked(reply, event);
    int result = 0;
    while (!found && result == 0) {
        result = pthread_cond_timedwait(&reply->filled, &reply->lock, &deadline);
        found = take_locked(reply, event);
    }
    pthread_mutex_unlock(&reply->lock);
    return found;
}

void reply_abandon(struct reply *reply)
{
    atomic_store_explicit(&reply->abandoned, true, memory_order_release);
}

void reply_stop_choice(struct reply *reply, uint32_t choice)
{
    assert(choice < reply->choice_count);
    atomic_store_explicit(&reply->stopped[choice], true, memory_order_release);
}

uint32_t reply_cached_tokens(const struct reply *reply)
{
    return atomic_load_explicit(&reply->cached_tokens, memory_order_acquire);
}

void reply_push(struct reply *reply, const struct reply_event *event)
{
    pthread_mutex_lock(&reply->lock);
    assert(reply->pushed_count < reply->event_count_max);
    struct reply_event *place = &reply->events[reply->pushed_count];
    *place = *event;
    if (event->top_count > 0) {
        assert(event->top_count <= reply->top_count_max - reply->top_used_count);
        struct reply_logprob *top = reply->tops + reply->top_used_count;
        memcpy(top, event->top, event->top_count * sizeof *top);
        reply->top_used_count += event->top_count;
        place->top = top;
    } else {
        place->top = NULL;
    }
    reply->pushed_count++;
    if (reply->reader_waiting) {
        reply->reader_waiting = false;
        if (reply->wake != NULL) {
            reply->wake(reply->wake_context);
        }
    }
    pthread_cond_signal(&reply->filled);
    pthread_mutex_unlock(&reply->lock);
}

void reply_set_cached_tokens(struct reply *reply, uint32_t token_count)
{
    atomic_store_explicit(&reply->cached_tokens, token_count, memory_order_release);
}

bool reply_abandoned(const struct reply *reply)
{
    return atomic_load_explicit(&reply->abandoned, memory_order_acquire);
}

bool reply_choice_stopped(const struct reply *reply, uint32_t choice)
{
    assert(choice < reply->choice_count);
    return atomic_load_explicit(&reply->stopped[choice], memory_order_acquire);
}
