/* chunk.c - one pass over the text. Values that matter are read in place, others are skipped with
 * the same grammar, so that nonsense anywhere is noticed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/chunk.h"

#include <string.h>

enum {
    DEPTH_MAX = 64 /* real chunks nest five deep */
};

struct scan {
    const char *at;
    const char *end;
    int depth;
    struct chunk *chunk;
};

/* Called with the scan on a member's value, which it must consume. */
typedef bool member_fn(struct scan *scan, const struct chunk_text *key);

static bool skip_value(struct scan *scan);

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t' || *scan->at == '\r')) {
        scan->at++;
    }
}

static char peek(struct scan *scan)
{
    skip_space(scan);
    if (scan->at == scan->end) {
        return '\0';
    }
    return *scan->at;
}

static bool accept(struct scan *scan, char wanted)
{
    if (peek(scan) != wanted || scan->at == scan->end) {
        return false;
    }
    scan->at++;
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* After the backslash. */
static bool skip_escape(struct scan *scan)
{
    if (scan->at == scan->end) {
        return false;
    }
    char c = *scan->at++;
    if (c != 'u') {
        return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
    }
    for (int i = 0; i < 4; i++) {
        if (scan->at == scan->end || !is_hex(*scan->at++)) {
            return false;
        }
    }
    return true;
}

static bool read_string(struct scan *scan, struct chunk_text *out)
{
    if (!accept(scan, '"')) {
        return false;
    }
    out->bytes = scan->at;
    while (scan->at < scan->end) {
        unsigned char c = (unsigned char)*scan->at++;
        if (c == '"') {
            out->byte_count = (size_t)(scan->at - 1 - out->bytes);
            return true;
        }
        if (c < 0x20 || (c == '\\' && !skip_escape(scan))) {
            return false;
        }
    }
    return false;
}

static bool skip_word(struct scan *scan, const char *word)
{
    size_t word_bytes = strlen(word);
    if ((size_t)(scan->end - scan->at) < word_bytes || memcmp(scan->at, word, word_bytes) != 0) {
        return false;
    }
    scan->at += word_bytes;
    return true;
}

static bool skip_digits(struct scan *scan)
{
    const char *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9') {
        scan->at++;
    }
    return scan->at > start;
}

static bool at_one_of(const struct scan *scan, char a, char b)
{
    return scan->at < scan->end && (*scan->at == a || *scan->at == b);
}

static bool skip_number(struct scan *scan)
{
    scan->at += at_one_of(scan, '-', '-');
    const char *start = scan->at;
    if (!skip_digits(scan) || (*start == '0' && scan->at - start > 1)) {
        return false;
    }
    if (at_one_of(scan, '.', '.')) {
        scan->at++;
        if (!skip_digits(scan)) {
            return false;
        }
    }
    if (at_one_of(scan, 'e', 'E')) {
        scan->at++;
        scan->at += at_one_of(scan, '+', '-');
        return skip_digits(scan);
    }
    return true;
}

static bool read_object(struct scan *scan, member_fn *on_member)
{
    if (!accept(scan, '{') || ++scan->depth > DEPTH_MAX) {
        return false;
    }
    if (!accept(scan, '}')) {
        do {
            struct chunk_text key;
            if (!read_string(scan, &key) || !accept(scan, ':') || !on_member(scan, &key)) {
                return false;
            }
        } while (accept(scan, ','));
        if (!accept(scan, '}')) {
            return false;
        }
    }
    scan->depth--;
    return true;
}

static bool read_array(struct scan *scan, bool (*on_item)(struct scan *scan))
{
    if (!accept(scan, '[') || ++scan->depth > DEPTH_MAX) {
        return false;
    }
    if (!accept(scan, ']')) {
        do {
            if (!on_item(scan)) {
                return false;
            }
        } while (accept(scan, ','));
        if (!accept(scan, ']')) {
            return false;
        }
    }
    scan->depth--;
    return true;
}

static bool skip_member(struct scan *scan, const struct chunk_text *key)
{
    (void)key;
    return skip_value(scan);
}

static bool skip_value(struct scan *scan)
{
    struct chunk_text ignored;
    switch (peek(scan)) {
    case '{':
        return read_object(scan, skip_member);
    case '[':
        return read_array(scan, skip_value);
    case '"':
        return read_string(scan, &ignored);
    case 't':
        return skip_word(scan, "true");
    case 'f':
        return skip_word(scan, "false");
    case 'n':
        return skip_word(scan, "null");
    default:
        return scan->at < scan->end && skip_number(scan);
    }
}

static bool is_key(const struct chunk_text *key, const char *name)
{
    return key->byte_count == strlen(name) && memcmp(key->bytes, name, key->byte_count) == 0;
}

/* A count; anything else in its place (null, a fraction) leaves what was there. */
static bool read_count(struct scan *scan, uint64_t *out)
{
    skip_space(scan);
    const char *start = scan->at;
    if (!skip_value(scan)) {
        return false;
    }
    uint64_t value = 0;
    for (const char *at = start; at < scan->at; at++) {
        if (*at < '0' || *at > '9' || value > UINT64_C(1) << 40) {
            return true;
        }
        value = value * 10 + (uint64_t)(*at - '0');
    }
    *out = value;
    return true;
}

/* A string that counts as output when it is not empty; null and others do not. */
static bool read_output(struct scan *scan, bool is_text)
{
    if (peek(scan) != '"') {
        return skip_value(scan);
    }
    struct chunk_text text;
    if (!read_string(scan, &text)) {
        return false;
    }
    if (text.byte_count > 0) {
        scan->chunk->has_output = true;
        if (is_text && scan->chunk->text.bytes == NULL) {
            scan->chunk->text = text;
        }
    }
    return true;
}

static bool read_delta(struct scan *scan, const struct chunk_text *key)
{
    if (is_key(key, "content")) {
        return read_output(scan, true);
    }
    if (is_key(key, "reasoning_content") || is_key(key, "reasoning")) {
        return read_output(scan, false);
    }
    if (is_key(key, "tool_calls") && peek(scan) == '[') {
        const char *start = scan->at;
        bool fine = skip_value(scan);
        scan->chunk->has_output = scan->chunk->has_output || scan->at - start > 2;
        return fine;
    }
    return skip_value(scan);
}

static bool read_choice_member(struct scan *scan, const struct chunk_text *key)
{
    if (is_key(key, "text")) {
        return read_output(scan, true);
    }
    if (is_key(key, "delta") && peek(scan) == '{') {
        return read_object(scan, read_delta);
    }
    if (is_key(key, "finish_reason") && peek(scan) == '"') {
        scan->chunk->finished = true;
    }
    return skip_value(scan);
}

static bool read_choice(struct scan *scan)
{
    return peek(scan) == '{' ? read_object(scan, read_choice_member) : skip_value(scan);
}

static bool read_details(struct scan *scan, const struct chunk_text *key)
{
    return is_key(key, "cached_tokens") ? read_count(scan, &scan->chunk->cached_tokens)
                                        : skip_value(scan);
}

static bool read_usage(struct scan *scan, const struct chunk_text *key)
{
    if (is_key(key, "prompt_tokens")) {
        return read_count(scan, &scan->chunk->prompt_tokens);
    }
    if (is_key(key, "completion_tokens")) {
        return read_count(scan, &scan->chunk->completion_tokens);
    }
    if (is_key(key, "prompt_tokens_details") && peek(scan) == '{') {
        return read_object(scan, read_details);
    }
    return skip_value(scan);
}

/* null, false and "" are no error: the official clients take only truthy values for one. */
static bool read_error(struct scan *scan)
{
    char first = peek(scan);
    const char *start = scan->at;
    if (!skip_value(scan)) {
        return false;
    }
    size_t value_bytes = (size_t)(scan->at - start);
    scan->chunk->has_error =
        first == '{' || first == '[' || first == 't' || (first == '"' && value_bytes > 2);
    scan->chunk->error = (struct chunk_text){.bytes = start, .byte_count = value_bytes};
    return true;
}

static bool read_top(struct scan *scan, const struct chunk_text *key)
{
    if (is_key(key, "choices") && peek(scan) == '[') {
        return read_array(scan, read_choice);
    }
    if (is_key(key, "usage") && peek(scan) == '{') {
        scan->chunk->has_usage = true;
        return read_object(scan, read_usage);
    }
    if (is_key(key, "error")) {
        return read_error(scan);
    }
    return skip_value(scan);
}

bool chunk_parse(struct chunk *chunk, const char *data, size_t data_bytes)
{
    *chunk = (struct chunk){0};
    struct scan scan = {.at = data, .end = data + data_bytes, .chunk = chunk};
    if (!read_object(&scan, read_top)) {
        return false;
    }
    skip_space(&scan);
    return scan.at == scan.end;
}
