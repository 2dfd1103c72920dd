/* engine_rig.c - see engine_rig.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/engine_rig.h"

#include "engine/formats/gguf.h"
#include "engine/log.h"
#include "tests/support/synth_model.h"
#include "tests/test.h"

#include <math.h>
#include <unistd.h>

enum {
    RIG_FLAGS_MAX = 40
};

static const char *model_arch = "llama";

void engine_rig_set_arch(const char *arch)
{
    model_arch = arch;
}

static char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static void write_model(char *path)
{
    struct synth_options options;
    assert_true(synth_model_preset(&options, "micro"));
    options.arch = model_arch;
    options.tied = false; /* so that a poisoned input token is not a poisoned logit of all */
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    FILE *file = fdopen(descriptor, "wb");
    assert_non_null(file);
    assert_true(synth_model_write(&options, file));
    assert_int_equal(fclose(file), 0);
}

void engine_rig_prepare(struct engine_rig *rig, const char *const flags[])
{
    char *arguments[RIG_FLAGS_MAX] = {(char *)"sluiced", (char *)"--model"};
    int count = 3;
    struct error err = {0};
    memset(rig, 0, sizeof *rig);
    log_init(LOG_TEXT, LOG_ERROR);
    snprintf(rig->path, sizeof rig->path, "/tmp/sluice-rig-XXXXXX");
    write_model(rig->path);
    arguments[2] = rig->path;
    for (; flags[count - 3] != NULL; count++) {
        assert_true(count < RIG_FLAGS_MAX - 1);
        arguments[count] = (char *)flags[count - 3];
    }
    if (config_load(&rig->config, count, arguments, no_environment, &err) != OK) {
        fail_msg("%s", err.message);
    }
}

void engine_rig_poison(struct engine_rig *rig, uint32_t token_id)
{
    struct gguf file;
    struct error err = {0};
    const float poison = NAN;
    assert_int_equal(gguf_open(&file, rig->path, &err), OK);
    const struct gguf_tensor *table = gguf_find_tensor(&file, "token_embd.weight");
    assert_non_null(table);
    assert_int_equal(table->tensor.dtype, DTYPE_F32);
    long row = (long)(table->offset + token_id * tensor_row_values(&table->tensor) * sizeof poison);
    gguf_close(&file);
    FILE *out = fopen(rig->path, "r+b");
    assert_non_null(out);
    assert_int_equal(fseek(out, row, SEEK_SET), 0);
    assert_int_equal(fwrite(&poison, sizeof poison, 1, out), 1);
    assert_int_equal(fclose(out), 0);
}

void engine_rig_start(struct engine_rig *rig)
{
    struct error err = {0};
    if (engine_open(&rig->engine, &rig->config, NULL, &err) != OK) {
        fail_msg("%s", err.message);
    }
}

void engine_rig_open(struct engine_rig *rig, const char *const flags[])
{
    engine_rig_prepare(rig, flags);
    engine_rig_start(rig);
}

void engine_rig_close(struct engine_rig *rig)
{
    engine_close(rig->engine);
    config_release(&rig->config);
    unlink(rig->path);
}

struct generate_params engine_rig_params(const uint32_t *prompt_ids, uint32_t prompt_tokens,
                                         uint32_t max_tokens)
{
    return (struct generate_params){
        .prompt_ids = prompt_ids,
        .prompt_tokens = prompt_tokens,
        .max_tokens = max_tokens,
        .choice_count = 1,
        .sampling = {.top_p = 1.0f, .repetition_penalty = 1.0f, .ignore_eos = true},
    };
}

void engine_rig_prompt(uint32_t *prompt_ids, uint32_t prompt_tokens, uint32_t seed)
{
    uint32_t state = seed * 2654435761u + 12345u;
    for (uint32_t i = 0; i < prompt_tokens; i++) {
        state = state * 1664525u + 1013904223u;
        prompt_ids[i] = (state >> 16) % 256;
    }
}

struct generate_params engine_rig_long_params(uint32_t prompt_ids[])
{
    enum {
        PROMPT_TOKENS = 8
    };
    engine_rig_prompt(prompt_ids, PROMPT_TOKENS, 3);
    return engine_rig_params(prompt_ids, PROMPT_TOKENS, 500);
}

struct reply *engine_rig_submit(struct engine_rig *rig, const struct generate_params *params)
{
    struct reply *reply = NULL;
    struct error err = {0};
    assert_int_equal(reply_open(&reply, params, &err), OK);
    if (engine_submit(rig->engine, params, reply, &err) != OK) {
        fail_msg("%s", err.message);
    }
    return reply;
}

/* On the engine's thread. */
static void hold(void *context)
{
    struct rig_brake *brake = context;
    if (!brake->used) {
        brake->used = true;
        sem_post(&brake->held);
        sem_wait(&brake->released);
    }
}

struct reply *engine_rig_submit_braked(struct engine_rig *rig, const struct generate_params *params,
                                       struct rig_brake *brake)
{
    struct reply *reply = NULL;
    struct reply_event event;
    struct error err = {0};
    brake->used = false;
    assert_int_equal(sem_init(&brake->held, 0, 0), 0);
    assert_int_equal(sem_init(&brake->released, 0, 0), 0);
    assert_int_equal(reply_open(&reply, params, &err), OK);
    reply_set_waker(reply, hold, brake);
    assert_false(reply_take(reply, &event)); /* from now on a push wakes, which holds */
    if (engine_submit(rig->engine, params, reply, &err) != OK) {
        fail_msg("%s", err.message);
    }
    return reply;
}

void rig_brake_await(struct rig_brake *brake)
{
    assert_int_equal(sem_wait(&brake->held), 0);
}

struct reply *engine_rig_submit_held(struct engine_rig *rig, const struct generate_params *params,
                                     struct rig_brake *brake)
{
    struct reply *reply = engine_rig_submit_braked(rig, params, brake);
    rig_brake_await(brake);
    return reply;
}

void rig_brake_release(struct rig_brake *brake)
{
    sem_post(&brake->released);
}

static void take_token(struct rig_answer *answer, const struct reply_event *event)
{
    assert_int_equal(event->index, answer->token_count);
    assert_true(answer->token_count < RIG_TOKENS_MAX);
    answer->token_ids[answer->token_count] = event->token_id;
    answer->logprobs[answer->token_count] = event->logprob;
    answer->ranks[answer->token_count] = event->rank;
    if (event->top_count > 0) {
        answer->tops[answer->token_count] = event->top[0];
    }
    answer->token_count++;
}

void engine_rig_collect(struct reply *reply, struct rig_answer *answers, uint32_t choice_count)
{
    bool finished[LIMIT_CHOICES] = {false};
    uint32_t finished_count = 0;
    memset(answers, 0, choice_count * sizeof *answers);
    while (finished_count < choice_count) {
        struct reply_event event;
        assert_true(reply_wait(reply, &event, RIG_WAIT_US));
        assert_true(event.choice < choice_count);
        assert_false(finished[event.choice]); /* nothing comes after the finish */
        struct rig_answer *answer = &answers[event.choice];
        if (event.kind == REPLY_TOKEN) {
            take_token(answer, &event);
        } else if (event.kind == REPLY_FINISH) {
            assert_int_equal(event.index, answer->token_count);
            answer->finish = event.finish;
            answer->end_token = event.end_token;
            answer->end_id = event.end_token ? event.token_id : 0;
            answer->cached_tokens = reply_cached_tokens(reply);
            finished[event.choice] = true;
            finished_count++;
        }
    }
}

enum reply_finish engine_rig_await_finish(struct reply *reply)
{
    struct reply_event event;
    do {
        assert_true(reply_wait(reply, &event, RIG_WAIT_US));
    } while (event.kind != REPLY_FINISH);
    return event.finish;
}

void engine_rig_answer(struct engine_rig *rig, const struct generate_params *params,
                       struct rig_answer *answers)
{
    struct reply *reply = engine_rig_submit(rig, params);
    engine_rig_collect(reply, answers, params->choice_count);
    reply_put(reply);
}

bool rig_answers_equal(const struct rig_answer *a, const struct rig_answer *b)
{
    uint32_t count = a->token_count;
    return count == b->token_count && a->finish == b->finish && a->end_token == b->end_token &&
           a->end_id == b->end_id &&
           memcmp(a->token_ids, b->token_ids, count * sizeof a->token_ids[0]) == 0 &&
           memcmp(a->logprobs, b->logprobs, count * sizeof a->logprobs[0]) == 0 &&
           memcmp(a->ranks, b->ranks, count * sizeof a->ranks[0]) == 0 &&
           memcmp(a->tops, b->tops, count * sizeof a->tops[0]) == 0;
}

void engine_rig_expect_empty(struct engine_rig *rig)
{
    const struct stats *stats = engine_stats(rig->engine);
    assert_true(engine_idle(rig->engine));
    assert_int_equal(stats->blocks_used, 0);
    assert_int_equal(stats->requests_running, 0);
    assert_int_equal(stats->requests_waiting, 0);
}
