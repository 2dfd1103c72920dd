/* sim_device.c - stores a number for each token, reads them back through block tables.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_state.h"

static void run_device_writes(struct sim_world *world)
{
    const struct batch *batch = &world->batch;
    uint32_t block_tokens = world->swarm.kv.block_tokens;
    for (uint32_t i = 0; i < batch->copy_count; i++) {
        const struct kv_copy *copy = &batch->copies[i];
        SIM_CHECK(world, copy->token_count > 0 && copy->token_count < block_tokens);
        if (world->options.canary != SIM_CANARY_COPY_SKIPPED) {
            memcpy(&world->kv[(size_t)copy->to_block * block_tokens],
                   &world->kv[(size_t)copy->from_block * block_tokens],
                   copy->token_count * sizeof *world->kv);
        }
    }
    for (uint32_t i = 0; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        if (span->request->arrival_number != span->request_number) {
            continue; /* the tenant is not known any more; nobody reads these slots either */
        }
        uint64_t tenant = client_of(world, span->request)->tenant;
        for (uint32_t j = 0; j < span->row_count; j++) {
            uint32_t row = span->first_row + j;
            if (world->options.canary == SIM_CANARY_GUESS_NOT_WRITTEN && j > 0 &&
                j + span->guess_count >= span->row_count) {
                continue;
            }
            world->kv[batch->slots[row]] = kv_of(batch->token_ids[row], tenant);
        }
    }
    if (world->options.canary == SIM_CANARY_STRAY_WRITE && chance(world, 100)) {
        world->kv[below(world, world->swarm.kv.block_count * block_tokens)] = 1;
    }
}

static uint64_t read_kv(const struct sim_world *world, const struct span *span, uint32_t position)
{
    uint32_t block_tokens = world->swarm.kv.block_tokens;
    uint32_t block_id = span->block_ids[position / block_tokens];
    return world->kv[(size_t)block_id * block_tokens + position % block_tokens];
}

/* The rows of one span, in order: prompt rows to be scored, then tokens as far as guesses hold. */
static void run_span(struct sim_world *world, const struct span *span, struct span_outcome *outcome,
                     uint32_t *tokens)
{
    const struct span *seen = span;
    if (world->options.canary == SIM_CANARY_STALE_TABLE && chance(world, 50)) {
        seen = &world->batch.spans[0];
        seen = seen->start + seen->row_count >= span->start + span->row_count ? seen : span;
    }
    struct sim_client *client = client_of(world, span->request);
    uint64_t digest = 0;
    bool goes_on = true;
    *outcome = (struct span_outcome){.token_ids = tokens};
    for (uint32_t i = 0; i < span->start + span->row_count; i++) {
        digest = digest_next(digest, read_kv(world, seen, i));
        if (i + span->logits_count < span->start + span->row_count) {
            continue;
        }
        if (client->spec.all_logits && i < client->spec.prompt_tokens && i >= client->scored) {
            SIM_CHECK(world, i == client->scored && digest == client->digests[i]);
            client->scored++;
            world->coverage->prompt_rows_scored++;
        }
        if (i + 1 < span->request->token_count || !goes_on) {
            continue;
        }
        uint32_t token_id = token_of(&world->swarm, digest, client->sampling_seed);
        uint32_t row = span->first_row + i - span->start;
        bool last = i + 1 == span->start + span->row_count;
        if (world->options.canary == SIM_CANARY_GUESS_KEPT && !last) {
            token_id = world->batch.token_ids[row + 1];
        }
        tokens[outcome->token_count++] = token_id;
        outcome->finish_reason = token_id == SIM_END_TOKEN ? FINISH_STOP : FINISH_NONE;
        goes_on = !last && token_id != SIM_END_TOKEN && token_id == world->batch.token_ids[row + 1];
    }
    if (outcome->token_count > 0) {
        world->coverage->guesses += span->guess_count;
        world->coverage->guesses_accepted += outcome->token_count - 1;
    }
}

void sim_device_run(struct sim_world *world)
{
    const struct batch *batch = &world->batch;
    run_device_writes(world);
    for (uint32_t i = 0; i < batch->span_count; i++) {
        const struct span *span = &batch->spans[i];
        uint32_t *tokens = &world->outcome_tokens[(size_t)i * (1 + LIMIT_DRAFT_TOKENS)];
        struct span_outcome *outcome = &world->outcomes[i];
        *outcome = (struct span_outcome){.token_ids = tokens};
        if (!is_live(span)) {
            /* Nobody will look at it; make it as wrong as can be. */
            *outcome = (struct span_outcome){tokens, LIMIT_DRAFT_TOKENS, FINISH_STOP};
            continue;
        }
        if (!world->settling && chance(world, world->swarm.error)) {
            outcome->finish_reason = FINISH_ERROR;
            client_of(world, span->request)->due = FINISH_ERROR;
            continue;
        }
        run_span(world, span, outcome, tokens);
    }
    if (world->options.canary == SIM_CANARY_RESULT_LATE && batch->span_count > 1 &&
        world->outcomes[0].token_count == 1 && world->outcomes[1].token_count == 1) {
        world->outcomes[0].token_ids = world->outcomes[1].token_ids;
    }
}
