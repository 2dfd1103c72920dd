/* trace.c - one row per line; the format decides how a line becomes a row, the rest is common.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/trace.h"

#include "tests/load/bounds.h"
#include "tests/load/ticks.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MOONCAKE_BLOCK_TOKENS = 512, /* fixed by the published traces */
    BLOCKS_MAX = 16384           /* of one prompt: eight million tokens */
};

/* Seconds may have up to nine digits of fraction, more are cut off. */
static bool parse_fraction(const char **text, uint64_t *out)
{
    uint64_t value = 0;
    uint64_t unit = TICKS_PER_SECOND;
    const char *at = *text;
    for (; *at >= '0' && *at <= '9'; at++) {
        unit /= 10;
        value += unit * (uint64_t)(*at - '0');
    }
    *out = value;
    bool any = at > *text;
    *text = at;
    return any;
}

/* "2023-11-16 18:15:46.6805900", read as UTC: only differences matter. A zone that follows is the
 * same on every line. */
static bool parse_time(const char *text, uint64_t *out)
{
    struct tm when = {0};
    const char *rest = strptime(text, "%Y-%m-%d %H:%M:%S", &when);
    if (rest == NULL) {
        return false;
    }
    uint64_t fraction = 0;
    if (*rest == '.') {
        rest++;
        if (!parse_fraction(&rest, &fraction)) {
            return false;
        }
    }
    time_t seconds = timegm(&when);
    if (seconds < 0 || (*rest != ',' && *rest != '+')) {
        return false;
    }
    *out = (uint64_t)seconds * TICKS_PER_SECOND + fraction;
    return true;
}

static bool parse_tokens(const char *text, char end, uint32_t *out)
{
    char *rest = NULL;
    errno = 0;
    if (*text < '0' || *text > '9') {
        return false;
    }
    unsigned long long number = strtoull(text, &rest, 10);
    *out = (uint32_t)number;
    return errno == 0 && number <= BOUND_TOKENS && *rest == end;
}

static const char *azure_row(const char *line, struct trace_row *row)
{
    const char *input = strchr(line, ',');
    const char *output = input != NULL ? strchr(input + 1, ',') : NULL;
    if (output == NULL) {
        return "expected TIMESTAMP,ContextTokens,GeneratedTokens";
    }
    if (!parse_time(line, &row->start)) {
        return "the time is not like 2023-11-16 18:15:46.6805900";
    }
    if (!parse_tokens(input + 1, ',', &row->input_tokens) ||
        !parse_tokens(output + 1, '\0', &row->output_tokens)) {
        return "a token count is not a number from 0 to 1000000";
    }
    return NULL;
}

static bool member_tokens(const json_t *object, const char *key, uint32_t *out)
{
    const json_t *member = json_object_get(object, key);
    json_int_t number = json_integer_value(member);
    *out = (uint32_t)number;
    return json_is_integer(member) && number >= 0 && number <= (json_int_t)BOUND_TOKENS;
}

static bool member_time(const json_t *object, const char *key, double unit, uint64_t *out)
{
    const json_t *member = json_object_get(object, key);
    double value = json_number_value(member) * unit;
    if (!json_is_number(member) || !(value >= 0 && value <= 1e18)) {
        return false;
    }
    *out = (uint64_t)value;
    return true;
}

static const char *row_blocks(const json_t *ids, struct trace_row *row)
{
    if (ids == NULL) {
        return NULL;
    }
    size_t count = json_array_size(ids);
    if (!json_is_array(ids) || count > BLOCKS_MAX) {
        return "hash_ids is not an array of at most 16384 numbers";
    }
    row->block_tokens = MOONCAKE_BLOCK_TOKENS;
    row->blocks = count > 0 ? malloc(count * sizeof *row->blocks) : NULL;
    for (size_t i = 0; row->blocks != NULL && i < count; i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id)) {
            return "hash_ids holds something that is not a whole number";
        }
        row->blocks[row->block_count++] = (uint64_t)json_integer_value(id);
    }
    return NULL;
}

static const char *mooncake_row(const json_t *object, struct trace_row *row)
{
    if (!member_time(object, "timestamp", 1e6, &row->start)) {
        return "timestamp (milliseconds) is missing or not a number";
    }
    if (!member_tokens(object, "input_length", &row->input_tokens)) {
        return "input_length is not a number from 0 to 1000000";
    }
    if (!member_tokens(object, "output_length", &row->output_tokens)) {
        return "output_length is not a number from 0 to 1000000";
    }
    return row_blocks(json_object_get(object, "hash_ids"), row);
}

static const char *own_row(const json_t *object, struct trace_row *row)
{
    if (!member_time(object, "start", 1e9, &row->start)) {
        return "start (seconds) is missing or not a number";
    }
    if (!member_tokens(object, "input_tokens", &row->input_tokens)) {
        return "input_tokens is not a number from 0 to 1000000";
    }
    if (!member_tokens(object, "output_tokens", &row->output_tokens)) {
        return "output_tokens is not a number from 0 to 1000000";
    }
    const json_t *group = json_object_get(object, "group");
    if (group == NULL) {
        return NULL;
    }
    if (!json_is_integer(group)) {
        return "group is not a whole number";
    }
    row->block_tokens = row->input_tokens / 2;
    if (json_object_get(object, "shared_tokens") != NULL &&
        !member_tokens(object, "shared_tokens", &row->block_tokens)) {
        return "shared_tokens is not a number from 0 to 1000000";
    }
    row->blocks = malloc(sizeof *row->blocks);
    if (row->blocks != NULL) {
        row->blocks[0] = (uint64_t)json_integer_value(group);
        row->block_count = 1;
    }
    return NULL;
}

static const char *json_row(const char *line, enum trace_format format, struct trace_row *row)
{
    json_error_t problem;
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &problem);
    if (!json_is_object(object)) {
        json_decref(object);
        return "not a JSON object";
    }
    const char *why = format == TRACE_MOONCAKE ? mooncake_row(object, row) : own_row(object, row);
    json_decref(object);
    return why;
}

static enum trace_format format_of(const char *line)
{
    if (line[0] != '{') {
        return TRACE_AZURE;
    }
    return strstr(line, "\"input_length\"") != NULL ? TRACE_MOONCAKE : TRACE_OWN;
}

static struct trace_row *next_row(struct trace *trace)
{
    if (trace->row_count == trace->row_room) {
        uint32_t room = trace->row_room > 0 ? 2 * trace->row_room : 1024;
        struct trace_row *rows = realloc(trace->rows, room * sizeof *rows);
        if (rows == NULL) {
            return NULL;
        }
        trace->rows = rows;
        trace->row_room = room;
    }
    struct trace_row *row = &trace->rows[trace->row_count++];
    *row = (struct trace_row){0};
    return row;
}

static int by_start(const void *left, const void *right)
{
    const struct trace_row *a = left;
    const struct trace_row *b = right;
    return (a->start > b->start) - (a->start < b->start);
}

/* Shifts the earliest row to zero. */
static void settle(struct trace *trace)
{
    if (trace->row_count == 0) {
        return;
    }
    qsort(trace->rows, trace->row_count, sizeof *trace->rows, by_start);
    uint64_t first = trace->rows[0].start;
    for (uint32_t i = 0; i < trace->row_count; i++) {
        trace->rows[i].start -= first;
    }
}

static enum status take_line(struct trace *trace, const char *line, enum trace_format format,
                             struct error *err)
{
    if (trace->row_count >= BOUND_REQUESTS) {
        return error_set(err, ERR_FULL, "more than %u requests", BOUND_REQUESTS);
    }
    struct trace_row *row = next_row(trace);
    if (row == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for a row");
    }
    const char *why = format == TRACE_AZURE ? azure_row(line, row) : json_row(line, format, row);
    return why == NULL ? OK : error_set(err, ERR_FORMAT, "%s", why);
}

enum status trace_parse(struct trace *trace, FILE *file, const char *name, enum trace_format format,
                        uint32_t row_max, struct error *err)
{
    *trace = (struct trace){0};
    char *line = NULL;
    size_t line_room = 0;
    enum status status = OK;
    uint64_t line_number = 0;
    while (status == OK && (row_max == 0 || trace->row_count < row_max)) {
        ssize_t line_bytes = getline(&line, &line_room, file);
        if (line_bytes < 0) {
            break;
        }
        line_number++;
        line[strcspn(line, "\r\n")] = '\0';
        /* The CSV's heading; spreadsheets put a byte order mark in front. */
        bool heading = line_number == 1 && strstr(line, "TIMESTAMP,") != NULL;
        if (line[0] == '\0' || heading) {
            continue;
        }
        format = format == TRACE_AUTO ? format_of(line) : format;
        status = take_line(trace, line, format, err);
        if (status != OK) {
            error_prefix(err, "%s, line %" PRIu64 ": ", name, line_number);
        }
    }
    free(line);
    if (status == OK && trace->row_count == 0) {
        status = error_set(err, ERR_FORMAT, "%s holds no request", name);
    }
    if (status != OK) {
        trace_release(trace);
        return status;
    }
    settle(trace);
    return OK;
}

enum status trace_read(struct trace *trace, const char *path, enum trace_format format,
                       uint32_t row_max, struct error *err)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        *trace = (struct trace){0};
        return error_set(err, ERR_IO, "--trace %s: %s", path, strerror(errno));
    }
    enum status status = trace_parse(trace, file, path, format, row_max, err);
    fclose(file);
    return status;
}

void trace_release(struct trace *trace)
{
    for (uint32_t i = 0; i < trace->row_count; i++) {
        free(trace->rows[i].blocks);
    }
    free(trace->rows);
    *trace = (struct trace){0};
}
