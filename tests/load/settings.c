/* settings.c - the tables of options, and what options mean together.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/settings.h"

#include "configs/option_table.h"
#include "tests/load/bounds.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#define FIELD(name) offsetof(struct settings, name)
#define HEADING(name) {OPTION_HEADING, name, 0, "", 0, 0, "", ""}
#define TEXT(name, field, fallback, help) {OPTION_TEXT, name, FIELD(field), fallback, 0, 0, "", help}
#define CHOICE(name, field, fallback, choices, help) {OPTION_CHOICE, name, FIELD(field), fallback, 0, 0, choices, help}
#define COUNT(name, field, fallback, min, max, help) {OPTION_COUNT, name, FIELD(field), fallback, min, max, "", help}
#define REAL(name, field, fallback, min, max, help) {OPTION_REAL, name, FIELD(field), fallback, min, max, "", help}
#define SWITCH(name, field, fallback, help) {OPTION_SWITCH, name, FIELD(field), fallback, 0, 0, "", help}

#define TARGET_ROWS \
    HEADING("Target"), \
    TEXT("url", url, "http://127.0.0.1:8080", "server to load, http://HOST:PORT"), \
    CHOICE("endpoint", endpoint, "completions", "completions|chat", "what to ask"), \
    TEXT("model", model, "", "model name; none: the first that /v1/models lists"), \
    TEXT("api-key-file", api_key_file, "", "file whose first line is the API key"), \
    TEXT("extra-body", extra_body, "", "JSON object whose members go into every request"), \
    REAL("temperature", temperature, "0", 0, 100, "sampling temperature; 0 is greedy"), \
    SWITCH("ignore-eos", ignore_eos, "true", "do not ask for exactly the wanted output length (ignore_eos, min_tokens)"), \
    SWITCH("keep-alive", keep_alive, "true", "open a connection for each request"), \
    REAL("timeout-s", timeout_s, "600", 0.001, BOUND_SECONDS, "a request that takes longer has failed"), \
    REAL("ready-timeout-s", ready_timeout_s, "0", 0, BOUND_SECONDS, "wait so long for the server to answer before the run")

#define LOAD_ROWS(count_fallback) \
    HEADING("How long"), \
    COUNT("num-requests", num_requests, count_fallback, 0, BOUND_REQUESTS, "requests (conversations, with --turns); 0: as many as the duration or trace holds, or 100 where neither is given"), \
    REAL("duration-s", duration_s, "0", 0, BOUND_SECONDS, "start requests for so long; 0: until the count is reached"), \
    COUNT("warmup", warmup, "0", 0, BOUND_REQUESTS, "requests sent before the run and not counted"), \
    COUNT("max-concurrency", max_concurrency, "4096", 1, BOUND_OPEN, "open loop: requests under way; more wait, and their wait counts"), \
    COUNT("seed", seed, "1", 0, 1e15, "of arrivals, lengths and prompts")

#define ARRIVAL_ROWS \
    CHOICE("arrival", arrival, "poisson", "poisson|gamma|constant", "open loop: gaps between requests"), \
    REAL("burstiness", burstiness, "1", 0.01, 10000, "gamma: shape; 1 is Poisson, below is burstier, above more even")

#define REQUEST_ROWS \
    HEADING("Requests"), \
    CHOICE("dataset", dataset, "random", "random|shared-prefix|jsonl", "where prompts come from"), \
    TEXT("dataset-file", dataset_file, "", "jsonl: file with one {\"prompt\"|\"question\"|\"text\"|\"turns\"|\"messages\": ...} a line; also output_tokens"), \
    COUNT("input-len", input_len, "128", 1, BOUND_TOKENS, "tokens of a random prompt, the shared prefix not counted"), \
    COUNT("output-len", output_len, "64", 1, BOUND_TOKENS, "tokens to ask for"), \
    REAL("range-ratio", range_ratio, "0", 0, 1, "lengths spread evenly over (1 - X) to (1 + X) times the above"), \
    COUNT("prefix-len", prefix_len, "256", 0, BOUND_TOKENS, "shared-prefix: tokens that a group has in common"), \
    COUNT("prefix-groups", prefix_groups, "8", 1, BOUND_GROUPS, "shared-prefix: number of groups"), \
    REAL("prefix-zipf", prefix_zipf, "0", 0, 10, "shared-prefix: exponent of group popularity; 0: all alike"), \
    COUNT("turns", turns, "1", 1, BOUND_TURNS, "turns of a conversation; each sends all before it"), \
    REAL("think-ms", think_ms, "0", 0, BOUND_WAIT_MS, "mean pause before the next turn, or before a closed-loop client's next request (exponential)"), \
    REAL("cancel-share", cancel_share, "0", 0, 1, "share of requests whose client leaves early"), \
    COUNT("cancel-after", cancel_after, "8", 1, BOUND_TOKENS, "chunks after which it leaves"), \
    REAL("tokens-per-word", tokens_per_word, "1", 0.1, 100, "of the target's tokenizer on plain words: scales prompts made of words"), \
    TEXT("token-ids", token_ids, "", "LOW:HIGH: random prompts are arrays of ids in LOW..HIGH-1, exactly as long as asked (completions only)"), \
    COUNT("max-input-len", max_input_len, "0", 0, BOUND_TOKENS, "cut longer prompts of a trace; 0: as they are"), \
    COUNT("max-output-len", max_output_len, "0", 0, BOUND_TOKENS, "cut longer outputs of a trace; 0: as they are")

#define OUTPUT_ROWS \
    HEADING("Output"), \
    TEXT("label", label, "", "a name for this run in its results"), \
    TEXT("output", output, "", "results as JSON, with the keys of vLLM's `bench serve`"), \
    SWITCH("quiet", quiet, "false", "no progress bar and no table"), \
    SWITCH("help", help, "false", "print this")

static const struct option_row run_rows[] = {
    TARGET_ROWS,
    HEADING("Load: closed loop (--concurrency), or open loop (--rate or --trace)"),
    COUNT("concurrency", concurrency, "1", 1, BOUND_OPEN, "closed loop: clients that each send the next request when theirs is answered"),
    REAL("rate", rate, "0", 0, BOUND_RATE, "open loop: requests per second; 0: closed loop"),
    ARRIVAL_ROWS,
    TEXT("trace", trace, "", "open loop: replay this file"),
    CHOICE("trace-format", trace_format, "auto", "auto|azure|mooncake|jsonl", "of the trace"),
    REAL("trace-speed", trace_speed, "1", 0.001, 1000, "replay so many times faster"),
    REAL("ramp-s", ramp_s, "0", 0, BOUND_SECONDS, "reach the rate, or all clients, over so many seconds"),
    REAL("ramp-from", ramp_from, "0", 0, BOUND_RATE, "open loop: rate at the ramp's start"),
    LOAD_ROWS("0"),
    REQUEST_ROWS,
    HEADING("Judgement"),
    TEXT("slo", slo_text, "", "limits in ms that a good request keeps, e.g. ttft:500,tpot:50,itl:100,e2el:5000"),
    REAL("max-lag-ms", max_lag_ms, "10", 0.01, BOUND_WAIT_MS, "the run is invalid when 1 % of requests were noticed later than this: the client was too slow"),
    OUTPUT_ROWS,
    TEXT("csv", csv, "", "one line per request"),
    TEXT("html", html, "", "a report with plots, in one file"),
    SWITCH("save-detailed", save_detailed, "false", "per-request arrays in the JSON, as vLLM has them"),
};

static const struct option_row sweep_rows[] = {
    TARGET_ROWS,
    HEADING("Search"),
    TEXT("slo", slo_text, "", "limits in ms that a good request keeps, e.g. ttft:500,tpot:50,e2el:5000 (needed)"),
    REAL("slo-share", slo_share, "0.99", 0.01, 1, "share of requests that must keep them"),
    REAL("rate-min", rate_min, "1", 0.001, BOUND_RATE, "requests per second to begin with"),
    REAL("rate-max", rate_max, "1000", 0.001, BOUND_RATE, "never go above"),
    REAL("precision", precision, "0.05", 0.001, 1, "stop when the highest passing and lowest failing rate are this close"),
    COUNT("max-steps", max_steps, "20", 1, 100, "stop after so many runs"),
    REAL("max-lag-ms", max_lag_ms, "10", 0.01, BOUND_WAIT_MS, "a step is invalid when 1 % of requests were noticed later than this"),
    HEADING("Load of each step"),
    ARRIVAL_ROWS,
    LOAD_ROWS("200"),
    REQUEST_ROWS,
    OUTPUT_ROWS,
};
/* clang-format on */

static struct option_table table_of(bool is_sweep)
{
    if (is_sweep) {
        return (struct option_table){sweep_rows, sizeof sweep_rows / sizeof sweep_rows[0]};
    }
    return (struct option_table){run_rows, sizeof run_rows / sizeof run_rows[0]};
}

static double *slo_field(struct slo *slo, const char *name, size_t name_bytes)
{
    static const char *const names[] = {"ttft", "tpot", "itl", "e2el"};
    double *const fields[] = {&slo->ttft_ms, &slo->tpot_ms, &slo->itl_ms, &slo->e2el_ms};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) == name_bytes && memcmp(names[i], name, name_bytes) == 0) {
            return fields[i];
        }
    }
    return NULL;
}

enum status settings_slo(struct slo *slo, const char *text, struct error *err)
{
    *slo = (struct slo){0};
    for (const char *at = text; *at != '\0';) {
        size_t name_bytes = strcspn(at, ":,");
        double *field = slo_field(slo, at, name_bytes);
        char *rest = NULL;
        double limit = at[name_bytes] == ':' ? strtod(at + name_bytes + 1, &rest) : 0;
        if (field == NULL || !(limit > 0 && limit < 1e9) || (*rest != ',' && *rest != '\0')) {
            return error_set(err, ERR_INVALID,
                             "--slo %.100s: not a list like ttft:500,tpot:50,itl:100,e2el:5000 "
                             "(milliseconds above 0)",
                             text);
        }
        *field = limit;
        slo->any = true;
        at = rest + (*rest == ',');
    }
    return OK;
}

static enum status read_ids(struct settings *settings, struct error *err)
{
    if (settings->token_ids[0] == '\0') {
        return OK;
    }
    char *rest = NULL;
    unsigned long low = strtoul(settings->token_ids, &rest, 10);
    unsigned long high = *rest == ':' ? strtoul(rest + 1, &rest, 10) : 0;
    if (*rest != '\0' || high <= low || high > 1u << 24) {
        return error_set(err, ERR_INVALID, "--token-ids %.100s: not LOW:HIGH with LOW < HIGH",
                         settings->token_ids);
    }
    if (settings->is_chat || settings->turns > 1 || strcmp(settings->dataset, "jsonl") == 0) {
        return error_set(err, ERR_INVALID,
                         "--token-ids: only for single turns of made-up prompts to completions");
    }
    settings->token_id_low = (uint32_t)low;
    settings->token_id_high = (uint32_t)high;
    return OK;
}

static void name_kinds(struct settings *settings)
{
    settings->is_chat = strcmp(settings->endpoint, "chat") == 0;
    settings->arrival_kind = ARRIVAL_POISSON;
    if (strcmp(settings->arrival, "gamma") == 0) {
        settings->arrival_kind = ARRIVAL_GAMMA;
    } else if (strcmp(settings->arrival, "constant") == 0) {
        settings->arrival_kind = ARRIVAL_CONSTANT;
    }
    settings->trace_kind = TRACE_AUTO;
    if (strcmp(settings->trace_format, "azure") == 0) {
        settings->trace_kind = TRACE_AZURE;
    } else if (strcmp(settings->trace_format, "mooncake") == 0) {
        settings->trace_kind = TRACE_MOONCAKE;
    } else if (strcmp(settings->trace_format, "jsonl") == 0) {
        settings->trace_kind = TRACE_OWN;
    }
}

static enum status check_run(struct settings *settings, struct error *err)
{
    bool has_trace = settings->trace[0] != '\0';
    if (has_trace && settings->rate > 0) {
        return error_set(err, ERR_INVALID, "--rate and --trace exclude each other");
    }
    if (has_trace && settings->ramp_s > 0) {
        return error_set(err, ERR_INVALID, "--ramp-s: a trace has its own times");
    }
    if (settings->rate > 0 && settings->ramp_s > 0 && settings->ramp_from > settings->rate) {
        return error_set(err, ERR_INVALID, "--ramp-from %g: above --rate %g", settings->ramp_from,
                         settings->rate);
    }
    settings->is_open_loop = has_trace || settings->rate > 0;
    if (!has_trace && settings->num_requests == 0 && settings->duration_s == 0) {
        settings->num_requests = 100;
    }
    return OK;
}

static enum status check_sweep(struct settings *settings, struct error *err)
{
    settings->is_open_loop = true;
    if (!settings->slo.any) {
        return error_set(err, ERR_INVALID, "--slo: a sweep needs limits to keep, e.g. ttft:500");
    }
    if (settings->rate_min > settings->rate_max) {
        return error_set(err, ERR_INVALID, "--rate-min %g: above --rate-max %g", settings->rate_min,
                         settings->rate_max);
    }
    if (settings->num_requests == 0 && settings->duration_s == 0) {
        return error_set(err, ERR_INVALID, "--num-requests 0: then --duration-s must bound a step");
    }
    return OK;
}

enum status settings_read(struct settings *settings, int argc, char **argv, bool is_sweep,
                          struct error *err)
{
    *settings = (struct settings){.trace = "",
                                  .trace_format = "auto",
                                  .trace_speed = 1,
                                  .csv = "",
                                  .html = "",
                                  .slo_share = 0.99,
                                  .concurrency = 1};
    struct option_table table = table_of(is_sweep);
    const char *operand = NULL;
    size_t operand_count = 0;
    enum status status =
        option_table_read(&table, settings, argc, argv, &operand, 0, &operand_count, err);
    if (status != OK || settings->help) {
        return status;
    }
    name_kinds(settings);
    status = settings_slo(&settings->slo, settings->slo_text, err);
    if (status == OK) {
        status = read_ids(settings, err);
    }
    if (status == OK &&
        (strcmp(settings->dataset, "jsonl") == 0) != (settings->dataset_file[0] != '\0')) {
        status =
            error_set(err, ERR_INVALID, "--dataset jsonl and --dataset-file FILE need each other");
    }
    if (status != OK) {
        return status;
    }
    return is_sweep ? check_sweep(settings, err) : check_run(settings, err);
}

void settings_help(bool is_sweep)
{
    struct option_table table = table_of(is_sweep);
    option_table_help(&table, stdout);
}
