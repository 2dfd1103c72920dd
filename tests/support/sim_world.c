/* sim_world.c - one step: clients act, plan, device runs, apply, everything is checked.
 *
 * Checks lean on the public structs, and are written again here where the scheduler has its own:
 * two opinions. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_world.h"

#include "configs/limits.h"
#include "scheduler/scheduler.h"

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

static _Noreturn void sim_fail(const struct sim_world *world, const char *what, int line)
{
    fprintf(stderr, "seed %" PRIu64 " canary %s step %" PRIu64 ": violated (line %d): %s\n",
            world->options.seed, sim_world_canary_name(world->options.canary), world->step, line,
            what);
    abort();
}

#define SIM_CHECK(world, condition)                                                                \
    ((condition) ? (void)0 : sim_fail((world), #condition, __LINE__))

static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t next_random(struct sim_world *world)
{
    world->random += 0x9e3779b97f4a7c15u;
    return mix(world->random);
}

static uint32_t below(struct sim_world *world, uint32_t bound)
{
    return (uint32_t)(next_random(world) % bound);
}

static uint32_t between(struct sim_world *world, uint32_t low, uint32_t high)
{
    return low + below(world, high - low + 1);
}

static bool chance(struct sim_world *world, uint32_t thousandths)
{
    return below(world, 1000) < thousandths;
}

/* A rate that is often zero: each kind of trouble is absent from some worlds. */
static uint32_t some_rate(struct sim_world *world, uint32_t thousandths_max)
{
    return chance(world, 400) ? 0 : below(world, thousandths_max + 1);
}

/* The device: what one token's KV is, and what a row makes of the KV it sees. */

static uint64_t kv_of(uint32_t token_id, uint64_t tenant)
{
    return mix(((uint64_t)token_id << 32) + tenant);
}

static uint64_t digest_next(uint64_t digest, uint64_t kv)
{
    digest = (digest ^ kv) * 0x9fb21c651e98df25u;
    return digest ^ (digest >> 32);
}

static uint32_t token_of(const struct sim_swarm *swarm, uint64_t digest, uint64_t sampling_seed)
{
    uint64_t draw = mix(digest ^ sampling_seed);
    if (swarm->stop != 0 && (draw >> 32) % swarm->stop == 0) {
        return SIM_END_TOKEN;
    }
    return 1 + (uint32_t)(draw % (SIM_VOCAB - 1));
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

/* Clients */

static struct sim_client *client_of(struct sim_world *world, const struct request *request)
{
    return &world->clients[request - world->scheduler.requests];
}

static uint32_t client_count(const struct sim_world *world)
{
    return world->swarm.scheduler.running_max + world->swarm.scheduler.waiting_max;
}

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

static uint32_t queued_now(struct sim_world *world, uint64_t *tokens)
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

static void *take_memory(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    if (memory == NULL) {
        abort();
    }
    return memory;
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

static void forget_client(struct sim_client *client)
{
    free(client->token_ids);
    free(client->oracle);
    free(client->digests);
    *client = (struct sim_client){0};
}

static void remove_finished(struct sim_world *world)
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
    forget_client(client);
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

static void act(struct sim_world *world)
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

/* Before and after the plan */

static void note_before_plan(struct sim_world *world)
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

static void check_plan(struct sim_world *world)
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

/* Running the batch */

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

static bool is_live(const struct span *span)
{
    return span->request->arrival_number == span->request_number &&
           span->request->state == REQUEST_RUNNING;
}

static void run_device(struct sim_world *world)
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

/* Clients that leave while their step runs; some structs get a new owner at once. */
static void leave_in_flight(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->batch.span_count && !world->settling; i++) {
        struct request *request = world->batch.spans[i].request;
        if (!is_live(&world->batch.spans[i]) || !chance(world, world->swarm.cancel_in_flight)) {
            continue;
        }
        cancel(world, client_of(world, request));
        world->coverage->cancelled_in_flight++;
        while (chance(world, 500) && scheduler_first_finished(&world->scheduler) != NULL) {
            remove_finished(world);
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
static void tell_clients(struct sim_world *world)
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

static void check_step(struct sim_world *world)
{
    plant_canary(world);
    scheduler_check(&world->scheduler);
    check_references(world);
    check_clients(world);
    SIM_CHECK(world, world->scheduler.counters.finish_count ==
                         world->ended + world->scheduler.finished.request_count);
}

static void step(struct sim_world *world)
{
    world->step++;
    world->coverage->steps++;
    world->now_us += below(world, 2000);
    act(world);
    note_before_plan(world);
    uint64_t hits = world->cache.hit_tokens;
    scheduler_plan(&world->scheduler, world->now_us, &world->batch);
    world->coverage->cached_tokens += world->cache.hit_tokens - hits;
    check_plan(world);
    scheduler_check(&world->scheduler);
    leave_in_flight(world);
    run_device(world);
    tell_clients(world);
    scheduler_apply(&world->scheduler, &world->batch, world->outcomes);
    check_step(world);
    while (scheduler_first_finished(&world->scheduler) != NULL &&
           (world->settling || !chance(world, world->swarm.linger))) {
        remove_finished(world);
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
        forget_client(&world->clients[i]);
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
        remove_finished(world);
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
