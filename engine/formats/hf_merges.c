/* hf_merges.c - each merge is looked up before it is written, so that a message names its place.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_merges.h"

#include "configs/limits.h"
#include "engine/formats/hf_vocab.h"
#include "engine/formats/json_field.h"
#include "engine/tokenizer/tokenizer_keys.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct pair {
    struct gguf_string left;
    struct gguf_string right;
};

struct writing {
    const struct hf_vocab *vocab;
    char *joined;                /* room for two tokens */
    struct gguf_string *strings; /* [merge_count] byte-level */
    char *text;                  /* what strings point into */
    size_t text_bytes;
    size_t text_capacity;
    uint32_t *ids; /* [2 * merge_count] else */
};

static struct gguf_string string_of(const json_t *value)
{
    return (struct gguf_string){json_string_value(value), json_string_length(value)};
}

static bool split_pair(const json_t *merge, struct pair *out)
{
    if (json_is_array(merge)) {
        out->left = string_of(json_array_get(merge, 0));
        out->right = string_of(json_array_get(merge, 1));
        return json_array_size(merge) == 2 && out->left.byte_count > 0 && out->right.byte_count > 0;
    }
    struct gguf_string whole = string_of(merge);
    const char *space =
        whole.byte_count > 0 ? memchr(whole.bytes, ' ', (size_t)whole.byte_count) : NULL;
    if (space == NULL) {
        return false;
    }
    out->left = (struct gguf_string){whole.bytes, (uint64_t)(space - whole.bytes)};
    out->right = (struct gguf_string){space + 1, whole.byte_count - out->left.byte_count - 1};
    return out->left.byte_count > 0 && out->right.byte_count > 0 &&
           memchr(space + 1, ' ', (size_t)out->right.byte_count) == NULL;
}

static const json_t *token_id(const struct hf_vocab *vocab, const char *bytes, uint64_t byte_count)
{
    return json_object_getn(vocab->by_text, bytes, (size_t)byte_count);
}

/* Appends "left right" to the text; its place may move, so strings get offsets until the end. */
static bool append(struct writing *w, const struct pair *pair)
{
    size_t needed = (size_t)(pair->left.byte_count + pair->right.byte_count) + 1;
    if (w->text_capacity - w->text_bytes < needed) {
        size_t capacity = 2 * (w->text_bytes + needed);
        char *grown = realloc(w->text, capacity);
        if (grown == NULL) {
            return false;
        }
        w->text = grown;
        w->text_capacity = capacity;
    }
    assert(w->text != NULL);
    char *at = w->text + w->text_bytes;
    memcpy(at, pair->left.bytes, pair->left.byte_count);
    at[pair->left.byte_count] = ' ';
    memcpy(at + pair->left.byte_count + 1, pair->right.bytes, pair->right.byte_count);
    w->text_bytes += needed;
    return true;
}

/* Both parts and the result are tokens: *ids are theirs. */
static enum status look_up(const struct writing *w, size_t index, const struct pair *pair,
                           uint32_t ids[3], struct error *err)
{
    const struct hf_vocab *v = w->vocab;
    char quoted[JSON_FIELD_QUOTE_BYTES];
    struct gguf_string made = {w->joined, pair->left.byte_count + pair->right.byte_count};
    if (pair->left.byte_count > LIMIT_TOKEN_BYTES || pair->right.byte_count > LIMIT_TOKEN_BYTES) {
        return error_set(err, ERR_FORMAT, "%s: model.merges[%zu]: longer than %u bytes", v->path,
                         index, LIMIT_TOKEN_BYTES);
    }
    assert(w->joined != NULL);
    memcpy(w->joined, pair->left.bytes, pair->left.byte_count);
    memcpy(w->joined + pair->left.byte_count, pair->right.bytes, pair->right.byte_count);
    const struct gguf_string texts[3] = {pair->left, pair->right, made};
    for (int i = 0; i < 3; i++) {
        const json_t *id = token_id(v, texts[i].bytes, texts[i].byte_count);
        if (id == NULL) {
            return error_set(err, ERR_FORMAT, "%s: model.merges[%zu]: '%s' is not a token", v->path,
                             index, json_field_quote(texts[i], quoted));
        }
        ids[i] = (uint32_t)json_integer_value(id);
    }
    return OK;
}

static enum status read_merge(struct writing *w, const json_t *merge, size_t index, float *scores,
                              struct error *err)
{
    struct pair pair = {0};
    uint32_t ids[3] = {0};
    if (!split_pair(merge, &pair)) {
        return error_set(err, ERR_FORMAT, "%s: model.merges[%zu]: not two tokens", w->vocab->path,
                         index);
    }
    enum status status = look_up(w, index, &pair, ids, err);
    if (status != OK) {
        return status;
    }
    if (w->strings == NULL) {
        assert(w->ids != NULL);
        w->ids[2 * index] = ids[0];
        w->ids[2 * index + 1] = ids[1];
        scores[ids[2]] = scores[ids[2]] == 0 ? -(float)(index + 1) : scores[ids[2]];
        return OK;
    }
    assert(w->joined != NULL);
    if (memchr(w->joined, ' ', (size_t)(pair.left.byte_count + pair.right.byte_count)) != NULL) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: model.merges[%zu]: a token of bytes with a space in it",
                         w->vocab->path, index);
    }
    w->strings[index].byte_count = pair.left.byte_count + pair.right.byte_count + 1;
    return append(w, &pair)
               ? OK
               : error_set(err, ERR_MEMORY, "%s: no memory for merges", w->vocab->path);
}

static void write_out(struct writing *w, size_t count, struct gguf_builder *out)
{
    if (w->strings == NULL) {
        gguf_builder_set_u32s(out, TOKENIZER_KEY_MERGE_PAIRS, w->ids, 2 * (uint64_t)count);
        return;
    }
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        w->strings[i].bytes = w->text + at;
        at += (size_t)w->strings[i].byte_count;
    }
    gguf_builder_set_strings(out, "tokenizer.ggml.merges", w->strings, count);
}

enum status hf_merges_write(const struct hf_vocab *vocab, bool byte_level, float *scores,
                            struct gguf_builder *out, struct error *err)
{
    const json_t *merges = NULL;
    struct json_place place = {vocab->path, "model."};
    enum status status = json_field_array(vocab->model, place, "merges", true, &merges, err);
    if (status != OK) {
        return status;
    }
    size_t count = json_array_size(merges);
    if (count > LIMIT_TOKENIZER_MERGES) {
        return error_set(err, ERR_FORMAT, "%s: model.merges: %zu, the limit is %u", vocab->path,
                         count, LIMIT_TOKENIZER_MERGES);
    }
    struct writing w = {.vocab = vocab, .joined = malloc((size_t)2 * LIMIT_TOKEN_BYTES)};
    void *list = calloc(count + 1, byte_level ? sizeof *w.strings : 2 * sizeof *w.ids);
    w.strings = byte_level ? list : NULL;
    w.ids = byte_level ? NULL : list;
    if (w.joined == NULL || list == NULL) {
        status = error_set(err, ERR_MEMORY, "%s: no memory for merges", vocab->path);
    }
    for (size_t i = 0; status == OK && i < count; i++) {
        status = read_merge(&w, json_array_get(merges, i), i, scores, err);
    }
    if (status == OK) {
        write_out(&w, count, out);
    }
    free(w.joined);
    free(w.text);
    free(list);
    return status;
}
