/* config.c - one table of options; four sources walked in order of rising precedence (defaults,
 * file, environment, flags), all through the same setter, so that every source has the same
 * checks and the same messages. SPDX-License-Identifier: Apache-2.0 */
#include "configs/config.h"

#include "configs/limits.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum option_kind {
    OPTION_TEXT,   /* any text; empty means none */
    OPTION_CHOICE, /* one of a few words */
    OPTION_COUNT,  /* an unsigned number */
    OPTION_BYTES,  /* a number with an optional K, M, G or T (powers of 1024) */
    OPTION_SWITCH, /* on or off; --no-NAME turns it off */
    OPTION_ACTION, /* a switch that only the command line knows */
};

struct option {
    const char *name; /* --name on the command line, SLUICE_NAME in the environment */
    const char *alias_long;
    const char *alias_short;
    enum option_kind kind;
    size_t offset; /* in struct config: char *, uint64_t or bool by kind */
    const char *fallback;
    uint64_t min;
    uint64_t max;
    const char *choices; /* "a|b|c" */
    const char *help;
};

#define FIELD(name) offsetof(struct config, name)
#define TEXT(name, field, long_, short_, help)                                                     \
    {                                                                                              \
        name, long_, short_, OPTION_TEXT, FIELD(field), "", 0, 0, NULL, help                       \
    }
#define CHOICE(name, field, fallback, choices, help)                                               \
    {                                                                                              \
        name, NULL, NULL, OPTION_CHOICE, FIELD(field), fallback, 0, 0, choices, help               \
    }
#define COUNT(name, field, long_, short_, fallback, min, max, help)                                \
    {                                                                                              \
        name, long_, short_, OPTION_COUNT, FIELD(field), fallback, min, max, NULL, help            \
    }
#define BYTES(name, field, fallback, min, max, help)                                               \
    {                                                                                              \
        name, NULL, NULL, OPTION_BYTES, FIELD(field), fallback, min, max, NULL, help               \
    }
#define SWITCH(name, field, fallback, help)                                                        \
    {                                                                                              \
        name, NULL, NULL, OPTION_SWITCH, FIELD(field), fallback, 0, 0, NULL, help                  \
    }
#define ACTION(name, field, short_, help)                                                          \
    {                                                                                              \
        name, NULL, short_, OPTION_ACTION, FIELD(field), "false", 0, 0, NULL, help                 \
    }

#define HOUR_MS UINT64_C(3600000)

static const struct option options[] = {
    TEXT("model", model, NULL, "-m",
         "GGUF file or Hugging Face directory to serve; default: the embedded demo model"),
    TEXT("served-model-name", served_model_name, "alias", NULL,
         "name clients use; default: the file's base name, sluice-demo for the demo model"),
    TEXT("chat-template", chat_template, NULL, NULL,
         "file with a Jinja chat template, instead of the model's own"),
    {"tool-parser", "tool-call-parser", NULL, OPTION_CHOICE, FIELD(tool_parser), "auto", 0, 0,
     "auto|none|hermes|qwen3_coder|llama3|mistral|deepseek|harmony|glm45|kimi_k2|seed_oss",
     "how the model writes tool calls; auto: as its chat template does"},
    CHOICE("reasoning-parser", reasoning_parser, "auto",
           "auto|none|think|mistral|harmony|seed_oss|cohere",
           "how the model marks its reasoning; auto: as its chat template does"),
    CHOICE("generation-config", generation_config, "auto", "auto|none",
           "sampling where a request names none; auto: as the model's generation_config.json or "
           "general.sampling keys say, none: temperature 1"),
    COUNT("max-model-len", max_model_len, "ctx-size", "-c", "0", 0, LIMIT_MODEL_CONTEXT,
          "longest prompt + output in tokens; 0: what the model was trained for"),

    COUNT("threads", threads, NULL, "-t", "0", 0, LIMIT_THREADS,
          "CPU threads that compute; 0: one per core this process may use"),
    CHOICE("isa", isa, "auto", "auto|scalar|avx2|avx512", "highest instruction set to use"),
    CHOICE("activation-precision", activation_precision, "auto", "auto|f32|a16|a8",
           "activations that meet quantised weights: integers of 16 or 8 bits, or f32 as they are; "
           "auto: 16 bits for keys, values and what attention gives, 8 elsewhere"),
    COUNT("max-num-seqs", max_num_seqs, "parallel", "-np", "64", 1, LIMIT_SPANS,
          "requests that run at once"),
    COUNT("max-num-batched-tokens", max_num_batched_tokens, "batch-size", "-b", "512", 1, 65536,
          "tokens one step computes, over all requests"),
    COUNT("max-chunk-tokens", max_chunk_tokens, NULL, NULL, "0", 0, 65536,
          "most tokens of one prompt in one step; 0: the whole budget"),
    COUNT("max-waiting", max_waiting, NULL, NULL, "256", 1, 65536,
          "requests that may queue; more are refused with 503"),
    COUNT("max-preemptions", max_preemptions, NULL, NULL, "0", 0, 1000000,
          "times one request may lose its blocks before it fails; 0: no limit"),
    CHOICE("scheduling-policy", scheduling_policy, "fcfs", "fcfs|priority",
           "order of the queue: arrival, or the request's priority (lower first)"),
    COUNT("block-size", block_size, NULL, NULL, "32", 1, LIMIT_BLOCK_TOKENS,
          "tokens of one KV block"),
    BYTES("kv-cache-memory-bytes", kv_cache_memory_bytes, "0", 0, UINT64_C(1) << 50,
          "memory of the KV cache (K, M, G allowed); 0: room for max-num-seqs requests, at most "
          "a quarter of the machine's memory"),
    CHOICE("kv-cache-dtype", kv_cache_dtype, "f16", "f16|bf16|f32",
           "type of stored keys and values"),
    SWITCH("enable-prefix-caching", enable_prefix_caching, "true",
           "reuse the KV of prompts that start alike"),

    {"host", NULL, NULL, OPTION_TEXT, FIELD(host), "127.0.0.1", 0, 0, NULL, "address to listen on"},
    COUNT("port", port, NULL, NULL, "8080", 0, 65535,
          "TCP port; 0: any free one, named in the log"),
    COUNT("http-threads", http_threads, "threads-http", NULL, "2", 1, 64,
          "threads that speak HTTP, parse and tokenise"),
    TEXT("api-key-file", api_key_file, NULL, NULL, "file of accepted API keys, one a line"),
    SWITCH("allow-public", allow_public, "false",
           "listen beyond loopback although there is no API key"),
    COUNT("max-connections", max_connections, NULL, NULL, "1024", 4, 65536,
          "open connections; some are kept back for health checks"),
    COUNT("max-connections-per-ip", max_connections_per_ip, NULL, NULL, "0", 0, 65536,
          "open connections from one address; 0: no limit"),
    BYTES("max-body-bytes", max_body_bytes, "8M", 1024, UINT64_C(1) << 30, "longest request body"),
    COUNT("header-timeout-ms", header_timeout_ms, NULL, NULL, "10000", 10, HOUR_MS,
          "time for a request's headers, from the first byte"),
    COUNT("body-timeout-ms", body_timeout_ms, NULL, NULL, "60000", 10, HOUR_MS,
          "time for a request's body"),
    COUNT("idle-timeout-ms", idle_timeout_ms, NULL, NULL, "75000", 10, HOUR_MS,
          "time a kept-alive connection may do nothing"),
    COUNT("request-timeout-ms", request_timeout_ms, NULL, NULL, "0", 0, 1000 * HOUR_MS,
          "a request's whole life; 0: no limit"),
    COUNT("keepalive-comment-ms", keepalive_comment_ms, NULL, NULL, "10000", 100, HOUR_MS,
          "silence on a stream before a comment is sent"),
    COUNT("default-max-tokens", default_max_tokens, NULL, NULL, "0", 0, LIMIT_MODEL_CONTEXT,
          "chat: output limit where the client names none; 0: the rest of the context"),
    COUNT("shutdown-timeout-ms", shutdown_timeout_ms, NULL, NULL, "60000", 0, 24 * HOUR_MS,
          "after SIGTERM: time for accepted requests to finish"),

    CHOICE("log-format", log_format, "text", "text|json", "log lines for people or for machines"),
    CHOICE("log-level", log_level, "info", "debug|info|warning|error",
           "least level that is logged"),

    ACTION("check-config", check_config, NULL, "check the settings, print them, and exit"),
    ACTION("plan", plan, NULL, "print how much memory the model and settings take, and exit"),
    ACTION("health-check", health_check, NULL,
           "ask the sluiced on this host and port whether it is ready, and exit with 0 or 1"),
    ACTION("version", version, NULL, "print version, build flags and instruction set, and exit"),
    ACTION("help", help, "-h", "print this, and exit"),
};

enum {
    OPTION_COUNT_ALL = sizeof options / sizeof options[0],
    ENV_NAME_BYTES = 64
};

#define FILE_BYTES_MAX 65536 /* a settings file; ours has under 4 KB */

static void *field_of(struct config *config, const struct option *option)
{
    return (char *)config + option->offset;
}

static const void *field_of_const(const struct config *config, const struct option *option)
{
    return (const char *)config + option->offset;
}

static bool is_text(const struct option *option)
{
    return option->kind == OPTION_TEXT || option->kind == OPTION_CHOICE;
}

static bool is_switch(const struct option *option)
{
    return option->kind == OPTION_SWITCH || option->kind == OPTION_ACTION;
}

/* "max-model-len" -> "SLUICE_MAX_MODEL_LEN" */
static void env_name(const struct option *option, char out[ENV_NAME_BYTES])
{
    snprintf(out, ENV_NAME_BYTES, "SLUICE_%s", option->name);
    for (char *c = out; *c != '\0'; c++) {
        if (*c == '-') {
            *c = '_';
        } else {
            *c = (char)toupper((unsigned char)*c);
        }
    }
}

/* Dashes and underscores are the same in names: both spellings are about. */
static bool same_name(const char *a, size_t a_bytes, const char *b)
{
    if (strlen(b) != a_bytes) {
        return false;
    }
    for (size_t i = 0; i < a_bytes; i++) {
        bool dashes = a[i] == '_' && b[i] == '-';
        if (a[i] != b[i] && !dashes) {
            return false;
        }
    }
    return true;
}

static const struct option *find_long(const char *name, size_t name_bytes)
{
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        const struct option *option = &options[i];
        if (same_name(name, name_bytes, option->name) ||
            (option->alias_long != NULL && same_name(name, name_bytes, option->alias_long))) {
            return option;
        }
    }
    return NULL;
}

static bool choice_allowed(const char *choices, const char *value)
{
    size_t value_bytes = strlen(value);
    for (const char *start = choices; *start != '\0';) {
        size_t choice_bytes = strcspn(start, "|");
        if (choice_bytes == value_bytes && memcmp(start, value, value_bytes) == 0) {
            return true;
        }
        start += choice_bytes;
        start += *start == '|';
    }
    return false;
}

static bool parse_switch(const char *value, bool *out)
{
    *out = strcmp(value, "true") == 0 || strcmp(value, "1") == 0 || strcmp(value, "on") == 0 ||
           strcmp(value, "yes") == 0;
    return *out || strcmp(value, "false") == 0 || strcmp(value, "0") == 0 ||
           strcmp(value, "off") == 0 || strcmp(value, "no") == 0;
}

/* Digits, and for OPTION_BYTES one unit letter. No sign, no space. */
static bool parse_number(enum option_kind kind, const char *value, uint64_t *out)
{
    if (!isdigit((unsigned char)value[0])) {
        return false;
    }
    char *end = NULL;
    errno = 0;
    uint64_t number = strtoull(value, &end, 10);
    if (errno != 0) {
        return false;
    }
    unsigned shift = 0;
    if (kind == OPTION_BYTES && *end != '\0') {
        const char *units = "KMGT";
        const char *unit = strchr(units, toupper((unsigned char)*end));
        if (unit == NULL) {
            return false;
        }
        shift = 10 * (unsigned)(unit - units + 1);
        end++;
    }
    *out = number << shift;
    return *end == '\0' && *out >> shift == number;
}

static enum status set_text(char **field, const char *value, struct error *err)
{
    char *copy = NULL;
    if (value[0] != '\0') {
        copy = strdup(value);
        if (copy == NULL) {
            return error_set(err, ERR_MEMORY, "no memory for a setting");
        }
    }
    free(*field);
    *field = copy;
    return OK;
}

/* The one place where a value becomes a setting. source says where it was written. */
static enum status set_option(struct config *config, const struct option *option, const char *value,
                              const char *source, struct error *err)
{
    if (option->kind == OPTION_CHOICE && !choice_allowed(option->choices, value)) {
        return error_set(err, ERR_INVALID, "%s: %s = '%.100s' is not one of %s", source,
                         option->name, value, option->choices);
    }
    if (is_text(option)) {
        return set_text(field_of(config, option), value, err);
    }
    if (is_switch(option)) {
        if (!parse_switch(value, field_of(config, option))) {
            return error_set(err, ERR_INVALID, "%s: %s = '%.100s' is neither true nor false",
                             source, option->name, value);
        }
        return OK;
    }
    uint64_t number;
    if (!parse_number(option->kind, value, &number)) {
        return error_set(err, ERR_INVALID, "%s: %s = '%.100s' is not a number%s", source,
                         option->name, value,
                         option->kind == OPTION_BYTES ? " with an optional K, M, G or T" : "");
    }
    if (number < option->min || number > option->max) {
        return error_set(err, ERR_INVALID, "%s: %s = %" PRIu64 " is not in %" PRIu64 "..%" PRIu64,
                         source, option->name, number, option->min, option->max);
    }
    memcpy(field_of(config, option), &number, sizeof number);
    return OK;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t text_bytes = strlen(text);
    while (text_bytes > 0 && isspace((unsigned char)text[text_bytes - 1])) {
        text[--text_bytes] = '\0';
    }
    return text;
}

/* name = value, or nothing after a #. */
static enum status load_line(struct config *config, char *line, const char *source,
                             struct error *err)
{
    char *text = trim(line);
    if (text[0] == '\0' || text[0] == '#') {
        return OK;
    }
    char *equals = strchr(text, '=');
    if (equals == NULL) {
        return error_set(err, ERR_INVALID, "%s: '%.100s' is not of the form name = value", source,
                         text);
    }
    *equals = '\0';
    char *name = trim(text);
    const struct option *option = find_long(name, strlen(name));
    if (option == NULL || option->kind == OPTION_ACTION) {
        return error_set(err, ERR_INVALID, "%s: unknown setting '%.100s'", source, name);
    }
    return set_option(config, option, trim(equals + 1), source, err);
}

static enum status read_text(const char *path, char **out, struct error *err)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return error_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    }
    char *text = malloc(FILE_BYTES_MAX + 1);
    size_t byte_count = text != NULL ? fread(text, 1, FILE_BYTES_MAX + 1, file) : 0;
    bool failed = text == NULL || ferror(file) != 0;
    fclose(file);
    if (failed) {
        free(text);
        return error_set(err, ERR_IO, "%s: cannot be read", path);
    }
    if (byte_count > FILE_BYTES_MAX || memchr(text, '\0', byte_count) != NULL) {
        free(text);
        return error_set(err, ERR_INVALID, "%s: not a text file of at most %d bytes", path,
                         FILE_BYTES_MAX);
    }
    text[byte_count] = '\0';
    *out = text;
    return OK;
}

static enum status load_file(struct config *config, const char *path, struct error *err)
{
    char *text = NULL;
    enum status status = read_text(path, &text, err);
    int line_number = 0;
    char *rest = text;
    while (status == OK && rest != NULL) {
        char *line = strsep(&rest, "\n");
        char source[512];
        snprintf(source, sizeof source, "%s:%d", path, ++line_number);
        status = load_line(config, line, source, err);
    }
    free(text);
    return status;
}

static enum status load_environment(struct config *config, config_getenv_fn getenv_fn,
                                    struct error *err)
{
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        if (options[i].kind == OPTION_ACTION) {
            continue;
        }
        char name[ENV_NAME_BYTES];
        env_name(&options[i], name);
        const char *value = getenv_fn(name);
        if (value == NULL) {
            continue;
        }
        enum status status = set_option(config, &options[i], value, name, err);
        if (status != OK) {
            return status;
        }
    }
    return OK;
}

/* What one argument says: an option, and its value if it stands in the same argument. */
struct flag {
    const struct option *option;
    const char *value; /* NULL: the next argument, or true for a switch */
    bool is_config;    /* --config: not an option of the table, since it names the file */
};

static const struct option *find_short(const char *argument)
{
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        if (options[i].alias_short != NULL && strcmp(argument, options[i].alias_short) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

static bool parse_flag(const char *argument, struct flag *flag)
{
    *flag = (struct flag){0};
    if (strncmp(argument, "--", 2) != 0) {
        flag->option = find_short(argument);
        return flag->option != NULL;
    }
    const char *name = argument + 2;
    size_t name_bytes = strcspn(name, "=");
    if (name[name_bytes] == '=') {
        flag->value = name + name_bytes + 1;
    }
    if (same_name(name, name_bytes, "config")) {
        flag->is_config = true;
        return true;
    }
    flag->option = find_long(name, name_bytes);
    if (flag->option == NULL && strncmp(name, "no-", 3) == 0 && flag->value == NULL) {
        flag->option = find_long(name + 3, name_bytes - 3);
        flag->value = "false";
        return flag->option != NULL && is_switch(flag->option);
    }
    return flag->option != NULL;
}

/* Walks the arguments; with config NULL it only looks for --config. */
static enum status load_flags(struct config *config, int argument_count, char **arguments,
                              const char **config_path, struct error *err)
{
    for (int i = 1; i < argument_count; i++) {
        struct flag flag;
        if (!parse_flag(arguments[i], &flag)) {
            return error_set(err, ERR_INVALID, "unknown argument '%.100s' (--help lists them)",
                             arguments[i]);
        }
        if (flag.value == NULL && flag.option != NULL && is_switch(flag.option)) {
            flag.value = "true";
        }
        if (flag.value == NULL) {
            if (i + 1 >= argument_count) {
                return error_set(err, ERR_INVALID, "%.100s: a value is missing", arguments[i]);
            }
            flag.value = arguments[++i];
        }
        if (flag.is_config) {
            *config_path = flag.value;
        } else if (config != NULL) {
            enum status status = set_option(config, flag.option, flag.value, "command line", err);
            if (status != OK) {
                return status;
            }
        }
    }
    return OK;
}

static enum status load_defaults(struct config *config, struct error *err)
{
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        enum status status = set_option(config, &options[i], options[i].fallback, "default", err);
        if (status != OK) {
            return status;
        }
    }
    return OK;
}

/* Settings that are fine alone and wrong together. */
static enum status check_together(const struct config *config, struct error *err)
{
    if (config->max_num_batched_tokens < config->max_num_seqs) {
        return error_set(err, ERR_INVALID,
                         "max-num-batched-tokens = %" PRIu64 " is below max-num-seqs = %" PRIu64
                         ": every running request needs a token a step",
                         config->max_num_batched_tokens, config->max_num_seqs);
    }
    return OK;
}

enum status config_load(struct config *config, int argument_count, char **arguments,
                        config_getenv_fn getenv_fn, struct error *err)
{
    *config = (struct config){0};
    const char *path = getenv_fn("SLUICE_CONFIG");
    enum status status = load_flags(NULL, argument_count, arguments, &path, err);
    if (status == OK) {
        status = load_defaults(config, err);
    }
    if (status == OK && path != NULL && path[0] != '\0') {
        status = load_file(config, path, err);
    }
    if (status == OK) {
        status = load_environment(config, getenv_fn, err);
    }
    if (status == OK) {
        status = load_flags(config, argument_count, arguments, &path, err);
    }
    if (status == OK) {
        status = check_together(config, err);
    }
    if (status != OK) {
        config_release(config);
    }
    return status;
}

void config_release(struct config *config)
{
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        if (is_text(&options[i])) {
            char **field = field_of(config, &options[i]);
            free(*field);
        }
    }
    *config = (struct config){0};
}

static void print_range(const struct option *option, FILE *out)
{
    if (option->kind == OPTION_CHOICE) {
        fprintf(out, "; one of %s", option->choices);
    } else if (option->kind == OPTION_COUNT || option->kind == OPTION_BYTES) {
        fprintf(out, "; %" PRIu64 "..%" PRIu64, option->min, option->max);
    }
}

static void print_option_help(const struct option *option, FILE *out)
{
    fprintf(out, "  --%s", option->name);
    if (option->alias_long != NULL) {
        fprintf(out, ", --%s", option->alias_long);
    }
    if (option->alias_short != NULL) {
        fprintf(out, ", %s", option->alias_short);
    }
    fprintf(out, "%s\n      %s\n", is_switch(option) ? "" : " VALUE", option->help);
    if (option->kind == OPTION_ACTION) {
        return;
    }
    char name[ENV_NAME_BYTES];
    env_name(option, name);
    fprintf(out, "      %s; default: %s", name,
            option->fallback[0] != '\0' ? option->fallback : "none");
    print_range(option, out);
    fputc('\n', out);
}

void config_print_help(FILE *out)
{
    fprintf(out, "sluiced - serves a large language model over HTTP\n\n"
                 "Settings come from flags, then the environment, then the file, then defaults.\n"
                 "A switch is turned off by --no-NAME.\n\n"
                 "  --config FILE\n      settings file, lines of name = value\n"
                 "      SLUICE_CONFIG; default: none\n");
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        print_option_help(&options[i], out);
    }
}

void config_print(const struct config *config, FILE *out)
{
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        const struct option *option = &options[i];
        const void *field = field_of_const(config, option);
        if (option->kind == OPTION_ACTION) {
            continue;
        }
        fprintf(out, "%s = ", option->name);
        if (is_text(option)) {
            const char *text = *(char *const *)field;
            fprintf(out, "%s\n", text != NULL ? text : "");
        } else if (is_switch(option)) {
            fprintf(out, "%s\n", *(const bool *)field ? "true" : "false");
        } else {
            fprintf(out, "%" PRIu64 "\n", *(const uint64_t *)field);
        }
    }
}
