/* sim_state.h - what the parts of the simulator share; nobody else includes it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_SIM_STATE_H
#define TESTS_SUPPORT_SIM_STATE_H

#include "configs/limits.h"
#include "scheduler/scheduler.h"
#include "tests/support/sim_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIM_VOCAB = 97,
    SIM_END_TOKEN = 0,
    SIM_BASES = 4,
    SIM_BASE_TOKENS = 256,
    SIM_HISTORIES = 8,
    SIM_SPARE = LIMIT_DRAFT_TOKENS,
};

/* Swarm options: what this world is like. Chances are in thousandths. */
struct sim_swarm {
    struct scheduler_options scheduler;
    struct kv_cache_options kv;
    uint64_t hash_mask;
    uint32_t prompt_max;
    uint32_t output_max;
    uint32_t tenants;
    uint32_t priorities;
    uint32_t burst_max;
    uint32_t arrive, share, history, fork, all_logits, deadline, too_big;
    uint32_t cancel, cancel_in_flight, preempt, flush, error, linger;
    uint32_t draft, draft_right, stop;
};

struct sim_client {
    struct request *request;
    uint64_t number;     /* its arrival_number */
    uint32_t *token_ids; /* the scheduler's view: [token_count_max + SIM_SPARE] */
    uint32_t *oracle;    /* prompt and all output it would ever get, alone */
    uint64_t *digests;   /* [oracle_count] over the tokens up to each position */
    uint32_t oracle_count;
    uint32_t token_count; /* what it was told so far */
    uint64_t tenant;
    uint64_t sampling_seed;
    struct request_spec spec;
    enum finish_reason due; /* set when we ended it ourselves */
    uint32_t preempt_count; /* before the plan */
    bool was_running;
    bool was_caught_up;
    uint32_t scored; /* prompt rows whose logits came */
    uint32_t spans;  /* in the current step */
};

struct sim_world {
    struct sim_options options;
    struct sim_swarm swarm;
    struct sim_coverage *coverage;
    uint64_t random;
    uint64_t step;
    uint64_t now_us;
    struct kv_cache cache;
    struct scheduler scheduler;
    struct batch batch;
    struct sim_client *clients; /* by index of the request struct in the scheduler's store */
    struct span_outcome *outcomes;
    uint32_t *outcome_tokens; /* [span_count_max, 1 + LIMIT_DRAFT_TOKENS] */
    uint64_t *kv;             /* [block_count, block_tokens]: the device's memory */
    uint64_t *slot_step;      /* the step that last wrote each slot */
    uint32_t *held;           /* references by block, counted from the tables */
    uint32_t *free_order;     /* the free list before the plan */
    uint32_t free_count;
    uint32_t bases[SIM_BASES][SIM_BASE_TOKENS];
    uint32_t *histories[SIM_HISTORIES]; /* whole conversations, to be continued */
    uint32_t history_tokens[SIM_HISTORIES];
    uint32_t submitted;
    uint64_t ended;
    uint64_t ended_expected;
    bool settling; /* no more arrivals, no more faults */
};

_Noreturn void sim_world_fail(const struct sim_world *world, const char *what, const char *file,
                              int line);

#define SIM_CHECK(world, condition)                                                                \
    ((condition) ? (void)0 : sim_world_fail((world), #condition, __FILE__, __LINE__))

static inline uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t next_random(struct sim_world *world)
{
    world->random += 0x9e3779b97f4a7c15u;
    return mix(world->random);
}

static inline uint32_t below(struct sim_world *world, uint32_t bound)
{
    return (uint32_t)(next_random(world) % bound);
}

static inline uint32_t between(struct sim_world *world, uint32_t low, uint32_t high)
{
    return low + below(world, high - low + 1);
}

static inline bool chance(struct sim_world *world, uint32_t thousandths)
{
    return below(world, 1000) < thousandths;
}

/* A rate that is often zero: each kind of trouble is absent from some worlds. */
static inline uint32_t some_rate(struct sim_world *world, uint32_t thousandths_max)
{
    return chance(world, 400) ? 0 : below(world, thousandths_max + 1);
}

/* The device: what one token's KV is, and what a row makes of the KV it sees. */

static inline uint64_t kv_of(uint32_t token_id, uint64_t tenant)
{
    return mix(((uint64_t)token_id << 32) + tenant);
}

static inline uint64_t digest_next(uint64_t digest, uint64_t kv)
{
    digest = (digest ^ kv) * 0x9fb21c651e98df25u;
    return digest ^ (digest >> 32);
}

static inline uint32_t token_of(const struct sim_swarm *swarm, uint64_t digest,
                                uint64_t sampling_seed)
{
    uint64_t draw = mix(digest ^ sampling_seed);
    if (swarm->stop != 0 && (draw >> 32) % swarm->stop == 0) {
        return SIM_END_TOKEN;
    }
    return 1 + (uint32_t)(draw % (SIM_VOCAB - 1));
}

static inline struct sim_client *client_of(struct sim_world *world, const struct request *request)
{
    return &world->clients[request - world->scheduler.requests];
}

static inline uint32_t client_count(const struct sim_world *world)
{
    return world->swarm.scheduler.running_max + world->swarm.scheduler.waiting_max;
}

static inline uint32_t queued_now(struct sim_world *world, uint64_t *tokens)
{
    uint32_t count = 0;
    *tokens = 0;
    for (const struct request *r = world->scheduler.waiting.head; r != NULL; r = r->next) {
        if (r->admitted_us == 0) {
            count++;
            *tokens += r->spec.prompt_tokens;
        }
    }
    return count;
}

static inline void *take_memory(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static inline bool is_live(const struct span *span)
{
    return span->request->arrival_number == span->request_number &&
           span->request->state == REQUEST_RUNNING;
}

/* sim_clients.c: what clients do before a step, while it runs, and when they are told. */
void sim_clients_act(struct sim_world *world);
void sim_clients_leave_in_flight(struct sim_world *world);
void sim_clients_tell(struct sim_world *world);
void sim_clients_remove_finished(struct sim_world *world);
void sim_clients_forget(struct sim_client *client);

/* sim_device.c: runs the batch, fills world->outcomes. */
void sim_device_run(struct sim_world *world);

/* sim_checks.c */
void sim_checks_note_before_plan(struct sim_world *world);
void sim_checks_plan(struct sim_world *world);
void sim_checks_step(struct sim_world *world);

#endif
