/* control_guard.c - a sorted list of the control tokens' texts, searched byte by byte from every place
 * where one may begin; most places are dismissed by a bit.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/control_guard.h"

#include "configs/limits.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct word {
    const char *bytes; /* the tokenizer's */
    size_t byte_count;
};

struct control_guard {
    struct word *words; /* [count] sorted */
    size_t count;
    uint64_t first_bytes[4];
    const char *spared[2];
};

enum {
    GUARD_BYTES = sizeof TOKENIZER_GUARD - 1
};

static int compare(const void *a, const void *b)
{
    const struct word *x = a;
    const struct word *y = b;
    size_t common = x->byte_count < y->byte_count ? x->byte_count : y->byte_count;
    int order = memcmp(x->bytes, y->bytes, common);
    return order != 0 ? order : (x->byte_count > y->byte_count) - (x->byte_count < y->byte_count);
}

/* A token of one byte cannot be broken, and is none that a template writes. */
static bool is_wanted(const struct tokenizer *tokenizer, uint32_t id, struct word *word)
{
    word->bytes = tokenizer_token_bytes(tokenizer, id, true, &word->byte_count);
    return tokenizer_is_special(tokenizer, id) && word->byte_count > 1;
}

enum status control_guard_open(struct control_guard **out, const struct tokenizer *tokenizer,
                               const char *const spared[2], struct error *err)
{
    uint32_t vocab_count = tokenizer_info(tokenizer)->vocab_count;
    struct control_guard *guard = calloc(1, sizeof *guard);
    struct word word;
    size_t count = 0;
    for (uint32_t id = 0; id < vocab_count; id++) {
        count += is_wanted(tokenizer, id, &word);
    }
    struct word *words = calloc(count + 1, sizeof *words);
    if (guard == NULL || words == NULL) {
        free(guard);
        free(words);
        return error_set(err, ERR_MEMORY, "no memory for %zu control tokens", count);
    }
    *guard = (struct control_guard){.words = words, .spared = {spared[0], spared[1]}};
    for (uint32_t id = 0; id < vocab_count; id++) {
        if (is_wanted(tokenizer, id, &word)) {
            unsigned char first = (unsigned char)word.bytes[0];
            guard->first_bytes[first / 64] |= 1ull << first % 64;
            words[guard->count++] = word;
        }
    }
    qsort(words, guard->count, sizeof *words, compare);
    *out = guard;
    return OK;
}

void control_guard_close(struct control_guard *guard)
{
    if (guard != NULL) {
        free(guard->words);
        free(guard);
    }
}

/* The first of words[low .. high) whose byte at depth is not below byte; all share what is in front
 * of it and are longer than depth. */
static size_t lower_bound(const struct control_guard *guard, size_t low, size_t high, size_t depth,
                          unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((unsigned char)guard->words[middle].bytes[depth] < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Whether a control token's text begins at text, or the text is the beginning of one. *length: of the
 * longest that is whole, or 0. */
static bool begins_token(const struct control_guard *guard, const char *text, size_t byte_count,
                         size_t *length)
{
    unsigned char first = (unsigned char)text[0];
    *length = 0;
    if ((guard->first_bytes[first / 64] >> first % 64 & 1) == 0) {
        return false;
    }
    size_t low = 0;
    size_t high = guard->count;
    size_t depth = 0;
    while (low < high) {
        if (guard->words[low].byte_count == depth) {
            *length = depth;
            low++;
            continue;
        }
        if (depth == byte_count) {
            return true; /* more of it may follow in the prompt */
        }
        unsigned byte = (unsigned char)text[depth];
        low = lower_bound(guard, low, high, depth, byte);
        high = lower_bound(guard, low, high, depth, byte + 1);
        depth++;
    }
    return *length > 0;
}

static bool is_spared(const struct control_guard *guard, const char *text, size_t length)
{
    for (size_t i = 0; i < 2; i++) {
        const char *spared = guard->spared[i];
        if (spared != NULL && strlen(spared) == length && memcmp(text, spared, length) == 0) {
            return true;
        }
    }
    return false;
}

static size_t character_bytes(const char *text, size_t byte_count)
{
    size_t length = 1;
    while (length < byte_count && ((unsigned char)text[length] & 0xC0u) == 0x80u) {
        length++;
    }
    return length;
}

static bool is_guard(const char *text, size_t byte_count)
{
    return byte_count >= GUARD_BYTES && memcmp(text, TOKENIZER_GUARD, GUARD_BYTES) == 0;
}

/* The text with its guards; out NULL: only whether there would be any. spare: see above. */
static bool guard_text(const struct control_guard *guard, const char *text, size_t byte_count,
                       bool spare, struct text_buffer *out)
{
    bool any = false;
    for (size_t i = 0; i < byte_count && (out != NULL || !any);) {
        size_t rest = byte_count - i;
        size_t character = character_bytes(text + i, rest);
        size_t length = 0;
        bool own = is_guard(text + i, rest); /* doubled, it stands for itself */
        bool guarded = own || (begins_token(guard, text + i, rest, &length) &&
                               !(spare && is_spared(guard, text + i, length)));
        if (out != NULL) {
            text_buffer_append(out, text + i, character);
            text_buffer_append(out, TOKENIZER_GUARD, guarded ? GUARD_BYTES : 0);
        }
        any = any || guarded;
        i += character;
    }
    return any;
}

static bool needs(const struct control_guard *guard, const json_t *value)
{
    if (json_is_string(value)) {
        return guard_text(guard, json_string_value(value), json_string_length(value), false, NULL);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (needs(guard, json_array_get(value, i))) {
            return true;
        }
    }
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        if (guard_text(guard, key, strlen(key), false, NULL) || needs(guard, item)) {
            return true;
        }
    }
    return false;
}

static json_t *guarded_string(const struct control_guard *guard, const json_t *value, bool spare)
{
    struct text_buffer text;
    text_buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    text_buffer_append(&text, "", 0);
    guard_text(guard, json_string_value(value), json_string_length(value), spare, &text);
    json_t *string = text.failed ? NULL : json_stringn(text.bytes, text.byte_count);
    text_buffer_release(&text);
    return string;
}

static json_t *copy(const struct control_guard *guard, json_t *value);

static json_t *copy_object(const struct control_guard *guard, json_t *value)
{
    json_t *object = json_object();
    const char *key;
    json_t *item;
    json_object_foreach(value, key, item)
    {
        struct text_buffer name;
        text_buffer_init(&name, LIMIT_TEMPLATE_OUTPUT);
        text_buffer_append(&name, "", 0);
        guard_text(guard, key, strlen(key), false, &name);
        bool set = !name.failed && json_object_set_new(object, name.bytes, copy(guard, item)) == 0;
        text_buffer_release(&name);
        if (!set) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *copy(const struct control_guard *guard, json_t *value)
{
    if (json_is_string(value)) {
        return guarded_string(guard, value, false);
    }
    if (json_is_object(value)) {
        return copy_object(guard, value);
    }
    if (!json_is_array(value)) {
        return json_incref(value);
    }
    json_t *array = json_array();
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (json_array_append_new(array, copy(guard, json_array_get(value, i))) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

json_t *control_guard_apply(const struct control_guard *guard, json_t *value)
{
    return needs(guard, value) ? copy(guard, value) : json_incref(value);
}

/* What an assistant has said may hold the marks of its reasoning. */
static json_t *apply_message(const struct control_guard *guard, json_t *message)
{
    json_t *guarded = control_guard_apply(guard, message);
    const char *role = json_string_value(json_object_get(message, "role"));
    json_t *content = json_object_get(message, "content");
    if (guarded == NULL || guarded == message || role == NULL || strcmp(role, "assistant") != 0 ||
        !json_is_string(content)) {
        return guarded;
    }
    if (json_object_set_new(guarded, "content", guarded_string(guard, content, true)) != 0) {
        json_decref(guarded);
        return NULL;
    }
    return guarded;
}

json_t *control_guard_apply_messages(const struct control_guard *guard, json_t *messages)
{
    json_t *array = json_array();
    for (size_t i = 0; i < json_array_size(messages); i++) {
        if (json_array_append_new(array, apply_message(guard, json_array_get(messages, i))) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

void control_guard_strip(struct text_buffer *text)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->byte_count;) {
        if (is_guard(text->bytes + i, text->byte_count - i)) {
            i += GUARD_BYTES;
            if (!is_guard(text->bytes + i, text->byte_count - i)) {
                continue;
            }
            memmove(text->bytes + kept, TOKENIZER_GUARD, GUARD_BYTES);
            kept += GUARD_BYTES;
            i += GUARD_BYTES;
            continue;
        }
        text->bytes[kept++] = text->bytes[i++];
    }
    if (text->byte_count > 0) {
        text->byte_count = kept;
        text->bytes[kept] = '\0';
    }
}
