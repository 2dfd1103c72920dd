/* tokenizer.c - opens a tokenizer from a file's metadata and answers questions about it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/tokenizer.h"

#include "configs/limits.h"
#include "engine/formats/gguf.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/special_tokens.h"
#include "engine/tokenizer/tokenizer_keys.h"
#include "engine/tokenizer/tokenizer_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MODEL "tokenizer.ggml.model"
#define KEY_PRE   "tokenizer.ggml.pre"

enum {
    NAME_BYTES_MAX = 48 /* of a name quoted in a message */
};

/* A name from the file, safe to print. */
static const char *printable(struct gguf_string name, char out[NAME_BYTES_MAX + 1])
{
    size_t length = name.byte_count < NAME_BYTES_MAX ? (size_t)name.byte_count : NAME_BYTES_MAX;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name.bytes[i];
        out[i] = (char)(c < 0x20 || c > 0x7E ? '?' : c);
    }
    out[length] = '\0';
    return out;
}

static const struct {
    const char *name;
    enum vocabulary_kind kind;
} models[] = {
    {"llama", VOCABULARY_SCORES},
    {"gpt2", VOCABULARY_MERGES},
    {"t5", VOCABULARY_UNIGRAM},
};

static enum status choose_kind(struct tokenizer *t, const struct gguf *file,
                               enum vocabulary_kind *kind, struct error *err)
{
    char quoted[NAME_BYTES_MAX + 1];
    struct gguf_string model = {0};
    enum status status = gguf_get_string(file, KEY_MODEL, true, &model, err);
    if (status != OK) {
        return status;
    }
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        if (gguf_string_equal(model, models[i].name)) {
            t->info.model_name = models[i].name;
            *kind = models[i].kind;
        }
    }
    if (t->info.model_name == NULL) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: " KEY_MODEL ": '%s', supported are llama, gpt2, t5", file->path,
                         printable(model, quoted));
    }
    if (*kind == VOCABULARY_SCORES && gguf_find(file, TOKENIZER_KEY_MERGE_PAIRS) != NULL) {
        *kind = VOCABULARY_PAIRS;
    }
    return OK;
}

static enum status choose_pretokenizer(struct tokenizer *t, const struct gguf *file,
                                       struct error *err)
{
    char quoted[NAME_BYTES_MAX + 1];
    /* Files from before the key existed were all made for what is now called default. */
    struct gguf_string pre = {.bytes = "default", .byte_count = 7};
    enum status status = gguf_get_string(file, KEY_PRE, false, &pre, err);
    if (status == OK) {
        status = gguf_get_string(file, TOKENIZER_KEY_PRE, false, &pre, err);
    }
    if (status != OK) {
        return status;
    }
    t->pretokenizer = pretokenizer_find(pre.bytes, (size_t)pre.byte_count);
    if (t->pretokenizer == NULL) {
        return error_set(err, ERR_UNSUPPORTED, "%s: " KEY_PRE ": '%s' is not supported", file->path,
                         printable(pre, quoted));
    }
    t->info.pre_name = t->pretokenizer->name;
    t->whole_words = t->pretokenizer->whole_words;
    return gguf_get_bool(file, TOKENIZER_KEY_WHOLE_WORDS, false, &t->whole_words, err);
}

/* Where no token has a space behind a character, no merge reaches across that place, and text
 * may be cut there. Bytes stand for the characters they end. */
static void find_joined_spaces(struct tokenizer *t)
{
    const struct vocabulary *v = &t->vocabulary;
    for (uint32_t id = 0; id < v->count; id++) {
        if (!vocabulary_is_ordinary(v, id)) {
            continue;
        }
        for (uint32_t at = v->bytes_at[id]; at + 1 < v->bytes_at[id + 1]; at++) {
            if (v->bytes[at] != ' ' && v->bytes[at + 1] == ' ') {
                t->joins_space[v->bytes[at] / 64] |= 1ull << v->bytes[at] % 64;
            }
        }
    }
}

/* Where spaces are put in front and dropped again, and how unknown text shows. */
static enum status load_spacing(struct tokenizer *t, const struct gguf *file, struct error *err)
{
    bool characters = !vocabulary_is_byte_level(&t->vocabulary);
    bool prefix = characters;
    enum status status =
        characters ? gguf_get_bool(file, "tokenizer.ggml.add_space_prefix", false, &prefix, err)
                   : OK;
    t->prefix = prefix ? TOKENIZER_PREFIX_EACH : 0;
    if (status == OK) {
        status = gguf_get_u32(file, TOKENIZER_KEY_PREFIX, false, 0, TOKENIZER_PREFIX_ALL,
                              &t->prefix, err);
    }
    if (status == OK && characters) {
        status = gguf_get_bool(file, "tokenizer.ggml.remove_extra_whitespaces", false,
                               &t->remove_extra_spaces, err);
    }
    t->strip = t->remove_extra_spaces ? TOKENIZER_STRIP_EACH
               : prefix               ? TOKENIZER_STRIP_ONE
                                      : TOKENIZER_STRIP_NONE;
    if (status == OK) {
        status = gguf_get_u32(file, TOKENIZER_KEY_STRIP, false, TOKENIZER_STRIP_NONE,
                              TOKENIZER_STRIP_EACH, &t->strip, err);
    }
    t->fuse_unknown = true;
    if (status == OK) {
        status = gguf_get_bool(file, TOKENIZER_KEY_FUSE_UNKNOWN, false, &t->fuse_unknown, err);
    }
    return status;
}

static enum status load_characters(struct tokenizer *t, const struct gguf *file, struct error *err)
{
    enum status status =
        gguf_get_bool(file, TOKENIZER_KEY_SPLIT_WORDS, false, &t->split_words, err);
    if (status == OK && !t->vocabulary.has_all_bytes && t->ids.unknown == TOKEN_NONE &&
        t->vocabulary.kind != VOCABULARY_PAIRS) {
        return error_set(err, ERR_FORMAT,
                         "%s: tokenizer.ggml.tokens: neither all of <0x00> to <0xFF> nor an "
                         "unknown token",
                         file->path);
    }
    find_joined_spaces(t);
    return status;
}

/* How text becomes words, once the vocabulary is there. */
static enum status load_rules(struct tokenizer *t, const struct gguf *file, struct error *err)
{
    bool byte_level = vocabulary_is_byte_level(&t->vocabulary);
    enum status status =
        normalizer_load(&t->normalizer, file, byte_level && t->pretokenizer->nfc, err);
    if (status == OK) {
        status = load_spacing(t, file, err);
    }
    if (status == OK && !byte_level) {
        status = load_characters(t, file, err);
    }
    /* A space may stand in front of each stretch between special tokens, each a byte or more. */
    t->growth = normalizer_growth(&t->normalizer) * (t->prefix != 0 ? 2 : 1);
    if (status == OK && t->vocabulary.kind != VOCABULARY_UNIGRAM) {
        status = bpe_mark_whole(&t->vocabulary, t->whole_words, err);
    }
    return status;
}

static enum status load(struct tokenizer *t, const struct gguf *file, struct error *err)
{
    enum vocabulary_kind kind = VOCABULARY_SCORES;
    enum status status = choose_kind(t, file, &kind, err);
    t->info.pre_name = "";
    if (status == OK && kind == VOCABULARY_MERGES) {
        status = choose_pretokenizer(t, file, err);
    }
    if (status == OK) {
        status = vocabulary_load(&t->vocabulary, file, kind, err);
    }
    if (status == OK) {
        bool begins_with_bos = kind == VOCABULARY_SCORES || kind == VOCABULARY_PAIRS ||
                               (kind == VOCABULARY_MERGES && t->pretokenizer->begins_with_bos);
        status = special_ids_load(&t->ids, &t->vocabulary, file, begins_with_bos, err);
    }
    if (status == OK) {
        status = vocabulary_index(&t->vocabulary, file, err);
    }
    if (status == OK) {
        status = load_rules(t, file, err);
    }
    if (status == OK && !special_tokens_load(t)) {
        status = error_set(err, ERR_MEMORY, "%s: no memory for special tokens", file->path);
    }
    return status;
}

enum status tokenizer_open(struct tokenizer **out, const struct gguf *file, struct error *err)
{
    *out = NULL;
    struct tokenizer *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return error_set(err, ERR_MEMORY, "%s: no memory for the tokenizer", file->path);
    }
    enum status status = load(t, file, err);
    if (status != OK) {
        tokenizer_close(t);
        return status;
    }
    t->info.vocab_count = t->vocabulary.count;
    t->info.bos_id = t->ids.bos;
    t->info.eos_id = t->ids.eos;
    t->info.unk_id = t->ids.unknown;
    t->info.add_bos = t->ids.add_bos;
    t->info.add_eos = t->ids.add_eos;
    *out = t;
    return OK;
}

void tokenizer_close(struct tokenizer *tokenizer)
{
    if (tokenizer == NULL) {
        return;
    }
    special_scan_close(&tokenizer->user_defined);
    special_scan_close(&tokenizer->control);
    special_scan_close(&tokenizer->normalized_user_defined);
    special_scan_close(&tokenizer->normalized_control);
    normalizer_release(&tokenizer->normalizer);
    vocabulary_release(&tokenizer->vocabulary);
    free(tokenizer);
}

const struct tokenizer_info *tokenizer_info(const struct tokenizer *tokenizer)
{
    return &tokenizer->info;
}

size_t tokenizer_id_count_bound(const struct tokenizer *tokenizer, size_t text_bytes)
{
    size_t around = (size_t)tokenizer->ids.begin_count + 1;
    uint64_t bytes = text_bytes < LIMIT_ENCODE_BYTES ? text_bytes : LIMIT_ENCODE_BYTES;
    uint64_t bound = tokenizer->growth * bytes;
    return (size_t)(bound < 2ull * LIMIT_ENCODE_BYTES ? bound : 2ull * LIMIT_ENCODE_BYTES) + around;
}

const uint32_t *tokenizer_end_ids(const struct tokenizer *tokenizer, uint32_t *count)
{
    *count = tokenizer->ids.end_count;
    return tokenizer->ids.ends;
}

const char *tokenizer_token_bytes(const struct tokenizer *tokenizer, uint32_t token_id,
                                  bool show_special, size_t *byte_count)
{
    const struct vocabulary *v = &tokenizer->vocabulary;
    *byte_count = 0;
    if (vocabulary_is_special(v, token_id) && !show_special) {
        return "";
    }
    *byte_count = v->bytes_at[token_id + 1] - v->bytes_at[token_id];
    return (const char *)v->bytes + v->bytes_at[token_id];
}

bool tokenizer_is_special(const struct tokenizer *tokenizer, uint32_t token_id)
{
    return vocabulary_is_special(&tokenizer->vocabulary, token_id);
}

uint32_t tokenizer_find(const struct tokenizer *tokenizer, const char *text, size_t text_bytes)
{
    return string_table_find(&tokenizer->vocabulary.by_text, (const uint8_t *)text, text_bytes);
}
