/* tokenizer.c - opens a tokenizer from a file's metadata and answers questions about it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/tokenizer.h"

#include "configs/limits.h"
#include "engine/formats/gguf.h"
#include "engine/tokenizer/bpe.h"
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

static enum status choose_kind(struct tokenizer *t, const struct gguf *file,
                               enum vocabulary_kind *kind, struct error *err)
{
    char quoted[NAME_BYTES_MAX + 1];
    struct gguf_string model = {0};
    enum status status = gguf_get_string(file, KEY_MODEL, true, &model, err);
    if (status != OK) {
        return status;
    }
    t->info.pre_name = "";
    if (gguf_string_equal(model, "llama")) {
        t->info.model_name = "llama";
        *kind = VOCABULARY_SCORES;
        return OK;
    }
    if (!gguf_string_equal(model, "gpt2")) {
        return error_set(err, ERR_UNSUPPORTED, "%s: " KEY_MODEL ": '%s', supported are llama, gpt2",
                         file->path, printable(model, quoted));
    }
    t->info.model_name = "gpt2";
    *kind = VOCABULARY_MERGES;
    /* Files from before the key existed were all made for what is now called default. */
    struct gguf_string pre = {.bytes = "default", .byte_count = 7};
    status = gguf_get_string(file, KEY_PRE, false, &pre, err);
    if (status != OK) {
        return status;
    }
    t->pretokenizer = pretokenizer_find(pre.bytes, (size_t)pre.byte_count);
    if (t->pretokenizer == NULL) {
        return error_set(err, ERR_UNSUPPORTED, "%s: " KEY_PRE ": '%s' is not supported", file->path,
                         printable(pre, quoted));
    }
    t->info.pre_name = t->pretokenizer->name;
    return OK;
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

static enum status load_spacing(struct tokenizer *t, const struct gguf *file, struct error *err)
{
    t->add_space_prefix = true;
    enum status status =
        gguf_get_bool(file, "tokenizer.ggml.add_space_prefix", false, &t->add_space_prefix, err);
    if (status == OK) {
        status = gguf_get_bool(file, "tokenizer.ggml.remove_extra_whitespaces", false,
                               &t->remove_extra_spaces, err);
    }
    if (status == OK && !t->vocabulary.has_all_bytes && t->ids.unknown == TOKEN_NONE) {
        return error_set(err, ERR_FORMAT,
                         "%s: tokenizer.ggml.tokens: neither all of <0x00> to <0xFF> nor an "
                         "unknown token",
                         file->path);
    }
    find_joined_spaces(t);
    return status;
}

static enum status load(struct tokenizer *t, const struct gguf *file, struct error *err)
{
    enum vocabulary_kind kind = VOCABULARY_SCORES;
    enum status status = choose_kind(t, file, &kind, err);
    if (status == OK) {
        status = vocabulary_load(&t->vocabulary, file, kind, err);
    }
    if (status == OK) {
        bool begins_with_bos = kind == VOCABULARY_SCORES || t->pretokenizer->begins_with_bos;
        status = special_ids_load(&t->ids, &t->vocabulary, file, begins_with_bos, err);
    }
    if (status == OK) {
        status = vocabulary_index(&t->vocabulary, file, err);
    }
    if (status == OK && kind == VOCABULARY_SCORES) {
        status = load_spacing(t, file, err);
    }
    if (status == OK) {
        bool always = kind == VOCABULARY_MERGES && t->pretokenizer->whole_words;
        status = bpe_mark_whole(&t->vocabulary, always, err);
    }
    if (status == OK && (!special_scan_open(&t->user_defined, &t->vocabulary, false) ||
                         !special_scan_open(&t->control, &t->vocabulary, true))) {
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
    vocabulary_release(&tokenizer->vocabulary);
    free(tokenizer);
}

const struct tokenizer_info *tokenizer_info(const struct tokenizer *tokenizer)
{
    return &tokenizer->info;
}

size_t tokenizer_id_count_bound(const struct tokenizer *tokenizer, size_t text_bytes)
{
    enum {
        BOS_AND_EOS = 2,
        NFC_GROWTH = 3,
        PREFIX_GROWTH = 2
    };
    size_t bytes = text_bytes < LIMIT_ENCODE_BYTES ? text_bytes : LIMIT_ENCODE_BYTES;
    if (tokenizer->vocabulary.kind == VOCABULARY_SCORES) {
        return PREFIX_GROWTH * bytes + BOS_AND_EOS;
    }
    return (tokenizer->pretokenizer->nfc ? NFC_GROWTH : 1) * bytes + BOS_AND_EOS;
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
