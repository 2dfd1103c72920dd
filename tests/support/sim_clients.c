/* sim_clients.c - who asks for what, who leaves, who is told what; and whether it was right.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_state.h"

static void write_prompt(struct sim_world *world, uint32_t *token_ids, uint32_t token_count)
{
    uint32_t shared = 0;
    const uint32_t *source = NULL;
    if (chance(world, world->swarm.share)) {
        source = world->bases[below(world, SIM_BASES)];
        shared = below(world, SIM_BASE_TOKENS);
    } else if (chance(world, world->swarm.history)) {
        uint32_t i = below(world, SIM_HISTORIES);
        source = world->histories[i];
        shared = world->history_tokens[i];
    }
    for (uint32_t i = 0; i < token_count; i++) {
        token_ids[i] = i < shared ? source[i] : 1 + below(world, SIM_VOCAB - 1);
    }
}

/* The text a request gets when it is alone in the world. */
static void write_oracle(struct sim_world *world, struct sim_client *client)
{
    uint32_t count_max = client->spec.token_count_max;
    uint64_t digest = 0;
    client->oracle_count = count_max;
    for (uint32_t i = 0; i < client->oracle_count; i++) {
        digest = digest_next(digest, kv_of(client->oracle[i], client->tenant));
        client->digests[i] = digest;
        if (i + 1 >= client->spec.prompt_tokens && i + 1 < count_max) {
            client->oracle[i + 1] = token_of(&world->swarm, digest, client->sampling_seed);
            if (client->oracle[i + 1] == SIM_END_TOKEN) {
                client->oracle_count = i + 2;
                client->digests[i + 1] = 0; /* never computed */
                return;
            }
        }
    }
}

/* What scheduler_add has to answer. */
static enum status expected_answer(struct sim_world *world, const struct request_spec *spec)
{
    const struct sim_swarm *swarm = &world->swarm;
    uint32_t block_tokens = swarm->kv.block_tokens;
    uint32_t blocks = (spec->token_count_max - 1 + block_tokens - 1) / block_tokens;
    uint64_t tokens_max = swarm->scheduler.waiting_tokens_max;
    if (blocks > swarm->kv.block_count || spec->token_count_max > swarm->kv.request_tokens_max ||
        (tokens_max != 0 && spec->prompt_tokens > tokens_max)) {
        return ERR_INVALID;
    }
    uint64_t tokens;
    uint32_t count = queued_now(world, &tokens);
    if (count >= swarm->scheduler.waiting_max || world->scheduler.unused.request_count == 0 ||
        (tokens_max != 0 && tokens + spec->prompt_tokens > tokens_max)) {
        return ERR_FULL;
    }
    return OK;
}

/* Takes the spec's token_ids over. Returns the request, or NULL when it was refused. */
static struct request *submit(struct sim_world *world, const struct request_spec *spec,
                              uint64_t tenant)
{
    struct error err = {0};
    struct request *request = NULL;
    enum status expected = expected_answer(world, spec);
    bool has_room = scheduler_has_room(&world->scheduler, 1, spec->prompt_tokens);
    enum status status = scheduler_add(&world->scheduler, spec, &request, &err);
    SIM_CHECK(world, status == expected);
    SIM_CHECK(world, (status == OK) == (request != NULL));
    SIM_CHECK(world, status == ERR_INVALID || has_room == (status == OK));
    world->submitted++;
    world->coverage->requests++;
    if (status != OK) {
        SIM_CHECK(world, err.status == status && err.message[0] != '\0');
        world->coverage->refused_full += status == ERR_FULL;
        world->coverage->refused_invalid += status == ERR_INVALID;
        free(spec->token_ids);
        return NULL;
    }
    struct sim_client *client = client_of(world, request);
    SIM_CHECK(world, client->request == NULL);
    *client = (struct sim_client){
        .request = request,
        .number = request->arrival_number,
        .token_ids = spec->token_ids,
        .oracle = take_memory(spec->token_count_max, sizeof *client->oracle),
        .digests = take_memory(spec->token_count_max, sizeof *client->digests),
        .token_count = spec->prompt_tokens,
        .tenant = tenant,
        .sampling_seed = spec->id,
        .spec = *spec,
    };
    memcpy(client->oracle, spec->token_ids, spec->prompt_tokens * sizeof *client->oracle);
    write_oracle(world, client);
    world->ended_expected++;
    return request;
}

static struct request_spec choose_spec(struct sim_world *world, uint64_t tenant)
{
    const struct sim_swarm *swarm = &world->swarm;
    struct request_spec spec = {
        .id = next_random(world),
        .prompt_tokens = between(world, 1, swarm->prompt_max),
        .salt = world->options.canary == SIM_CANARY_TENANT_IGNORED ? 0 : tenant,
        .priority = (int32_t)below(world, swarm->priorities) - 1,
        .arrival_us = world->now_us - (chance(world, 50) ? below(world, 1000) : 0),
        .all_logits = chance(world, swarm->all_logits),
    };
    spec.token_count_max = spec.prompt_tokens + between(world, 1, swarm->output_max);
    if (chance(world, swarm->too_big)) {
        spec.token_count_max += swarm->kv.block_count * swarm->kv.block_tokens;
    }
    if (chance(world, swarm->deadline)) {
        spec.deadline_us = world->now_us + 1 + below(world, 40000);
    }
    return spec;
}

static void arrive(struct sim_world *world)
{
    uint64_t tenant = below(world, world->swarm.tenants);
    struct request_spec spec = choose_spec(world, tenant);
    size_t room = spec.token_count_max + SIM_SPARE;
    uint32_t choices = chance(world, world->swarm.fork) ? between(world, 2, 5) : 1;
    spec.token_ids = take_memory(room, sizeof *spec.token_ids);
    write_prompt(world, spec.token_ids, spec.prompt_tokens);
    uint32_t *prompt = take_memory(spec.prompt_tokens, sizeof *prompt);
    memcpy(prompt, spec.token_ids, spec.prompt_tokens * sizeof *prompt);
    struct request *parent = submit(world, &spec, tenant);
    for (uint32_t i = 1; i < choices && parent != NULL; i++) {
        struct request_spec child = spec;
        child.id = next_random(world);
        child.fork_from = parent;
        child.all_logits = spec.all_logits && chance(world, 300);
        child.token_ids = take_memory(room, sizeof *child.token_ids);
        memcpy(child.token_ids, prompt, spec.prompt_tokens * sizeof *prompt);
        submit(world, &child, tenant);
    }
    free(prompt);
}

static void remember_history(struct sim_world *world, const struct sim_client *client)
{
    uint32_t i = below(world, SIM_HISTORIES);
    free(world->histories[i]);
    world->histories[i] = take_memory(client->token_count, sizeof *world->histories[i]);
    memcpy(world->histories[i], client->oracle, client->token_count * sizeof *client->oracle);
    world->history_tokens[i] = client->token_count;
}

/* The one terminal outcome of a request: is it the right one? */
static void check_outcome(struct sim_world *world, const struct sim_client *client)
{
    const struct request *request = client->request;
    struct sim_coverage *coverage = world->coverage;
    enum finish_reason reason = request->finish_reason;
    bool at_end = client->token_count == client->oracle_count;
    SIM_CHECK(world, request->token_count == client->token_count);
    SIM_CHECK(world, client->due == FINISH_NONE || reason == client->due);
    bool stops = client->oracle[client->oracle_count - 1] == SIM_END_TOKEN &&
                 client->oracle_count > client->spec.prompt_tokens;
    switch (reason) {
    case FINISH_STOP:
        SIM_CHECK(world, at_end && stops);
        coverage->finished_stop++;
        break;
    case FINISH_LENGTH:
        SIM_CHECK(world, at_end && !stops);
        coverage->finished_length++;
        break;
    case FINISH_DEADLINE:
        SIM_CHECK(world, client->spec.deadline_us != 0);
        SIM_CHECK(world, world->now_us >= client->spec.deadline_us);
        coverage->finished_deadline++;
        break;
    case FINISH_CAPACITY:
        SIM_CHECK(world, request->preempt_count == world->swarm.scheduler.preempt_max);
        coverage->finished_capacity++;
        break;
    case FINISH_CANCELLED:
        SIM_CHECK(world, client->due == FINISH_CANCELLED);
        coverage->finished_cancelled++;
        break;
    default:
        SIM_CHECK(world, reason == FINISH_ERROR && client->due == FINISH_ERROR);
        coverage->finished_error++;
    }
    if (client->spec.all_logits && (reason == FINISH_STOP || reason == FINISH_LENGTH)) {
        SIM_CHECK(world, client->scored == client->spec.prompt_tokens);
    }
}

void sim_clients_forget(struct sim_client *client)
{
    free(client->token_ids);
    free(client->oracle);
    free(client->digests);
    *client = (struct sim_client){0};
}

void sim_clients_remove_finished(struct sim_world *world)
{
    struct request *request = scheduler_first_finished(&world->scheduler);
    struct sim_client *client = client_of(world, request);
    SIM_CHECK(world, client->request == request && client->number == request->arrival_number);
    check_outcome(world, client);
    if (request->finish_reason == FINISH_STOP || request->finish_reason == FINISH_LENGTH) {
        remember_history(world, client);
    }
    scheduler_cancel(&world->scheduler, request, FINISH_CANCELLED); /* changes nothing any more */
    scheduler_remove(&world->scheduler, request);
    scheduler_cancel(&world->scheduler, request, FINISH_CANCELLED);
    world->coverage->cancelled_finished++;
    sim_clients_forget(client);
    world->ended++;
}

static struct sim_client *some_client(struct sim_world *world)
{
    struct sim_client *client = &world->clients[below(world, client_count(world))];
    return client->request == NULL ? NULL : client;
}

static void cancel(struct sim_world *world, struct sim_client *client)
{
    struct request *request = client->request;
    uint32_t free_before = world->cache.pool.free_count;
    uint32_t exclusive = 0;
    for (uint32_t i = 0; i < request->kv.table.block_count; i++) {
        exclusive += block_pool_refcount(&world->cache.pool, request->kv.table.block_ids[i]) == 1;
    }
    world->coverage->cancelled_waiting += request->state == REQUEST_WAITING;
    world->coverage->cancelled_running += request->state == REQUEST_RUNNING;
    if (request->state != REQUEST_FINISHED) {
        client->due = FINISH_CANCELLED;
    }
    for (uint32_t i = 0; i < 2; i++) {
        scheduler_cancel(&world->scheduler, request, FINISH_CANCELLED);
        SIM_CHECK(world, request->state == REQUEST_FINISHED);
        SIM_CHECK(world, world->cache.pool.free_count == free_before + exclusive);
    }
}

static void preempt_somebody(struct sim_world *world, struct sim_client *client)
{
    struct request *request = client->request;
    if (request->state != REQUEST_RUNNING) {
        return;
    }
    scheduler_preempt(&world->scheduler, request);
    SIM_CHECK(world,
              request->state == REQUEST_WAITING || request->finish_reason == FINISH_CAPACITY);
}

static void propose(struct sim_world *world, struct sim_client *client)
{
    uint32_t guess_ids[LIMIT_DRAFT_TOKENS];
    uint32_t guess_count = between(world, 0, chance(world, 900) ? 6 : LIMIT_DRAFT_TOKENS);
    for (uint32_t i = 0; i < guess_count; i++) {
        uint32_t at = client->token_count + i;
        bool right = at < client->oracle_count && chance(world, world->swarm.draft_right);
        guess_ids[i] = right ? client->oracle[at] : 1 + below(world, SIM_VOCAB - 1);
    }
    scheduler_propose(&world->scheduler, client->request, guess_ids, guess_count);
    SIM_CHECK(world, client->request->guess_count <= guess_count);
}

void sim_clients_act(struct sim_world *world)
{
    const struct sim_swarm *swarm = &world->swarm;
    for (const struct request *r = world->scheduler.running.head; r != NULL; r = r->next) {
        if (chance(world, swarm->draft)) {
            propose(world, client_of(world, r));
        }
    }
    if (world->settling) {
        return;
    }
    if (world->submitted < world->options.request_count && chance(world, swarm->arrive)) {
        for (uint32_t i = between(world, 1, swarm->burst_max); i > 0; i--) {
            arrive(world);
        }
    }
    struct sim_client *client = some_client(world);
    if (client != NULL && chance(world, swarm->cancel)) {
        cancel(world, client);
    }
    client = some_client(world);
    if (client != NULL && chance(world, swarm->preempt)) {
        preempt_somebody(world, client);
    }
    if (chance(world, swarm->flush)) {
        kv_cache_flush(&world->cache);
    }
}

/* Clients that leave while their step runs; some structs get a new owner at once. */
void sim_clients_leave_in_flight(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->batch.span_count && !world->settling; i++) {
        struct request *request = world->batch.spans[i].request;
        if (!is_live(&world->batch.spans[i]) || !chance(world, world->swarm.cancel_in_flight)) {
            continue;
        }
        cancel(world, client_of(world, request));
        world->coverage->cancelled_in_flight++;
        while (chance(world, 500) && scheduler_first_finished(&world->scheduler) != NULL) {
            sim_clients_remove_finished(world);
        }
        if (chance(world, 500)) {
            arrive(world);
        }
        world->coverage->structs_reused_in_flight +=
            request->arrival_number != world->batch.spans[i].request_number &&
            request->state != REQUEST_UNUSED;
    }
}

/* Tells the clients what they got, and compares with what they should get. */
void sim_clients_tell(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->batch.span_count; i++) {
        const struct span_outcome *outcome = &world->outcomes[i];
        if (!is_live(&world->batch.spans[i])) {
            continue;
        }
        struct sim_client *client = client_of(world, world->batch.spans[i].request);
        for (uint32_t t = 0; t < outcome->token_count; t++) {
            SIM_CHECK(world, client->token_count < client->oracle_count);
            SIM_CHECK(world, outcome->token_ids[t] == client->oracle[client->token_count]);
            client->token_count++;
        }
        world->coverage->resumed_with_output +=
            outcome->token_count > 0 && client->request->preempt_count > 0;
    }
}
