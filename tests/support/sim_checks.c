/* sim_checks.c - the invariants, around the plan and after the step.
 *
 * They lean on the public structs, and are written again here where the scheduler has its own: two
 * opinions. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_state.h"

/* Before and after the plan */

void sim_checks_note_before_plan(struct sim_world *world)
{
    for (uint32_t i = 0; i < client_count(world); i++) {
        struct sim_client *client = &world->clients[i];
        const struct request *request = client->request;
        if (request == NULL) {
            continue;
        }
        client->was_running = request->state == REQUEST_RUNNING;
        client->was_caught_up = client->was_running && request_caught_up(request);
        client->preempt_count = request->preempt_count;
        client->spans = 0;
    }
    const struct block_pool *pool = &world->cache.pool;
    world->free_count = 0;
    for (uint32_t i = pool->free_head; i != BLOCK_NONE; i = pool->blocks[i].next_free) {
        world->free_order[world->free_count++] = i;
    }
}

/* Blocks are taken for reuse from the old end of the free list only; hits come from anywhere. */
static void check_eviction_order(struct sim_world *world)
{
    bool kept_one = false;
    for (uint32_t i = 0; i < world->free_count; i++) {
        uint32_t block_id = world->free_order[i];
        bool is_free = block_pool_refcount(&world->cache.pool, block_id) == 0;
        bool found =
            world->swarm.kv.prefix_caching && prefix_index_published(&world->cache.index, block_id);
        if (is_free) {
            kept_one = true;
        } else if (!found) {
            SIM_CHECK(world, !kept_one);
            world->coverage->evictions++;
        }
    }
}

/* The policy, said once more. */
static bool goes_before(const struct sim_world *world, const struct request *a,
                        const struct request *b)
{
    if (strcmp(world->swarm.scheduler.policy->name, "priority") == 0 &&
        a->spec.priority != b->spec.priority) {
        return a->spec.priority < b->spec.priority;
    }
    if (a->spec.arrival_us != b->spec.arrival_us) {
        return a->spec.arrival_us < b->spec.arrival_us;
    }
    return a->arrival_number < b->arrival_number;
}

static void check_victims(struct sim_world *world)
{
    for (uint32_t i = 0; i < client_count(world); i++) {
        const struct sim_client *client = &world->clients[i];
        const struct request *request = client->request;
        if (request == NULL || !client->was_running ||
            (request->preempt_count == client->preempt_count &&
             request->finish_reason != FINISH_CAPACITY)) {
            continue;
        }
        uint32_t preempt_max = world->swarm.scheduler.preempt_max;
        SIM_CHECK(world, preempt_max == 0 || request->preempt_count <= preempt_max);
        for (const struct request *r = world->scheduler.running.head; r != NULL; r = r->next) {
            SIM_CHECK(world, !client_of(world, r)->was_running || goes_before(world, r, request));
        }
    }
}

static void check_span_rows(struct sim_world *world, const struct span *span)
{
    const struct batch *batch = &world->batch;
    const struct sim_client *client = client_of(world, span->request);
    uint32_t block_tokens = world->swarm.kv.block_tokens;
    for (uint32_t i = 0; i < span->row_count; i++) {
        uint32_t row = span->first_row + i;
        uint32_t position = span->start + i;
        uint32_t block_id = span->block_ids[position / block_tokens];
        uint32_t slot = block_id * block_tokens + position % block_tokens;
        SIM_CHECK(world, batch->positions[row] == position && batch->slots[row] == slot);
        SIM_CHECK(world, batch->token_ids[row] == client->token_ids[position]);
        SIM_CHECK(world, position >= client->token_count ||
                             batch->token_ids[row] == client->oracle[position]);
        SIM_CHECK(world, block_pool_refcount(&world->cache.pool, block_id) == 1);
        SIM_CHECK(world, !world->swarm.kv.prefix_caching ||
                             !prefix_index_published(&world->cache.index, block_id));
        SIM_CHECK(world, world->slot_step[slot] != world->step); /* slots are distinct */
        world->slot_step[slot] = world->step;
    }
}

static void check_span(struct sim_world *world, const struct span *span)
{
    const struct request *request = span->request;
    struct sim_client *client = client_of(world, request);
    uint32_t chunk_max = world->swarm.scheduler.chunk_tokens_max;
    uint32_t end = span->start + span->row_count;
    SIM_CHECK(world, request->state == REQUEST_RUNNING && ++client->spans == 1);
    SIM_CHECK(world, span->row_count > 0 && span->start == request->computed_tokens);
    SIM_CHECK(world, end <= request->token_count + span->guess_count);
    SIM_CHECK(world, chunk_max == 0 || span->row_count - span->guess_count <= chunk_max);
    SIM_CHECK(world, end - span->guess_count < client->spec.token_count_max);
    bool reaches_end = end == request->token_count + span->guess_count;
    uint32_t expected = reaches_end ? 1 + span->guess_count : 0;
    if (client->spec.all_logits && end > client->scored &&
        client->scored < client->spec.prompt_tokens) {
        expected = end - (span->start > client->scored ? span->start : client->scored);
        SIM_CHECK(world, span->start <= client->scored);
    }
    SIM_CHECK(world, span->logits_count == expected);
    for (uint32_t i = 0; i < span->logits_count; i++) {
        SIM_CHECK(world, world->batch.logits_rows[span->first_logits + i] ==
                             span->first_row + span->row_count - span->logits_count + i);
    }
    check_span_rows(world, span);
}

/* Whoever was owed one token gets a row, however long the prompts; only the last may have to wait
 * for a block. */
static void check_decodes_run(struct sim_world *world)
{
    for (const struct request *r = world->scheduler.running.head; r != NULL; r = r->next) {
        const struct sim_client *client = client_of(world, r);
        if (client->was_caught_up && client->spans == 0) {
            SIM_CHECK(world, world->cache.pool.free_count == 0 || world->batch.span_count > 0);
            for (const struct request *n = r->next; n != NULL; n = n->next) {
                SIM_CHECK(world, !client_of(world, n)->was_running);
            }
            world->coverage->stalled++;
        }
    }
}

void sim_checks_plan(struct sim_world *world)
{
    const struct batch *batch = &world->batch;
    const struct scheduler_options *options = &world->swarm.scheduler;
    SIM_CHECK(world, batch->token_count <= options->batch_tokens_max);
    SIM_CHECK(world, batch->logits_count <= options->logits_rows_max);
    SIM_CHECK(world, batch->span_count <= options->running_max);
    SIM_CHECK(world, world->scheduler.running.request_count <= options->running_max);
    SIM_CHECK(world, batch->span_count > 0 || scheduler_idle(&world->scheduler));
    uint32_t rows = 0;
    for (uint32_t i = 0; i < batch->span_count; i++) {
        SIM_CHECK(world, batch->spans[i].first_row == rows);
        rows += batch->spans[i].row_count;
        check_span(world, &batch->spans[i]);
    }
    SIM_CHECK(world, rows == batch->token_count);
    check_eviction_order(world);
    check_victims(world);
    check_decodes_run(world);
    world->coverage->forked_with_copy += batch->copy_count;
    world->coverage->rows += rows;
}

/* After every step */

static void check_references(struct sim_world *world)
{
    const struct block_pool *pool = &world->cache.pool;
    memset(world->held, 0, pool->block_count * sizeof *world->held);
    for (const struct request *r = world->scheduler.running.head; r != NULL; r = r->next) {
        for (uint32_t i = 0; i < r->kv.table.block_count; i++) {
            world->held[r->kv.table.block_ids[i]]++;
        }
    }
    uint32_t free_count = 0;
    for (uint32_t i = 0; i < pool->block_count; i++) {
        SIM_CHECK(world, pool->blocks[i].refcount == world->held[i]);
        free_count += world->held[i] == 0;
    }
    SIM_CHECK(world, free_count == pool->free_count);
}

static void check_clients(struct sim_world *world)
{
    for (uint32_t i = 0; i < client_count(world); i++) {
        const struct sim_client *client = &world->clients[i];
        const struct request *request = &world->scheduler.requests[i];
        SIM_CHECK(world, (client->request == NULL) == (request->state == REQUEST_UNUSED));
        if (client->request == NULL) {
            continue;
        }
        SIM_CHECK(world, request->arrival_number == client->number);
        SIM_CHECK(world, request->token_count == client->token_count);
        SIM_CHECK(world, memcmp(client->token_ids, client->oracle,
                                client->token_count * sizeof *client->oracle) == 0);
        SIM_CHECK(world, client->due == FINISH_NONE || request->state == REQUEST_FINISHED);
        SIM_CHECK(world, request->cached_tokens < client->spec.prompt_tokens);
        SIM_CHECK(world, !client->spec.all_logits || request->cached_tokens == 0);
        SIM_CHECK(world,
                  request->state == REQUEST_FINISHED || request->scored_tokens == client->scored);
    }
    uint64_t tokens;
    uint32_t count = queued_now(world, &tokens);
    uint64_t tokens_max = world->swarm.scheduler.waiting_tokens_max;
    SIM_CHECK(world, count <= world->swarm.scheduler.waiting_max);
    SIM_CHECK(world, tokens_max == 0 || tokens <= tokens_max);
}

void sim_checks_step(struct sim_world *world)
{
    scheduler_check(&world->scheduler);
    check_references(world);
    check_clients(world);
    SIM_CHECK(world, world->scheduler.counters.finish_count ==
                         world->ended + world->scheduler.finished.request_count);
}
