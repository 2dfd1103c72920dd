/* engine.c - opens the parts in one order, closes them in the other, and lets requests in.
 *
 * What runs in between is engine_loop.c, on its own thread. A submitter pays for everything that
 * its request needs (memory, copies) and for freeing what earlier ones leave behind.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

#include "configs/limits.h"
#include "engine/clock.h"
#include "engine/engine_loop.h"
#include "engine/engine_state.h"
#include "engine/log.h"
#include "engine/model_file.h"
#include "engine/weights.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- plan ---- */

static uint64_t file_weight_bytes(const struct gguf *file)
{
    uint64_t total = 0;
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        total += file->tensors[i].byte_count; /* each lies in the file: the sum cannot overflow */
    }
    return total;
}

static enum status read_precision(const struct config *config, enum precision *out,
                                  struct error *err)
{
    static const char *const names[] = {[PRECISION_AUTO] = "auto",
                                        [PRECISION_F32] = "f32",
                                        [PRECISION_A16] = "a16",
                                        [PRECISION_A8] = "a8"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(config->activation_precision, names[i]) == 0) {
            *out = (enum precision)i;
            return OK;
        }
    }
    return error_set(err, ERR_INVALID, "activation-precision is %s: must be auto, f32, a16 or a8",
                     config->activation_precision);
}

static enum status make_plan(struct memory_plan *plan, const struct config *config,
                             const struct model_params *params, const struct gguf *file,
                             struct error *err)
{
    enum precision precision = PRECISION_AUTO;
    enum status status = read_precision(config, &precision, err);
    if (status != OK) {
        return status;
    }
    struct weights_memory weights = weights_measure(file, params, precision);
    return memory_plan_make(plan, config, params, file_weight_bytes(file), &weights,
                            memory_plan_machine_bytes(), err);
}

enum status engine_plan(const struct config *config, struct engine_plan *plan, struct error *err)
{
    struct gguf file = {0};
    struct model_params params;
    struct memory_plan memory;
    enum status status = model_file_open(&file, config->model, err);
    if (status != OK) {
        return status;
    }
    status = model_read_params(&params, &file, err);
    if (status == OK) {
        status = make_plan(&memory, config, &params, &file, err);
    }
    if (status == OK) {
        *plan = memory.totals;
    }
    gguf_close(&file);
    return status;
}

/* ---- open ---- */

static enum status read_isa(const char *name, enum isa *out, struct error *err)
{
    static const struct {
        const char *name;
        enum isa isa;
    } isas[] = {
        {"scalar", ISA_SCALAR}, {"avx2", ISA_AVX2}, {"avx512", ISA_AVX512}, {"auto", ISA_AUTO}};
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
        if (strcmp(name, isas[i].name) == 0) {
            *out = isas[i].isa;
            return OK;
        }
    }
    return error_set(err, ERR_INVALID, "isa is %s: must be auto, scalar, avx2 or avx512", name);
}

static uint32_t choose_thread_count(const struct config *config)
{
    cpu_set_t allowed;
    uint64_t count = config->threads;
    if (count == 0 && sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        count = (uint64_t)CPU_COUNT(&allowed);
    }
    count = count == 0 ? 1 : count;
    return (uint32_t)(count < LIMIT_THREADS ? count : LIMIT_THREADS);
}

static enum status open_backend(struct engine *engine, struct error *err)
{
    struct backend_options options = {
        .name = "cpu",
        .thread_count = choose_thread_count(engine->config),
        .isa_max = ISA_AUTO,
    };
    enum status status = read_isa(engine->config->isa, &options.isa_max, err);
    if (status == OK) {
        status = read_precision(engine->config, &options.precision, err);
    }
    if (status == OK) {
        status = backend_open(&engine->be, &options, err);
        engine->info.isa_name = backend_isa_name(options.isa_max);
    }
    return status;
}

static enum status open_model(struct engine *engine, struct loading *loading, struct error *err)
{
    enum status status = model_file_open(&engine->file, engine->config->model, err);
    if (status == OK) {
        status = model_open(&engine->model, &engine->file, engine->be, loading, err);
    }
    if (status == OK) {
        loading_enter(loading, LOADING_TOKENIZER);
        status = tokenizer_open(&engine->tokenizer, &engine->file, err);
    }
    return status;
}

/* A text of the file, terminated; NULL where it is absent or empty. */
static enum status copy_text(const struct gguf *file, const char *key, char **out,
                             uint64_t *byte_count, struct error *err)
{
    struct gguf_string text = {0};
    enum status status = gguf_get_string(file, key, false, &text, err);
    *out = NULL;
    if (status != OK || text.byte_count == 0) {
        return status;
    }
    *out = calloc(text.byte_count + 1, 1);
    if (*out == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for %s", key);
    }
    memcpy(*out, text.bytes, text.byte_count);
    *byte_count = text.byte_count;
    return OK;
}

/* The name in the file, or the file's own without ".gguf"; and the templates. */
static enum status copy_texts(struct engine *engine, struct error *err)
{
    struct gguf_string name = {0};
    enum status status = gguf_get_string(&engine->file, "general.name", false, &name, err);
    if (status == OK) {
        status = copy_text(&engine->file, "tokenizer.chat_template", &engine->chat_template,
                           &engine->info.chat_template_bytes, err);
    }
    if (status == OK) {
        status = copy_text(&engine->file, "tokenizer.chat_template.tool_use",
                           &engine->tool_template, &engine->info.tool_template_bytes, err);
    }
    if (status != OK) {
        return status;
    }
    if (name.byte_count == 0 && engine->config->model != NULL) {
        const char *slash = strrchr(engine->config->model, '/');
        name.bytes = slash != NULL ? slash + 1 : engine->config->model;
        name.byte_count = strlen(name.bytes);
        if (name.byte_count > 5 && strcmp(name.bytes + name.byte_count - 5, ".gguf") == 0) {
            name.byte_count -= 5;
        }
    }
    engine->model_name = strndup(name.bytes, name.byte_count);
    return engine->model_name != NULL
               ? OK
               : error_set(err, ERR_MEMORY, "no memory for the name of the model");
}

static enum status read_sampling(struct engine *engine, struct error *err)
{
    engine->info.sampling = SAMPLING_DEFAULTS_NEUTRAL;
    if (strcmp(engine->config->generation_config, "none") == 0) {
        return OK;
    }
    return sampling_defaults_read(&engine->info.sampling, &engine->file, err);
}

static enum status open_cache(struct engine *engine, struct error *err)
{
    uint64_t *key = engine->plan.cache.hash_key;
    if (getrandom(key, sizeof engine->plan.cache.hash_key, 0) !=
        (ssize_t)sizeof engine->plan.cache.hash_key) {
        return error_set(err, ERR_IO, "no random numbers: %s", strerror(errno));
    }
    enum status status = kv_store_init(&engine->store, engine->be, &engine->plan.store, err);
    if (status == OK) {
        status = kv_cache_init(&engine->cache, &engine->plan.cache, err);
    }
    if (status == OK) {
        status = scheduler_init(&engine->scheduler, &engine->plan.scheduler, &engine->cache, err);
    }
    return status;
}

/* Tokens the tokenizer has no text for (padding of the matrix) are never sampled. */
static uint32_t served_vocab_count(const struct engine *engine)
{
    uint32_t model_count = engine->model.params.vocab_count;
    uint32_t text_count = tokenizer_info(engine->tokenizer)->vocab_count;
    return model_count < text_count ? model_count : text_count;
}

static enum status open_step(struct engine *engine, struct error *err)
{
    const struct forward_options *options = &engine->plan.forward;
    uint32_t end_count = 0;
    const uint32_t *end_ids = tokenizer_end_ids(engine->tokenizer, &end_count);
    engine->outcomes = calloc(options->span_count_max, sizeof *engine->outcomes);
    if (engine->outcomes == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the outcomes of %u requests",
                         options->span_count_max);
    }
    enum status status = batch_init(&engine->batch, options->token_count_max,
                                    options->span_count_max, options->logits_count_max, err);
    if (status == OK) {
        status = forward_open(&engine->forward, &engine->model, engine->be, &engine->store, options,
                              err);
    }
    if (status == OK) {
        status =
            sampler_open(&engine->sampler, served_vocab_count(engine), end_ids, end_count, err);
    }
    return status;
}

static void fill_info(struct engine *engine)
{
    struct engine_info *info = &engine->info;
    info->architecture = engine->model.params.architecture;
    info->model_name = engine->model_name;
    info->chat_template = engine->chat_template;
    info->tool_template = engine->tool_template;
    info->parameter_count = engine->model.parameter_count;
    info->weight_bytes = engine->model.weight_bytes;
    info->expert_count = engine->model.params.expert_count;
    info->vocab_count = served_vocab_count(engine);
    info->context_tokens = engine->plan.totals.context_tokens;
    info->block_tokens = engine->plan.totals.block_tokens;
    info->block_count = engine->plan.totals.block_count;
}

static void log_sampling(const struct engine *engine)
{
    char shown[160];
    sampling_defaults_show(&engine->info.sampling, shown, sizeof shown);
    if (shown[0] != '\0') {
        log_event(LOG_INFO, "sampling_defaults",
                  "of the model, where requests name none: %s (--generation-config none: neutral)",
                  shown);
    }
    const char *unknown = sampling_defaults_unknown(&engine->file);
    if (unknown != NULL && strcmp(engine->config->generation_config, "none") != 0) {
        log_event(LOG_WARNING, "sampling_defaults", "%s of the model is not followed", unknown);
    }
}

static void log_start(const struct engine *engine)
{
    if (engine->config->model == NULL) {
        log_event(LOG_WARNING, "demo_model",
                  "no --model given: serving the embedded demo model, which only tells stories");
    }
    const struct engine_info *info = &engine->info;
    const struct engine_plan *totals = &engine->plan.totals;
    uint32_t asked = engine->config->max_model_len != 0 ? (uint32_t)engine->config->max_model_len
                                                        : engine->model.params.context_tokens;
    log_event(LOG_INFO, "model_open", "%s (%s), %llu parameters, %llu bytes, %u tokens, %s",
              info->model_name, info->architecture, (unsigned long long)info->parameter_count,
              (unsigned long long)info->weight_bytes, info->vocab_count, info->isa_name);
    if (engine->model.params.next_layer_count > 0) {
        log_event(LOG_INFO, "next_layers",
                  "%u layers that guess further tokens are stored; they are not used",
                  engine->model.params.next_layer_count);
    }
    log_event(LOG_INFO, "memory_plan",
              "%llu bytes: weights %llu and packed %llu, KV cache %llu (%u blocks of %u tokens), "
              "step %llu, "
              "requests %llu; requests of up to %u tokens",
              (unsigned long long)totals->total_bytes, (unsigned long long)totals->weight_bytes,
              (unsigned long long)totals->packed_bytes, (unsigned long long)totals->kv_bytes,
              totals->block_count, totals->block_tokens,
              (unsigned long long)totals->workspace_bytes,
              (unsigned long long)totals->request_bytes, totals->context_tokens);
    if (totals->context_tokens < asked) {
        log_event(LOG_WARNING, "context_cut",
                  "the KV cache holds %u tokens, less than the context of %u",
                  totals->context_tokens, asked);
    }
    log_sampling(engine);
}

static enum status start_thread(struct engine *engine, struct error *err)
{
    uint64_t live_max = (uint64_t)engine->plan.scheduler.waiting_max;
    const struct scheduler_options *options = &engine->plan.scheduler;
    enum status status = mailbox_open(&engine->mailbox, (uint32_t)live_max, err);
    if (status != OK) {
        return status;
    }
    engine->place_count = options->running_max < options->batch_tokens_max
                              ? options->running_max
                              : options->batch_tokens_max;
    engine_loop_publish(engine);
    int result = pthread_create(&engine->thread, NULL, engine_loop_run, engine);
    if (result != 0) {
        return error_set(err, ERR_IO, "cannot start the engine thread: %s", strerror(result));
    }
    engine->thread_started = true;
    return OK;
}

static enum status open_parts(struct engine *engine, struct loading *loading, struct error *err)
{
    enum status status = open_backend(engine, err);
    if (status == OK) {
        status = open_model(engine, loading, err);
    }
    if (status == OK) {
        status = copy_texts(engine, err);
    }
    if (status == OK) {
        status = read_sampling(engine, err);
    }
    if (status == OK) {
        status =
            make_plan(&engine->plan, engine->config, &engine->model.params, &engine->file, err);
    }
    if (status == OK) {
        loading_enter(loading, LOADING_MEMORY);
        status = open_cache(engine, err);
    }
    if (status == OK) {
        status = open_step(engine, err);
    }
    if (status == OK) {
        fill_info(engine);
        status = start_thread(engine, err);
    }
    return status;
}

enum status engine_open(struct engine **out, const struct config *config, struct loading *loading,
                        struct error *err)
{
    *out = NULL;
    struct engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the engine");
    }
    engine->config = config;
    /* The threads started below take over the mask: signals are the main thread's business. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    enum status status = open_parts(engine, loading, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != OK) {
        engine_close(engine);
        return status;
    }
    log_start(engine);
    *out = engine;
    return OK;
}

void engine_close(struct engine *engine)
{
    if (engine == NULL) {
        return;
    }
    if (engine->thread_started) {
        mailbox_refuse(engine->mailbox);
        atomic_store_explicit(&engine->stopping, true, memory_order_release);
        mailbox_wake(engine->mailbox);
        pthread_join(engine->thread, NULL);
    }
    engine_loop_free_retired(engine);
    mailbox_close(engine->mailbox);
    sampler_close(engine->sampler);
    forward_close(engine->forward);
    batch_release(&engine->batch);
    free(engine->outcomes);
    scheduler_release(&engine->scheduler);
    kv_cache_close(&engine->cache);
    kv_store_release(&engine->store);
    tokenizer_close(engine->tokenizer);
    model_close(&engine->model);
    gguf_close(&engine->file);
    backend_close(engine->be);
    free(engine->model_name);
    free(engine->chat_template);
    free(engine->tool_template);
    free(engine);
}

/* ---- facts ---- */

const struct engine_info *engine_info(const struct engine *engine)
{
    return &engine->info;
}

const struct tokenizer *engine_tokenizer(const struct engine *engine)
{
    return engine->tokenizer;
}

struct stats *engine_stats(struct engine *engine)
{
    return &engine->stats;
}

bool engine_idle(const struct engine *engine)
{
    return atomic_load_explicit(&engine->finished_count, memory_order_acquire) ==
           atomic_load_explicit(&engine->accepted_count, memory_order_acquire);
}

bool engine_progressing(const struct engine *engine, uint64_t now_us, uint64_t stall_us)
{
    uint64_t begun_us = atomic_load_explicit(&engine->step_begun_us, memory_order_relaxed);
    bool turning = begun_us == 0 || now_us < begun_us || now_us - begun_us < stall_us;
    return turning && !atomic_load_explicit(&engine->failing, memory_order_relaxed);
}

/* ---- requests ---- */

static enum status check_ids(const struct engine *engine, const uint32_t *ids, uint32_t count,
                             const char *what, struct error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] >= engine->info.vocab_count) {
            return error_set(err, ERR_INVALID, "%s: token id %u is not below %u", what, ids[i],
                             engine->info.vocab_count);
        }
    }
    return OK;
}

/* The server has validated all this; what would break memory is refused here once more. */
static enum status check_params(const struct engine *engine, const struct generate_params *params,
                                struct error *err)
{
    uint64_t token_count = (uint64_t)params->prompt_tokens + params->max_tokens;
    uint64_t live_max = engine->place_count + engine->config->max_waiting;
    if (params->prompt_tokens == 0 || params->max_tokens == 0 ||
        token_count > engine->info.context_tokens) {
        return error_set(err, ERR_INVALID,
                         "prompt of %u tokens and max_tokens %u: each must be at least 1, and both "
                         "together at most the context of %u",
                         params->prompt_tokens, params->max_tokens, engine->info.context_tokens);
    }
    if (params->choice_count == 0 || params->choice_count > LIMIT_CHOICES ||
        params->choice_count > live_max) {
        return error_set(err, ERR_INVALID, "n is %u: must be 1 to %llu", params->choice_count,
                         (unsigned long long)(live_max < LIMIT_CHOICES ? live_max : LIMIT_CHOICES));
    }
    const struct sampling_params *sampling = &params->sampling;
    enum status status =
        check_ids(engine, params->prompt_ids, params->prompt_tokens, "prompt", err);
    if (status == OK) {
        status = check_ids(engine, sampling->stop_token_ids, sampling->stop_token_count,
                           "stop_token_ids", err);
    }
    for (uint32_t i = 0; i < sampling->logit_bias_count && status == OK; i++) {
        status = check_ids(engine, &sampling->logit_bias[i].token_id, 1, "logit_bias", err);
    }
    return status;
}

/* Takes places for that many choices, if there are. */
static bool enter(struct engine *engine, uint32_t choice_count)
{
    uint64_t limit = atomic_load_explicit(&engine->accept_limit, memory_order_acquire);
    uint64_t count = atomic_load_explicit(&engine->accepted_count, memory_order_relaxed);
    do {
        if (count + choice_count > limit) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&engine->accepted_count, &count,
                                                    count + choice_count, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return true;
}

enum status engine_submit(struct engine *engine, const struct generate_params *params,
                          struct reply *reply, struct error *err)
{
    engine_loop_free_retired(engine);
    enum status status = check_params(engine, params, err);
    if (status != OK) {
        return status;
    }
    if (!enter(engine, params->choice_count)) {
        stats_add(&engine->stats.refused_full, 1);
        return error_set(err, ERR_FULL, "the queue is full: %llu requests wait",
                         (unsigned long long)engine->config->max_waiting);
    }
    struct submission *submission = NULL;
    status = submission_open(&submission, params, reply, clock_now_us(), err);
    if (status == OK) {
        status = mailbox_push(engine->mailbox, submission, err);
    }
    if (status != OK) {
        submission_close(submission);
        atomic_fetch_sub_explicit(&engine->accepted_count, params->choice_count,
                                  memory_order_acq_rel);
    }
    return status;
}

void engine_wake(struct engine *engine)
{
    mailbox_wake(engine->mailbox);
}

void engine_drain(struct engine *engine)
{
    mailbox_refuse(engine->mailbox);
    mailbox_wake(engine->mailbox);
}
