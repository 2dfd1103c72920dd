/* engine_rig.h - a whole engine on a small made-up model, and answers gathered from it.
 *
 * Fails the running test. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_ENGINE_RIG_H
#define TESTS_SUPPORT_ENGINE_RIG_H

#include "configs/limits.h"
#include "engine/engine.h"

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    RIG_TOKENS_MAX = 256,
    RIG_WAIT_US = 120000000 /* longer than anything here takes; then the test fails */
};

struct engine_rig {
    struct config config;
    struct engine *engine;
    char path[64];
};

/* The architecture of every model made from now on: "llama" unless set. A test sets it back. */
void engine_rig_set_arch(const char *arch);

/* What one choice came to. */
struct rig_answer {
    uint32_t token_ids[RIG_TOKENS_MAX];
    float logprobs[RIG_TOKENS_MAX];
    uint32_t ranks[RIG_TOKENS_MAX];
    struct reply_logprob tops[RIG_TOKENS_MAX]; /* the best of each list */
    uint32_t token_count;
    enum reply_finish finish;
    bool end_token;
    uint32_t end_id;
    uint32_t cached_tokens;
};

/* Settings as on the command line, NULL after the last; the model is the preset "micro". */
void engine_rig_open(struct engine_rig *rig, const char *const flags[]);
void engine_rig_close(struct engine_rig *rig);

/* The same in two parts: settings and model file (engine stays NULL), then the engine. */
void engine_rig_prepare(struct engine_rig *rig, const char *const flags[]);
void engine_rig_start(struct engine_rig *rig);

/* In between: makes whatever reads this token NaN. */
void engine_rig_poison(struct engine_rig *rig, uint32_t token_id);

#define FLAGS(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* Greedy, without an end. */
struct generate_params engine_rig_params(const uint32_t *prompt_ids, uint32_t prompt_tokens,
                                         uint32_t max_tokens);

/* Fills prompt_ids with tokens that depend on seed alone. */
void engine_rig_prompt(uint32_t *prompt_ids, uint32_t prompt_tokens, uint32_t seed);

/* A request that runs for as long as the model's context lasts; its prompt goes to prompt_ids. */
struct generate_params engine_rig_long_params(uint32_t prompt_ids[]);

/* Submits; the caller puts the reply. */
struct reply *engine_rig_submit(struct engine_rig *rig, const struct generate_params *params);

/* Stops the engine thread in the middle of a step, so that a test need not race it. */
struct rig_brake {
    sem_t held;
    sem_t released;
    bool used;
};

/* Submits a request at whose first event the engine will stand still, until rig_brake_release.
 * While it does, only flags of that reply may be set; its events cannot be taken. */
struct reply *engine_rig_submit_braked(struct engine_rig *rig, const struct generate_params *params,
                                       struct rig_brake *brake);
void rig_brake_await(struct rig_brake *brake);

/* Both at once: returns when the engine stands. */
struct reply *engine_rig_submit_held(struct engine_rig *rig, const struct generate_params *params,
                                     struct rig_brake *brake);
void rig_brake_release(struct rig_brake *brake);

/* Reads events until every choice has finished. answers: [choice_count]. */
void engine_rig_collect(struct reply *reply, struct rig_answer *answers, uint32_t choice_count);

/* Takes events until a choice finishes, and says how. */
enum reply_finish engine_rig_await_finish(struct reply *reply);

/* Submit, collect, put. */
void engine_rig_answer(struct engine_rig *rig, const struct generate_params *params,
                       struct rig_answer *answers);

/* Equal token ids, finish and, bit for bit, log-probabilities. */
bool rig_answers_equal(const struct rig_answer *a, const struct rig_answer *b);

/* Nothing runs or waits, and every block is back. */
void engine_rig_expect_empty(struct engine_rig *rig);

#endif
