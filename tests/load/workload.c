/* workload.c - every number comes from a stream of dice named by session and turn, so requests can
 * be made in any order. Conversations are kept as the JSON they are sent as: an answer is appended
 * without being decoded.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/workload.h"

#include "tests/load/bounds.h"
#include "tests/load/dice.h"
#include "tests/load/prompts.h"
#include "tests/load/ticks.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct workload {
    const struct settings *settings;
    const struct trace *trace;
    struct prompts prompts;
    double *group_edges; /* shared-prefix: cumulative popularity */
    struct buffer model; /* as the inside of a JSON string */
    struct buffer extra; /* further members, each with a comma in front */
    bool shares_prefix;
};

/* Dice streams, far apart from each other. */
enum stream {
    STREAM_LENGTHS,
    STREAM_TEXT,
    STREAM_GROUP,
    STREAM_BLOCK,
    STREAM_CANCEL,
    STREAM_THINK,
    STREAM_COUNT
};

static struct dice dice_for(const struct workload *workload, enum stream stream, uint64_t number)
{
    return dice_seed(workload->settings->seed, number * STREAM_COUNT + (uint64_t)stream + 1);
}

static uint64_t turn_number(uint32_t session, uint32_t turn)
{
    return (uint64_t)session * BOUND_TURNS + turn;
}

/* Short common words: one token each in most vocabularies of 30,000 and more. */
static const char *const words[] = {
    "time",   "year",    "people", "way",    "day",    "man",   "thing", "woman", "life",
    "child",  "world",   "school", "state",  "family", "group", "hand",  "part",  "place",
    "case",   "week",    "work",   "fact",   "night",  "point", "home",  "water", "room",
    "mother", "area",    "money",  "story",  "month",  "book",  "eye",   "job",   "word",
    "side",   "kind",    "head",   "house",  "friend", "power", "hour",  "game",  "line",
    "end",    "city",    "name",   "team",   "minute", "idea",  "body",  "back",  "face",
    "level",  "office",  "door",   "health", "person", "art",   "war",   "party", "result",
    "change", "morning", "reason", "girl",   "moment", "air",   "force", "the",   "of",
    "and",    "to",      "in",     "is",     "that",   "it",    "was",   "for",   "on",
    "are",    "with",    "they",   "at",     "be",     "this",  "have",  "from",  "or",
    "one",    "had",     "by",     "but",    "not",    "what",  "all",   "were",  "we",
    "when",   "red",     "blue",   "green",  "small",  "big",   "new",   "old",   "good",
    "long",   "little",
};

enum {
    WORD_COUNT = sizeof words / sizeof words[0]
};

/* ---- opening ---- */

static bool open_groups(struct workload *workload)
{
    uint64_t count = workload->settings->prefix_groups;
    workload->group_edges = malloc(count * sizeof *workload->group_edges);
    double sum = 0;
    for (uint64_t i = 0; workload->group_edges != NULL && i < count; i++) {
        sum += pow((double)(i + 1), -workload->settings->prefix_zipf);
        workload->group_edges[i] = sum;
    }
    return workload->group_edges != NULL;
}

static enum status open_extra(struct workload *workload, struct error *err)
{
    const char *text = workload->settings->extra_body;
    if (text[0] == '\0') {
        return OK;
    }
    json_error_t problem;
    json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    char *dumped = json_is_object(object) ? json_dumps(object, JSON_COMPACT) : NULL;
    size_t member_count = json_object_size(object);
    json_decref(object);
    if (dumped == NULL) {
        return error_set(err, ERR_INVALID, "--extra-body %.100s: not a JSON object", text);
    }
    if (member_count > 0) {
        buffer_text(&workload->extra, ",");
        buffer_append(&workload->extra, dumped + 1, strlen(dumped) - 2);
    }
    free(dumped);
    return OK;
}

enum status workload_open(struct workload **out, const struct settings *settings,
                          const struct trace *trace, const char *model, struct error *err)
{
    struct workload *workload = calloc(1, sizeof *workload);
    *out = NULL;
    if (workload == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the workload");
    }
    workload->settings = settings;
    workload->trace = trace;
    workload->shares_prefix = strcmp(settings->dataset, "shared-prefix") == 0;
    buffer_json(&workload->model, model, strlen(model));
    enum status status = open_extra(workload, err);
    if (status == OK && settings->dataset_file[0] != '\0') {
        status = prompts_read(&workload->prompts, settings->dataset_file, err);
    }
    if (status == OK && workload->shares_prefix && !open_groups(workload)) {
        status = error_set(err, ERR_MEMORY, "no memory for %llu groups",
                           (unsigned long long)settings->prefix_groups);
    }
    if (status != OK) {
        workload_close(workload);
        return status;
    }
    *out = workload;
    return OK;
}

void workload_close(struct workload *workload)
{
    if (workload == NULL) {
        return;
    }
    prompts_release(&workload->prompts);
    buffer_release(&workload->model);
    buffer_release(&workload->extra);
    free(workload->group_edges);
    free(workload);
}

/* ---- lengths ---- */

static const struct trace_row *row_of(const struct workload *workload, uint32_t session)
{
    return workload->trace != NULL ? &workload->trace->rows[session % workload->trace->row_count]
                                   : NULL;
}

static const struct prompt *prompt_of(const struct workload *workload, uint32_t session)
{
    return workload->prompts.count > 0 ? &workload->prompts.items[session % workload->prompts.count]
                                       : NULL;
}

static uint32_t spread(const struct workload *workload, struct dice *dice, uint64_t mean)
{
    double ratio = workload->settings->range_ratio;
    double length = (double)mean * (1 - ratio + 2 * ratio * dice_uniform(dice));
    return length < 1 ? 1 : (uint32_t)(length + 0.5);
}

static uint32_t capped(uint32_t length, uint64_t cap)
{
    length = cap > 0 && length > cap ? (uint32_t)cap : length;
    return length > 0 ? length : 1;
}

static void lengths_of(const struct workload *workload, uint32_t session, uint32_t turn,
                       uint32_t *input, uint32_t *output)
{
    const struct settings *settings = workload->settings;
    const struct trace_row *row = row_of(workload, session);
    const struct prompt *prompt = prompt_of(workload, session);
    struct dice dice = dice_for(workload, STREAM_LENGTHS, turn_number(session, turn));
    *input = spread(workload, &dice, settings->input_len);
    *output = spread(workload, &dice, settings->output_len);
    if (prompt != NULL && prompt->output_tokens > 0) {
        *output = prompt->output_tokens;
    }
    if (row != NULL) {
        *input = capped(row->input_tokens, settings->max_input_len);
        *output = capped(row->output_tokens, settings->max_output_len);
    }
}

uint32_t workload_turns(const struct workload *workload, uint32_t session)
{
    const struct prompt *prompt = prompt_of(workload, session);
    if (prompt != NULL) {
        uint32_t most = workload->settings->turns > 1 ? (uint32_t)workload->settings->turns
                                                      : prompt->turn_count;
        return prompt->turn_count < most ? prompt->turn_count : most;
    }
    return (uint32_t)workload->settings->turns;
}

/* ---- text ---- */

static void append_words(const struct workload *workload, struct buffer *out, struct dice dice,
                         uint32_t token_count)
{
    const struct settings *settings = workload->settings;
    if (settings->token_id_high > 0) {
        uint32_t span = settings->token_id_high - settings->token_id_low;
        for (uint32_t i = 0; i < token_count; i++) {
            uint64_t id = settings->token_id_low + dice_below(&dice, span);
            buffer_format(out, "%llu,", (unsigned long long)id);
        }
        return;
    }
    uint32_t word_count = (uint32_t)((double)token_count / settings->tokens_per_word + 0.5);
    for (uint32_t i = 0; i < word_count || i == 0; i++) {
        buffer_text(out, words[dice_below(&dice, WORD_COUNT)]);
        buffer_text(out, " ");
    }
}

static uint64_t group_of(const struct workload *workload, uint32_t session)
{
    struct dice dice = dice_for(workload, STREAM_GROUP, session);
    uint64_t low = 0;
    uint64_t high = workload->settings->prefix_groups - 1;
    double wanted = dice_uniform(&dice) * workload->group_edges[high];
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (workload->group_edges[middle] < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* What other requests start with as well. Returns how many of `left` tokens it was. */
static uint32_t append_shared(const struct workload *workload, struct buffer *out, uint32_t session,
                              uint32_t left)
{
    const struct trace_row *row = row_of(workload, session);
    uint32_t used = 0;
    for (uint32_t i = 0; row != NULL && i < row->block_count && used < left; i++) {
        uint32_t length = row->block_tokens < left - used ? row->block_tokens : left - used;
        append_words(workload, out, dice_for(workload, STREAM_BLOCK, row->blocks[i]), length);
        used += length;
    }
    return used;
}

static void append_made_up(const struct workload *workload, struct buffer *out, uint32_t session,
                           uint32_t turn, uint32_t length)
{
    if (workload->shares_prefix && turn == 0 && workload->settings->prefix_len > 0) {
        append_words(workload, out, dice_for(workload, STREAM_BLOCK, group_of(workload, session)),
                     (uint32_t)workload->settings->prefix_len);
    }
    uint32_t shared = turn == 0 ? append_shared(workload, out, session, length) : 0;
    if (shared < length) {
        append_words(workload, out, dice_for(workload, STREAM_TEXT, turn_number(session, turn)),
                     length - shared);
    }
    /* A comma or space too many stands at the end. */
    out->used -= out->used > 0;
}

static void append_user(const struct workload *workload, struct buffer *out, uint32_t session,
                        uint32_t turn, uint32_t length)
{
    const struct prompt *prompt = prompt_of(workload, session);
    if (prompt != NULL) {
        const char *text = prompt->turns[turn];
        buffer_json(out, text, strlen(text));
    } else {
        append_made_up(workload, out, session, turn, length);
    }
}

static void extend(const struct workload *workload, struct buffer *conversation, uint32_t session,
                   uint32_t turn, uint32_t length)
{
    const struct prompt *prompt = prompt_of(workload, session);
    if (!workload->settings->is_chat) {
        if (turn > 0) {
            buffer_text(conversation, "\\n");
        }
        append_user(workload, conversation, session, turn, length);
    } else if (prompt != NULL && prompt->messages != NULL) {
        buffer_text(conversation, prompt->messages);
    } else {
        buffer_text(conversation, turn > 0 ? "," : "");
        buffer_text(conversation, "{\"role\":\"user\",\"content\":\"");
        append_user(workload, conversation, session, turn, length);
        buffer_text(conversation, "\"}");
    }
}

void workload_answered(const struct workload *workload, struct buffer *conversation,
                       const char *escaped, size_t escaped_bytes)
{
    if (!workload->settings->is_chat) {
        buffer_append(conversation, escaped, escaped_bytes);
        return;
    }
    buffer_text(conversation, ",{\"role\":\"assistant\",\"content\":\"");
    buffer_append(conversation, escaped, escaped_bytes);
    buffer_text(conversation, "\"}");
}

static void write_prompt(const struct workload *workload, const struct buffer *conversation,
                         struct buffer *body)
{
    const struct settings *settings = workload->settings;
    const char *open = "\"prompt\":\"";
    const char *close = "\"";
    if (settings->is_chat) {
        open = "\"messages\":[";
        close = "]";
    } else if (settings->token_id_high > 0) {
        open = "\"prompt\":[";
        close = "]";
    }
    buffer_text(body, open);
    buffer_append(body, conversation->bytes, conversation->used);
    buffer_text(body, close);
}

void workload_ask(const struct workload *workload, uint32_t session, uint32_t turn,
                  struct buffer *conversation, struct buffer *body, struct turn *out)
{
    const struct settings *settings = workload->settings;
    uint32_t input = 0;
    uint32_t output = 0;
    lengths_of(workload, session, turn, &input, &output);
    extend(workload, conversation, session, turn, input);
    buffer_text(body, "{\"model\":\"");
    buffer_append(body, workload->model.bytes, workload->model.used);
    buffer_text(body, "\",");
    write_prompt(workload, conversation, body);
    buffer_format(body, ",\"max_tokens\":%u,\"temperature\":%g", output, settings->temperature);
    if (settings->ignore_eos) {
        buffer_format(body, ",\"min_tokens\":%u,\"ignore_eos\":true", output);
    }
    buffer_text(body, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    buffer_append(body, workload->extra.bytes, workload->extra.used);
    buffer_text(body, "}");
    struct dice dice = dice_for(workload, STREAM_CANCEL, turn_number(session, turn));
    bool leaves = dice_uniform(&dice) < settings->cancel_share;
    *out = (struct turn){.wanted_tokens = output,
                         .cancel_after = leaves ? (uint32_t)settings->cancel_after : 0};
}

uint64_t workload_think(const struct workload *workload, uint32_t session, uint32_t turn)
{
    if (workload->settings->think_ms <= 0) {
        return 0;
    }
    struct dice dice = dice_for(workload, STREAM_THINK, turn_number(session, turn));
    return (uint64_t)(workload->settings->think_ms * 1e6 * dice_exponential(&dice));
}
