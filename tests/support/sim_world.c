/* sim_world.c - one step: clients act, plan, device runs, apply, everything is checked.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_state.h"

_Noreturn void sim_world_fail(const struct sim_world *world, const char *what, const char *file,
                              int line)
{
    fprintf(stderr, "seed %" PRIu64 " canary %s step %" PRIu64 ": violated at %s:%d: %s\n",
            world->options.seed, sim_world_canary_name(world->options.canary), world->step, file,
            line, what);
    abort();
}

/* Choosing the world */

static void choose_limits(struct sim_world *world)
{
    struct sim_swarm *swarm = &world->swarm;
    struct scheduler_options *options = &swarm->scheduler;
    uint32_t pool_tokens = swarm->kv.block_count * swarm->kv.block_tokens;
    options->running_max = between(world, 1, 24);
    options->waiting_max = between(world, 1, 60);
    options->waiting_tokens_max = chance(world, 300) ? between(world, 50, 2000) : 0;
    options->batch_tokens_max = between(world, 1, chance(world, 300) ? 12 : 128);
    options->chunk_tokens_max = chance(world, 500) ? between(world, 1, 32) : 0;
    options->logits_rows_max =
        options->running_max + (chance(world, 500) ? 0 : between(world, 1, 64));
    options->preempt_max = chance(world, 400) ? between(world, 1, 3) : 0;
    options->policy = policy_find(chance(world, 500) ? "fcfs" : "priority");
    swarm->prompt_max = between(world, 1, 80);
    swarm->output_max = between(world, 1, chance(world, 700) ? 40 : 150);
    if (swarm->prompt_max >= pool_tokens) {
        swarm->prompt_max = pool_tokens - 1 > 0 ? pool_tokens - 1 : 1;
    }
    swarm->kv.request_tokens_max = swarm->prompt_max + swarm->output_max + 1;
}

static void choose_swarm(struct sim_world *world)
{
    struct sim_swarm *swarm = &world->swarm;
    swarm->kv = (struct kv_cache_options){
        .block_count = between(world, 2, chance(world, 500) ? 24 : 160),
        .block_tokens = between(world, 1, 17),
        .layer_group_count = between(world, 1, 3),
        .prefix_caching = !chance(world, 150),
        .hash_key = {next_random(world), next_random(world)},
    };
    swarm->hash_mask = chance(world, 300) ? below(world, 8) : UINT64_MAX;
    choose_limits(world);
    swarm->tenants = between(world, 1, 3);
    swarm->priorities = between(world, 1, 3);
    swarm->burst_max = between(world, 1, 10);
    swarm->arrive = between(world, 20, chance(world, 300) ? 1000 : 200);
    swarm->share = some_rate(world, 900);
    swarm->history = some_rate(world, 400);
    swarm->fork = some_rate(world, 500);
    swarm->all_logits = some_rate(world, 200);
    swarm->deadline = some_rate(world, 200);
    swarm->too_big = some_rate(world, 50);
    swarm->cancel = some_rate(world, 150);
    swarm->cancel_in_flight = some_rate(world, 100);
    swarm->preempt = some_rate(world, 100);
    swarm->flush = some_rate(world, 20);
    swarm->error = some_rate(world, 10);
    swarm->linger = some_rate(world, 700);
    swarm->draft = some_rate(world, 900);
    swarm->draft_right = below(world, 1001);
    swarm->stop = chance(world, 300) ? 0 : between(world, 5, 60);
}

static void plant_canary(struct sim_world *world)
{
    struct request *first = world->scheduler.running.head;
    if (first == NULL || world->options.canary == SIM_CANARY_NONE) {
        return;
    }
    struct block_table *table = &first->kv.table;
    uint32_t block_tokens = world->swarm.kv.block_tokens;
    uint32_t last = table->block_ids[table->block_count - 1];
    switch (world->options.canary) {
    case SIM_CANARY_PARTIAL_PUBLISHED:
        if (world->swarm.kv.prefix_caching && first->computed_tokens % block_tokens != 0 &&
            table->block_count * block_tokens <= first->spec.token_count_max) {
            prefix_index_publish(&world->cache.index, last, &first->kv.place,
                                 first->spec.token_ids +
                                     (size_t)(table->block_count - 1) * block_tokens);
        }
        break;
    case SIM_CANARY_REFERENCE_LEAKED:
        block_pool_get(&world->cache.pool, last);
        break;
    case SIM_CANARY_REFERENCE_LOST:
        block_pool_put(&world->cache.pool, last);
        break;
    case SIM_CANARY_INDEX_LIES:
        if (first->kv.published_blocks > 0) {
            uint32_t *filed =
                &world->cache.index.token_ids[(size_t)table->block_ids[0] * block_tokens];
            *filed ^= 1;
        }
        break;
    case SIM_CANARY_ORDER_BROKEN:
        request_queue_remove(&world->scheduler.running, first);
        request_queue_push(&world->scheduler.running, first);
        break;
    default:
        break;
    }
}

static void step(struct sim_world *world)
{
    world->step++;
    world->coverage->steps++;
    world->now_us += below(world, 2000);
    sim_clients_act(world);
    sim_checks_note_before_plan(world);
    uint64_t hits = world->cache.hit_tokens;
    scheduler_plan(&world->scheduler, world->now_us, &world->batch);
    world->coverage->cached_tokens += world->cache.hit_tokens - hits;
    sim_checks_plan(world);
    scheduler_check(&world->scheduler);
    sim_clients_leave_in_flight(world);
    sim_device_run(world);
    sim_clients_tell(world);
    scheduler_apply(&world->scheduler, &world->batch, world->outcomes);
    plant_canary(world);
    sim_checks_step(world);
    while (scheduler_first_finished(&world->scheduler) != NULL &&
           (world->settling || !chance(world, world->swarm.linger))) {
        sim_clients_remove_finished(world);
    }
}

/* Building and leaving the world */

static void open_world(struct sim_world *world, const struct sim_options *options,
                       struct sim_coverage *coverage)
{
    struct error err = {0};
    *world = (struct sim_world){.options = *options, .coverage = coverage, .random = options->seed};
    world->now_us = 1000000;
    choose_swarm(world);
    const struct sim_swarm *swarm = &world->swarm;
    SIM_CHECK(world, kv_cache_init(&world->cache, &swarm->kv, &err) == OK);
    world->cache.index.hash_mask = swarm->hash_mask;
    SIM_CHECK(world,
              scheduler_init(&world->scheduler, &swarm->scheduler, &world->cache, &err) == OK);
    uint32_t spans = swarm->scheduler.running_max;
    SIM_CHECK(world, batch_init(&world->batch, swarm->scheduler.batch_tokens_max, spans,
                                swarm->scheduler.logits_rows_max, &err) == OK);
    size_t slots = (size_t)swarm->kv.block_count * swarm->kv.block_tokens;
    world->clients = take_memory(client_count(world), sizeof *world->clients);
    world->outcomes = take_memory(spans, sizeof *world->outcomes);
    world->outcome_tokens =
        take_memory(spans * (1 + (size_t)LIMIT_DRAFT_TOKENS), sizeof *world->outcome_tokens);
    world->kv = take_memory(slots, sizeof *world->kv);
    world->slot_step = take_memory(slots, sizeof *world->slot_step);
    world->held = take_memory(swarm->kv.block_count, sizeof *world->held);
    world->free_order = take_memory(swarm->kv.block_count, sizeof *world->free_order);
    for (uint32_t i = 0; i < SIM_BASES; i++) {
        for (uint32_t j = 0; j < SIM_BASE_TOKENS; j++) {
            world->bases[i][j] = 1 + below(world, SIM_VOCAB - 1);
        }
    }
}

static void close_world(struct sim_world *world)
{
    for (uint32_t i = 0; i < client_count(world); i++) {
        sim_clients_forget(&world->clients[i]);
    }
    for (uint32_t i = 0; i < SIM_HISTORIES; i++) {
        free(world->histories[i]);
    }
    free(world->clients);
    free(world->outcomes);
    free(world->outcome_tokens);
    free(world->kv);
    free(world->slot_step);
    free(world->held);
    free(world->free_order);
    batch_release(&world->batch);
    scheduler_release(&world->scheduler);
    kv_cache_close(&world->cache);
}

/* No more arrivals and faults: everything must end, and soon. In each step the first in order gets
 * at least one token further, so about the sum of all lengths is enough, and a part of it again for
 * what is recomputed. */
static void settle(struct sim_world *world)
{
    uint64_t steps_max = 1;
    for (uint32_t i = 0; i < client_count(world); i++) {
        const struct sim_client *client = &world->clients[i];
        steps_max += client->request == NULL ? 0 : 2 * client->spec.token_count_max;
    }
    uint64_t steps = 0;
    world->settling = true;
    while (!scheduler_idle(&world->scheduler)) {
        step(world);
        steps++;
        SIM_CHECK(world, steps <= steps_max);
    }
    uint64_t share = steps * 1000 / steps_max;
    if (share > world->coverage->settle_steps_max) {
        world->coverage->settle_steps_max = share;
    }
    while (scheduler_first_finished(&world->scheduler) != NULL) {
        sim_clients_remove_finished(world);
    }
}

void sim_world_run(const struct sim_options *options, struct sim_coverage *coverage)
{
    struct sim_world *world = take_memory(1, sizeof *world);
    open_world(world, options, coverage);
    while (world->submitted < options->request_count) {
        step(world);
    }
    settle(world);
    scheduler_check(&world->scheduler);
    SIM_CHECK(world, world->ended == world->ended_expected);
    SIM_CHECK(world, world->cache.pool.free_count == world->swarm.kv.block_count);
    SIM_CHECK(world, world->scheduler.unused.request_count == client_count(world));
    coverage->preempted += world->scheduler.counters.preempt_count;
    coverage->forked += world->scheduler.counters.fork_count;
    close_world(world);
    free(world);
}

const char *sim_world_canary_name(enum sim_canary canary)
{
    static const char *const names[SIM_CANARY_COUNT] = {
        "none",           "copy_skipped",   "partial_published", "reference_leaked",
        "reference_lost", "tenant_ignored", "guess_not_written", "guess_kept",
        "stray_write",    "stale_table",    "index_lies",        "order_broken",
        "result_late",
    };
    return names[canary];
}
