/* vocabulary_merges.c - a merge must name tokens that exist.
 *
 * Then ids, not text, can be merged, and no list of merges can form a cycle, because each makes a
 * longer token out of two shorter ones.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/vocabulary_merges.h"

#include "configs/limits.h"
#include "engine/formats/gguf.h"
#include "engine/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#define KEY_MERGES "tokenizer.ggml.merges"

static enum status out_of_memory(const struct gguf *file, const char *what, struct error *err)
{
    return error_set(err, ERR_MEMORY, "%s: no memory for %s", file->path, what);
}

/* "Ġ t" -> the ids of "Ġ", "t" and "Ġt". */
static enum status read_merge(const struct vocabulary *v, const struct gguf *file, uint64_t index,
                              struct gguf_string entry, uint8_t *joined, struct merge *out,
                              struct error *err)
{
    const uint8_t *text = (const uint8_t *)entry.bytes;
    const uint8_t *space =
        entry.byte_count > 2 && entry.byte_count <= (uint64_t)2 * LIMIT_TOKEN_BYTES
            ? memchr(text + 1, ' ', (size_t)entry.byte_count - 1)
            : NULL;
    if (space == NULL || space + 1 == text + entry.byte_count) {
        return error_set(err, ERR_FORMAT, "%s: " KEY_MERGES "[%llu]: not two tokens and a space",
                         file->path, (unsigned long long)index);
    }
    size_t left_bytes = (size_t)(space - text);
    size_t right_bytes = (size_t)entry.byte_count - left_bytes - 1;
    memcpy(joined, text, left_bytes);
    memcpy(joined + left_bytes, space + 1, right_bytes);
    out->left = string_table_find(&v->by_text, text, left_bytes);
    out->right = string_table_find(&v->by_text, space + 1, right_bytes);
    out->merged = string_table_find(&v->by_text, joined, left_bytes + right_bytes);
    if (out->left == TOKEN_NONE || out->right == TOKEN_NONE || out->merged == TOKEN_NONE) {
        const char *part = out->left == TOKEN_NONE    ? "first part"
                           : out->right == TOKEN_NONE ? "second part"
                                                      : "result";
        return error_set(err, ERR_FORMAT, "%s: " KEY_MERGES "[%llu]: its %s is not a token",
                         file->path, (unsigned long long)index, part);
    }
    return OK;
}

static enum status load_merges(struct vocabulary *v, const struct gguf *file, struct error *err)
{
    struct gguf_array merges = {0};
    enum status status = gguf_get_array(file, KEY_MERGES, true, GGUF_STRING, &merges, err);
    if (status != OK) {
        return status;
    }
    if (merges.element_count > LIMIT_TOKENIZER_MERGES) {
        return error_set(err, ERR_FORMAT, "%s: " KEY_MERGES ": %llu merges, the limit is %u",
                         file->path, (unsigned long long)merges.element_count,
                         LIMIT_TOKENIZER_MERGES);
    }
    uint8_t *joined = malloc((size_t)2 * LIMIT_TOKEN_BYTES);
    if (joined == NULL || !merge_table_open(&v->merges, (uint32_t)merges.element_count)) {
        free(joined);
        return out_of_memory(file, KEY_MERGES, err);
    }
    for (uint64_t i = 0; i < merges.element_count && status == OK; i++) {
        struct merge merge = {.rank = (uint32_t)i};
        status = read_merge(v, file, i, merges.strings[i], joined, &merge, err);
        /* A merge may not make a control token out of what a user wrote. */
        if (status == OK && vocabulary_is_ordinary(v, merge.merged)) {
            merge_table_add(&v->merges, merge);
        }
    }
    free(joined);
    return status;
}

/* Two ids a merge -> what they make, which must be a token as well. */
static enum status read_pair(const struct vocabulary *v, const struct gguf *file,
                             const struct gguf_array *pairs, uint32_t rank, uint8_t *joined,
                             struct merge *out, struct error *err)
{
    uint64_t left = gguf_array_u64(pairs, 2 * (uint64_t)rank);
    uint64_t right = gguf_array_u64(pairs, 2 * (uint64_t)rank + 1);
    if (left >= v->count || right >= v->count) {
        return error_set(err, ERR_FORMAT,
                         "%s: " TOKENIZER_KEY_MERGE_PAIRS ": merge %u of tokens %llu and %llu, the "
                         "vocabulary has %u",
                         file->path, rank, (unsigned long long)left, (unsigned long long)right,
                         v->count);
    }
    uint32_t left_bytes = v->text_at[left + 1] - v->text_at[left];
    uint32_t right_bytes = v->text_at[right + 1] - v->text_at[right];
    memcpy(joined, v->text + v->text_at[left], left_bytes);
    memcpy(joined + left_bytes, v->text + v->text_at[right], right_bytes);
    *out = (struct merge){
        .left = (uint32_t)left,
        .right = (uint32_t)right,
        .rank = rank,
        .merged = string_table_find(&v->by_text, joined, (size_t)left_bytes + right_bytes),
    };
    if (left_bytes == 0 || right_bytes == 0 || out->merged == TOKEN_NONE) {
        return error_set(err, ERR_FORMAT,
                         "%s: " TOKENIZER_KEY_MERGE_PAIRS ": merge %u does not make a token",
                         file->path, rank);
    }
    return OK;
}

static enum status load_pairs(struct vocabulary *v, const struct gguf *file, struct error *err)
{
    struct gguf_array pairs = {0};
    enum status status =
        gguf_get_array(file, TOKENIZER_KEY_MERGE_PAIRS, true, GGUF_UINT32, &pairs, err);
    if (status != OK) {
        return status;
    }
    if (pairs.element_count % 2 != 0 || pairs.element_count / 2 > LIMIT_TOKENIZER_MERGES) {
        return error_set(err, ERR_FORMAT,
                         "%s: " TOKENIZER_KEY_MERGE_PAIRS ": %llu ids, not pairs or more than %u",
                         file->path, (unsigned long long)pairs.element_count,
                         LIMIT_TOKENIZER_MERGES);
    }
    uint32_t count = (uint32_t)(pairs.element_count / 2);
    uint8_t *joined = malloc((size_t)2 * LIMIT_TOKEN_BYTES);
    if (joined == NULL || !merge_table_open(&v->merges, count)) {
        free(joined);
        return out_of_memory(file, TOKENIZER_KEY_MERGE_PAIRS, err);
    }
    for (uint32_t rank = 0; rank < count && status == OK; rank++) {
        struct merge merge = {0};
        status = read_pair(v, file, &pairs, rank, joined, &merge, err);
        if (status == OK && vocabulary_is_ordinary(v, merge.merged)) {
            merge_table_add(&v->merges, merge);
        }
    }
    free(joined);
    return status;
}

enum status vocabulary_merges_load(struct vocabulary *vocabulary, const struct gguf *file,
                                   struct error *err)
{
    return vocabulary->kind == VOCABULARY_MERGES ? load_merges(vocabulary, file, err)
                                                 : load_pairs(vocabulary, file, err);
}
