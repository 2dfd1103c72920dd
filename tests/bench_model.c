/* bench_model.c - tokens a second of a whole engine, without HTTP, beside what the machine could do.
 *
 * Usage: bench_model [--deep] [--turns N] [--only LOAD] [MODEL ...] [-- SETTING ...]. MODEL is a GGUF file, a
 * Hugging Face directory, or PRESET:TYPE, a synthetic model of published dimensions
 * (tests/support/synth_presets.c) that is written to a temporary file; SETTINGs are sluiced's own,
 * as --threads 1. Prints 'name value unit' lines: medians of several turns, each in turn with all
 * others, because what else the machine does comes and goes. --deep adds decoding behind a context
 * of 8192 tokens; --only runs the loads whose names begin so.
 *
 * How decoding is timed: prompts are one token longer than whole KV blocks, and run once before.
 * So the prefix cache has all of them but that token, and each step of the timed run is one row a
 * request.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"
#include "engine/log.h"
#include "kernels/quant.h"
#include "tests/support/ceilings.h"
#include "tests/support/synth_model.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum {
    TURNS_MAX = 51,
    REQUESTS_MAX = 16,
    SETTINGS_MAX = 40,
    PROMPT_MAX = 8193,
    WAIT_US = 600000000, /* longer than any turn */
};

struct load {
    const char *name;
    uint32_t request_count;
    uint32_t prompt_tokens;
    uint32_t output_tokens; /* 1: the prompt is what is timed */
    bool deep;
};

/* Prefill as llama-bench's pp512, decoding as its tg128 and as llama-batched-bench with 16
 * sequences of 128 + 64 tokens. */
static const struct load loads[] = {
    {"prefill512", 1, 512, 1, false},    {"decode1", 1, 1, 128, false},
    {"decode4", 4, 129, 64, false},      {"decode16", 16, 129, 64, false},
    {"decode1.at8k", 1, 8193, 32, true},
};

enum {
    LOAD_COUNT = sizeof loads / sizeof loads[0]
};

struct bench {
    struct config config;
    struct engine *engine;
    struct engine_plan plan;
    struct ceilings ceilings;
    uint32_t turn_count;
    bool deep;
    const char *only; /* the beginning of the names of loads wanted */
    uint32_t prompt_seed;
    double rates[LOAD_COUNT][TURNS_MAX];
};

static void require(enum status status, const struct error *err)
{
    if (status != OK) {
        fprintf(stderr, "bench_model: %s\n", err->message);
        exit(1);
    }
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- a run of equal requests ---- */

static void fill_prompt(const struct bench *bench, uint32_t *prompt_ids, uint32_t count,
                        uint32_t seed)
{
    uint32_t vocab_count = engine_info(bench->engine)->vocab_count;
    uint64_t state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t i = 0; i < count; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        prompt_ids[i] = (uint32_t)(state >> 40) % vocab_count;
    }
}

static void await_finish(struct reply *reply)
{
    struct reply_event event = {.kind = REPLY_TOKEN};
    while (event.kind != REPLY_FINISH) {
        if (!reply_wait(reply, &event, WAIT_US)) {
            fprintf(stderr, "bench_model: no token for %d s\n", WAIT_US / 1000000);
            exit(1);
        }
    }
    if (event.finish != REPLY_FINISH_LENGTH) {
        fprintf(stderr, "bench_model: a request was not run to its end\n");
        exit(1);
    }
}

/* Seconds from the first submission to the last finish. */
static double run_requests(struct bench *bench, const struct load *load, uint32_t output_tokens,
                           uint32_t seed)
{
    static uint32_t prompt_ids[PROMPT_MAX];
    struct reply *replies[REQUESTS_MAX];
    struct error err = {0};
    double start = seconds_now();
    for (uint32_t i = 0; i < load->request_count; i++) {
        fill_prompt(bench, prompt_ids, load->prompt_tokens, seed * REQUESTS_MAX + i);
        struct generate_params params = {
            .prompt_ids = prompt_ids,
            .prompt_tokens = load->prompt_tokens,
            .max_tokens = output_tokens,
            .choice_count = 1,
            .sampling = {.top_p = 1.0f, .repetition_penalty = 1.0f, .ignore_eos = true},
        };
        require(reply_open(&replies[i], &params, &err), &err);
        require(engine_submit(bench->engine, &params, replies[i], &err), &err);
    }
    for (uint32_t i = 0; i < load->request_count; i++) {
        await_finish(replies[i]);
        reply_put(replies[i]);
    }
    return seconds_now() - start;
}

/* Tokens a second. */
static double rate_of(struct bench *bench, const struct load *load)
{
    uint32_t seed = bench->prompt_seed++;
    if (load->output_tokens == 1) {
        return load->request_count * load->prompt_tokens / run_requests(bench, load, 1, seed);
    }
    run_requests(bench, load, 1, seed);
    double seconds = run_requests(bench, load, load->output_tokens, seed);
    return load->request_count * load->output_tokens / seconds;
}

/* ---- report ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(const double *values, uint32_t count)
{
    double sorted[TURNS_MAX];
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* A dense model's weights are read once a step. */
static void report_bandwidth(const struct bench *bench, const char *name, const struct load *load,
                             double rate)
{
    const struct engine_plan *plan = &bench->plan;
    double bytes = (double)(plan->packed_bytes > 0 ? plan->packed_bytes : plan->weight_bytes) *
                   rate / load->request_count;
    printf("%s.%s.weights %.1f GB/s\n", name, load->name, bytes * 1e-9);
    printf("%s.%s.of_read %.0f %%\n", name, load->name, 100 * bytes / bench->ceilings.read);
}

static bool is_wanted(const struct bench *bench, const struct load *load)
{
    return (bench->deep || !load->deep) &&
           strncmp(load->name, bench->only, strlen(bench->only)) == 0;
}

static void report(const struct bench *bench, const char *name)
{
    for (uint32_t i = 0; i < LOAD_COUNT; i++) {
        if (!is_wanted(bench, &loads[i])) {
            continue;
        }
        double rate = median_of(bench->rates[i], bench->turn_count);
        printf("%s.%s %.1f tokens/s\n", name, loads[i].name, rate);
        if (loads[i].output_tokens > 1 && engine_info(bench->engine)->expert_count == 0) {
            report_bandwidth(bench, name, &loads[i], rate);
        }
    }
    fflush(stdout);
}

/* ---- models ---- */

static bool read_dtype(const char *text, enum dtype *out)
{
    for (int i = 0; i < DTYPE_COUNT; i++) {
        if (strcasecmp(text, quant_format_get((enum dtype)i)->name) == 0) {
            *out = (enum dtype)i;
            return true;
        }
    }
    return false;
}

/* Writes the model that PRESET:TYPE names to a file of its own; false when it names none. */
static bool write_preset(const char *name, char *path)
{
    struct synth_options options;
    char preset[64];
    const char *colon = strchr(name, ':');
    if (colon == NULL || (size_t)(colon - name) >= sizeof preset) {
        return false;
    }
    memcpy(preset, name, (size_t)(colon - name));
    preset[colon - name] = '\0';
    if (!synth_model_preset(&options, preset) || !read_dtype(colon + 1, &options.dtype)) {
        return false;
    }
    options.output_dtype = options.dtype;
    int descriptor = mkstemp(path);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "wb") : NULL;
    if (file == NULL || !synth_model_write(&options, file) || fclose(file) != 0) {
        fprintf(stderr, "bench_model: cannot write %s\n", path);
        exit(1);
    }
    return true;
}

static char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static void open_engine(struct bench *bench, const char *path, char **settings, int setting_count)
{
    char *arguments[SETTINGS_MAX + 7] = {
        (char *)"sluiced", (char *)"--model",        (char *)path, (char *)"--max-model-len",
        (char *)"16384",   (char *)"--max-num-seqs", (char *)"16"};
    struct error err = {0};
    bool deep = bench->deep;
    arguments[4] = (char *)(deep ? "16384" : "1024");
    memcpy(arguments + 7, settings, (size_t)setting_count * sizeof *settings);
    require(config_load(&bench->config, setting_count + 7, arguments, no_environment, &err), &err);
    if (bench->ceilings.thread_count == 0) {
        uint64_t threads = bench->config.threads;
        threads = threads > 0 ? threads : (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
        bench->ceilings = ceilings_measure((uint32_t)threads);
        ceilings_print(&bench->ceilings);
    }
    require(engine_plan(&bench->config, &bench->plan, &err), &err);
    require(engine_open(&bench->engine, &bench->config, NULL, &err), &err);
}

static void bench_one(struct bench *bench, const char *name, char **settings, int setting_count)
{
    char path[] = "/tmp/sluice-bench-model-XXXXXX";
    bool made = write_preset(name, path);
    const char *base = strrchr(name, '/');
    open_engine(bench, made ? path : name, settings, setting_count);
    for (uint32_t turn = 0; turn < bench->turn_count; turn++) {
        for (uint32_t i = 0; i < LOAD_COUNT; i++) {
            if (is_wanted(bench, &loads[i])) {
                bench->rates[i][turn] = rate_of(bench, &loads[i]);
            }
        }
    }
    report(bench, base != NULL ? base + 1 : name);
    engine_close(bench->engine);
    config_release(&bench->config);
    if (made) {
        unlink(path);
    }
}

int main(int argument_count, char **arguments)
{
    static const char *const STANDARD[] = {
        "qwen2.5-0.5b:q4_0", "qwen2.5-0.5b:q8_0", "qwen2.5-0.5b:q4_K", "qwen2.5-0.5b:f16",
        "llama-3.2-1b:q4_0", "llama-3.2-1b:q8_0", "olmoe-1b-7b:q4_0"};
    static struct bench bench;
    const char *models[16];
    uint32_t model_count = 0;
    int i = 1;
    bench.turn_count = 3;
    bench.only = "";
    for (; i < argument_count && strcmp(arguments[i], "--") != 0; i++) {
        if (strcmp(arguments[i], "--deep") == 0) {
            bench.deep = true;
        } else if (strcmp(arguments[i], "--only") == 0 && i + 1 < argument_count) {
            bench.only = arguments[++i];
        } else if (strcmp(arguments[i], "--turns") == 0 && i + 1 < argument_count) {
            long turns = strtol(arguments[++i], NULL, 10);
            bench.turn_count = turns < 1 ? 1 : turns > TURNS_MAX ? TURNS_MAX : (uint32_t)turns;
        } else if (model_count < sizeof models / sizeof models[0]) {
            models[model_count++] = arguments[i];
        }
    }
    int first_setting = i < argument_count ? i + 1 : i;
    int setting_count = argument_count - first_setting;
    if (setting_count > SETTINGS_MAX) {
        fprintf(stderr, "bench_model: more than %d settings\n", SETTINGS_MAX);
        return 1;
    }
    if (model_count == 0) {
        model_count = sizeof STANDARD / sizeof STANDARD[0];
        memcpy(models, STANDARD, sizeof STANDARD);
    }
    log_init(LOG_TEXT, LOG_ERROR);
    for (uint32_t m = 0; m < model_count; m++) {
        bench_one(&bench, models[m], arguments + first_setting, setting_count);
    }
    return 0;
}
