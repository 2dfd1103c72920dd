/* vocabulary.c - reads tokens, types and scores, trusting none of them.
 *
 * Everything is copied, so that the file may be closed afterwards.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/vocabulary.h"

#include "configs/checked.h"
#include "configs/limits.h"
#include "engine/formats/gguf.h"
#include "engine/tokenizer/char_class.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/vocabulary_merges.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY_TOKENS "tokenizer.ggml.tokens"
#define KEY_TYPES  "tokenizer.ggml.token_type"
#define KEY_SCORES "tokenizer.ggml.scores"

static enum status out_of_memory(const struct gguf *file, const char *what, struct error *err)
{
    return error_set(err, ERR_MEMORY, "%s: no memory for %s", file->path, what);
}

/* How many bytes all tokens have together, each and the sum within bounds. */
static enum status measure_texts(const struct vocabulary *v, const struct gguf *file,
                                 const struct gguf_string *tokens, size_t *total, struct error *err)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < v->count; i++) {
        uint64_t byte_count = tokens[i].byte_count;
        if (byte_count > LIMIT_TOKEN_BYTES) {
            return error_set(err, ERR_FORMAT, "%s: " KEY_TOKENS "[%u]: %llu bytes, the limit is %u",
                             file->path, i, (unsigned long long)byte_count, LIMIT_TOKEN_BYTES);
        }
        sum += byte_count; /* at most 2^22 times 2^16 */
    }
    if (sum > UINT32_MAX) {
        return error_set(err, ERR_FORMAT, "%s: " KEY_TOKENS ": %llu bytes, the limit is %u",
                         file->path, (unsigned long long)sum, UINT32_MAX);
    }
    *total = (size_t)sum;
    return OK;
}

static enum status copy_texts(struct vocabulary *v, const struct gguf *file,
                              const struct gguf_string *tokens, struct error *err)
{
    size_t total = 0;
    enum status status = measure_texts(v, file, tokens, &total, err);
    if (status != OK) {
        return status;
    }
    v->text = malloc(total + 1);
    v->bytes = malloc(total + 1); /* a token's bytes are never more than its text's */
    v->text_at = calloc((size_t)v->count + 1, sizeof *v->text_at);
    v->bytes_at = calloc((size_t)v->count + 1, sizeof *v->bytes_at);
    if (v->text == NULL || v->bytes == NULL || v->text_at == NULL || v->bytes_at == NULL ||
        !string_table_open(&v->by_text, v->text, v->text_at, v->count)) {
        return out_of_memory(file, KEY_TOKENS, err);
    }
    for (uint32_t i = 0; i < v->count; i++) {
        memcpy(v->text + v->text_at[i], tokens[i].bytes, tokens[i].byte_count);
        v->text_at[i + 1] = v->text_at[i] + (uint32_t)tokens[i].byte_count;
        uint32_t same = tokens[i].byte_count > 0 ? string_table_add(&v->by_text, i) : i;
        if (same != i) {
            return error_set(err, ERR_FORMAT, "%s: " KEY_TOKENS "[%u]: the same text as token %u",
                             file->path, i, same);
        }
    }
    return OK;
}

static enum status load_texts(struct vocabulary *v, const struct gguf *file, struct error *err)
{
    struct gguf_array tokens = {0};
    enum status status = gguf_get_array(file, KEY_TOKENS, true, GGUF_STRING, &tokens, err);
    if (status != OK) {
        return status;
    }
    if (tokens.element_count == 0 || tokens.element_count > LIMIT_MODEL_VOCAB) {
        return error_set(err, ERR_FORMAT, "%s: " KEY_TOKENS ": %llu tokens, allowed are 1 to %u",
                         file->path, (unsigned long long)tokens.element_count, LIMIT_MODEL_VOCAB);
    }
    v->count = (uint32_t)tokens.element_count;
    return copy_texts(v, file, tokens.strings, err);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<0x0A>" -> 10, or -1. */
static int named_byte(const uint8_t *text, uint32_t text_bytes)
{
    if (text_bytes != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') {
        return -1;
    }
    int high = hex_digit(text[3]);
    int low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* An array that must have one element a token. */
static enum status get_per_token(const struct vocabulary *v, const struct gguf *file,
                                 const char *key, bool required, enum gguf_type type,
                                 struct gguf_array *array, struct error *err)
{
    enum status status = gguf_get_array(file, key, required, type, array, err);
    if (status == OK && gguf_find(file, key) != NULL && array->element_count != v->count) {
        return error_set(err, ERR_FORMAT, "%s: %s: %llu elements for %u tokens", file->path, key,
                         (unsigned long long)array->element_count, v->count);
    }
    return status;
}

static enum status load_types(struct vocabulary *v, const struct gguf *file, struct error *err)
{
    v->has_types = gguf_find(file, KEY_TYPES) != NULL;
    v->types = malloc(v->count);
    if (v->types == NULL) {
        return out_of_memory(file, KEY_TYPES, err);
    }
    for (uint32_t i = 0; i < v->count; i++) {
        bool byte = !vocabulary_is_byte_level(v) &&
                    named_byte(v->text + v->text_at[i], v->text_at[i + 1] - v->text_at[i]) >= 0;
        v->types[i] = byte ? TOKEN_BYTE : TOKEN_NORMAL;
    }
    struct gguf_array types = {0};
    enum status status = get_per_token(v, file, KEY_TYPES, false, GGUF_INT32, &types, err);
    if (status != OK) {
        return status;
    }
    for (uint64_t i = 0; i < types.element_count; i++) {
        int64_t type = gguf_array_i64(&types, i);
        if (type < 0 || type >= TOKEN_TYPE_COUNT) {
            return error_set(err, ERR_FORMAT, "%s: " KEY_TYPES "[%llu]: %lld, allowed are 0 to %d",
                             file->path, (unsigned long long)i, (long long)type,
                             TOKEN_TYPE_COUNT - 1);
        }
        v->types[i] = (uint8_t)type;
    }
    return OK;
}

static enum status load_flags(struct vocabulary *v, const struct gguf *file, struct error *err)
{
    v->has_flags = gguf_find(file, TOKENIZER_KEY_TOKEN_FLAGS) != NULL;
    v->flags = calloc(v->count, 1);
    if (v->flags == NULL) {
        return out_of_memory(file, TOKENIZER_KEY_TOKEN_FLAGS, err);
    }
    struct gguf_array flags = {0};
    enum status status =
        get_per_token(v, file, TOKENIZER_KEY_TOKEN_FLAGS, false, GGUF_UINT32, &flags, err);
    for (uint64_t i = 0; status == OK && i < flags.element_count; i++) {
        uint64_t value = gguf_array_u64(&flags, i);
        if (value > TOKENIZER_TOKEN_FLAGS_ALL) {
            return error_set(err, ERR_FORMAT,
                             "%s: " TOKENIZER_KEY_TOKEN_FLAGS "[%llu]: %llu, the limit is %d",
                             file->path, (unsigned long long)i, (unsigned long long)value,
                             TOKENIZER_TOKEN_FLAGS_ALL);
        }
        v->flags[i] = (uint8_t)value;
    }
    return status;
}

/* A user-defined token of a SentencePiece vocabulary is a piece like others, only found first;
 * that of a byte-level one is not in the merges' alphabet. Control tokens are never made. */
static void settle_flags(struct vocabulary *v)
{
    for (uint32_t i = 0; i < v->count; i++) {
        uint8_t type = v->types[i];
        bool plain = type == TOKEN_NORMAL || type == TOKEN_UNUSED || type == TOKEN_UNDEFINED;
        bool piece = type == TOKEN_USER_DEFINED && v->kind != VOCABULARY_MERGES;
        bool can = plain || type == TOKEN_USER_DEFINED;
        if (!v->has_flags && (plain || piece)) {
            v->flags[i] |= TOKENIZER_TOKEN_IN_MODEL;
        } else if (!can) {
            v->flags[i] &= (uint8_t)~TOKENIZER_TOKEN_IN_MODEL;
        }
    }
}

/* Maps a finite score to an integer that is smaller for a better one; never UINT32_MAX. */
static uint32_t score_key(float score)
{
    score += 0.0f; /* minus zero equals zero */
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return ~ascending;
}

static enum status load_scores(struct vocabulary *v, const struct gguf *file, struct error *err)
{
    struct gguf_array scores = {0};
    enum status status = get_per_token(v, file, KEY_SCORES, true, GGUF_FLOAT32, &scores, err);
    if (status != OK) {
        return status;
    }
    v->score_keys = malloc((size_t)v->count * sizeof *v->score_keys);
    v->scores = malloc((size_t)v->count * sizeof *v->scores);
    if (v->score_keys == NULL || v->scores == NULL) {
        return out_of_memory(file, KEY_SCORES, err);
    }
    for (uint32_t i = 0; i < v->count; i++) {
        double score = gguf_array_f64(&scores, i);
        if (!isfinite(score)) {
            return error_set(err, ERR_FORMAT, "%s: " KEY_SCORES "[%u]: not a finite number",
                             file->path, i);
        }
        v->score_keys[i] = score_key((float)score);
        v->scores[i] = (float)score;
    }
    return OK;
}

/* Byte-level vocabularies write each byte as a printable character: those of Latin-1 that are
 * printable stand for themselves, the others follow from U+0100 in order. */
static void fill_byte_letters(int16_t letter_to_byte[0x144])
{
    uint32_t next = 0x100;
    memset(letter_to_byte, 0xFF, 0x144 * sizeof *letter_to_byte);
    for (uint32_t byte = 0; byte < 256; byte++) {
        bool itself = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
        letter_to_byte[itself ? byte : next++] = (int16_t)byte;
    }
}

/* Returns the bytes written, or UINT32_MAX when the text is not made of byte letters. */
static uint32_t letters_to_bytes(const int16_t *letter_to_byte, const uint8_t *text,
                                 uint32_t text_bytes, uint8_t *out)
{
    uint32_t written = 0;
    for (uint32_t at = 0; at < text_bytes;) {
        uint32_t code = 0;
        uint32_t bytes = char_class_utf8(text + at, text + text_bytes, &code);
        if (bytes == 0 || code >= 0x144 || letter_to_byte[code] < 0) {
            return UINT32_MAX;
        }
        out[written++] = (uint8_t)letter_to_byte[code];
        at += bytes;
    }
    return written;
}

/* U+2581 stands for a space in SentencePiece vocabularies. */
static uint32_t unescape_spaces(const uint8_t *text, uint32_t text_bytes, uint8_t *out)
{
    uint32_t written = 0;
    for (uint32_t at = 0; at < text_bytes; written++) {
        if (text_bytes - at >= 3 && memcmp(text + at, "\xE2\x96\x81", 3) == 0) {
            out[written] = ' ';
            at += 3;
        } else {
            out[written] = text[at++];
        }
    }
    return written;
}

static uint32_t ordinary_bytes(const struct vocabulary *v, const int16_t *letters,
                               const uint8_t *text, uint32_t text_bytes, uint8_t *out)
{
    if (!vocabulary_is_byte_level(v)) {
        return unescape_spaces(text, text_bytes, out);
    }
    uint32_t written = letters_to_bytes(letters, text, text_bytes, out);
    if (written == UINT32_MAX) {
        memcpy(out, text, text_bytes);
        written = text_bytes;
    }
    return written;
}

/* The bytes of token i; its byte if it is a byte token. Returns how many. */
static uint32_t spell_token(struct vocabulary *v, const int16_t *letters, uint32_t i, int byte)
{
    const uint8_t *text = v->text + v->text_at[i];
    uint32_t text_bytes = v->text_at[i + 1] - v->text_at[i];
    uint8_t *out = v->bytes + v->bytes_at[i];
    if (v->types[i] == TOKEN_BYTE) {
        out[0] = (uint8_t)byte;
        v->byte_ids[byte] = i;
        return 1;
    }
    bool user_defined = v->types[i] == TOKEN_USER_DEFINED && !vocabulary_is_byte_level(v);
    if (vocabulary_is_ordinary(v, i) || user_defined) {
        return ordinary_bytes(v, letters, text, text_bytes, out);
    }
    memcpy(out, text, text_bytes);
    return text_bytes;
}

/* In a vocabulary of characters, text has no spaces but the sign for one: a token spelled with a
 * space gives way to the one spelled with the sign. */
static void index_bytes(struct vocabulary *v, bool with_spaces)
{
    for (uint32_t i = 0; i < v->count; i++) {
        uint32_t text_bytes = v->text_at[i + 1] - v->text_at[i];
        bool has_space = !vocabulary_is_byte_level(v) &&
                         memchr(v->text + v->text_at[i], ' ', text_bytes) != NULL;
        if (v->bytes_at[i + 1] > v->bytes_at[i] && vocabulary_is_ordinary(v, i) &&
            has_space == with_spaces) {
            string_table_add(&v->by_bytes, i);
        }
    }
}

/* The bytes of every token, and the tables over those of ordinary ones. */
static enum status derive_bytes(struct vocabulary *v, const struct gguf *file, struct error *err)
{
    int16_t letters[0x144];
    fill_byte_letters(letters);
    memset(v->byte_ids, 0xFF, sizeof v->byte_ids);
    if (!string_table_open(&v->by_bytes, v->bytes, v->bytes_at, v->count)) {
        return out_of_memory(file, KEY_TOKENS, err);
    }
    for (uint32_t i = 0; i < v->count; i++) {
        int byte = named_byte(v->text + v->text_at[i], v->text_at[i + 1] - v->text_at[i]);
        if (v->types[i] == TOKEN_BYTE && byte < 0) {
            return error_set(err, ERR_FORMAT,
                             "%s: " KEY_TOKENS "[%u]: a byte token not named <0x00> to <0xFF>",
                             file->path, i);
        }
        uint32_t written = spell_token(v, letters, i, byte);
        v->bytes_at[i + 1] = v->bytes_at[i] + written;
        v->token_bytes_max = written > v->token_bytes_max ? written : v->token_bytes_max;
    }
    index_bytes(v, false);
    index_bytes(v, true);
    return OK;
}

static void find_single_bytes(struct vocabulary *v)
{
    v->has_all_bytes = true;
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint8_t one = (uint8_t)byte;
        if (vocabulary_is_byte_level(v) && v->byte_ids[byte] == TOKEN_NONE) {
            v->byte_ids[byte] = string_table_find(&v->by_bytes, &one, 1);
        }
        v->has_all_bytes = v->has_all_bytes && v->byte_ids[byte] != TOKEN_NONE;
    }
}

static enum status find_score_range(struct vocabulary *v, const struct gguf *file,
                                    struct error *err)
{
    v->score_min = INFINITY;
    v->score_max = -INFINITY;
    for (uint32_t i = 0; i < v->count; i++) {
        if (v->types[i] == TOKEN_NORMAL) {
            v->score_min = fminf(v->score_min, v->scores[i]);
            v->score_max = fmaxf(v->score_max, v->scores[i]);
        }
    }
    if (v->score_min > v->score_max) {
        v->score_min = v->score_max = 0;
    }
    return gguf_get_bool(file, TOKENIZER_KEY_FLOAT_SUMS, false, &v->float_sums, err);
}

enum status vocabulary_load(struct vocabulary *vocabulary, const struct gguf *file,
                            enum vocabulary_kind kind, struct error *err)
{
    *vocabulary = (struct vocabulary){.kind = kind};
    enum status status = load_texts(vocabulary, file, err);
    if (status == OK) {
        status = load_types(vocabulary, file, err);
    }
    if (status == OK) {
        status = load_flags(vocabulary, file, err);
    }
    if (status == OK && !vocabulary_has_merges(vocabulary)) {
        status = load_scores(vocabulary, file, err);
    }
    return status;
}

enum status vocabulary_index(struct vocabulary *vocabulary, const struct gguf *file,
                             struct error *err)
{
    settle_flags(vocabulary);
    enum status status = derive_bytes(vocabulary, file, err);
    if (status != OK) {
        return status;
    }
    find_single_bytes(vocabulary);
    vocabulary->is_whole = calloc(vocabulary->count, sizeof *vocabulary->is_whole);
    if (vocabulary->is_whole == NULL) {
        return out_of_memory(file, KEY_TOKENS, err);
    }
    if (vocabulary_has_merges(vocabulary)) {
        return vocabulary_merges_load(vocabulary, file, err);
    }
    bool unigram = vocabulary->kind == VOCABULARY_UNIGRAM;
    return unigram ? find_score_range(vocabulary, file, err) : OK;
}

void vocabulary_release(struct vocabulary *vocabulary)
{
    string_table_close(&vocabulary->by_text);
    string_table_close(&vocabulary->by_bytes);
    merge_table_close(&vocabulary->merges);
    free(vocabulary->text);
    free(vocabulary->text_at);
    free(vocabulary->bytes);
    free(vocabulary->bytes_at);
    free(vocabulary->types);
    free(vocabulary->is_whole);
    free(vocabulary->score_keys);
    free(vocabulary->scores);
    free(vocabulary->flags);
    *vocabulary = (struct vocabulary){0};
}
