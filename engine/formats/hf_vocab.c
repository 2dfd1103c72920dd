/* hf_vocab.c - ids first, to know how many there are; then every text gets the place it names.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_vocab.h"

#include "configs/limits.h"
#include "engine/formats/hf_merges.h"
#include "engine/formats/json_field.h"
#include "engine/tokenizer/tokenizer_keys.h"
#include "engine/tokenizer/vocabulary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_NONE UINT32_MAX

enum {
    HOLE_TEXT_BYTES = 16, /* "[PAD4194303]" and a zero */
    PREFIX_BYTES = 48
};

static struct json_place place_of(const struct hf_vocab *v, const char *prefix)
{
    return (struct json_place){v->path, prefix};
}

static bool same(struct gguf_string a, struct gguf_string b)
{
    return a.byte_count == b.byte_count && memcmp(a.bytes, b.bytes, a.byte_count) == 0;
}

uint32_t hf_vocab_find(const struct hf_vocab *vocab, struct gguf_string text)
{
    const json_t *id = json_object_getn(vocab->by_text, text.bytes, text.byte_count);
    if (id != NULL) {
        return (uint32_t)json_integer_value(id);
    }
    for (uint32_t i = 0; i < vocab->count; i++) {
        if (same(vocab->texts[i], text)) {
            return i;
        }
    }
    return ID_NONE;
}

static enum status bad_id(const struct hf_vocab *v, struct gguf_string text, struct error *err)
{
    char quoted[JSON_FIELD_QUOTE_BYTES];
    return error_set(err, ERR_FORMAT, "%s: model.vocab['%s']: not an id of 0 to %u", v->path,
                     json_field_quote(text, quoted), LIMIT_MODEL_VOCAB - 1);
}

/* How many ids model.vocab of a BPE model needs. */
static enum status count_bpe(struct hf_vocab *v, struct error *err)
{
    enum status status =
        json_field_object(v->model, place_of(v, "model."), "vocab", true, &v->by_text, err);
    if (status != OK) {
        return status;
    }
    json_t *tree = (json_t *)v->by_text; /* jansson's iterators want it so; nothing is changed */
    for (void *at = json_object_iter(tree); at != NULL; at = json_object_iter_next(tree, at)) {
        const json_t *id = json_object_iter_value(at);
        json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value >= LIMIT_MODEL_VOCAB) {
            struct gguf_string text = {json_object_iter_key(at), json_object_iter_key_len(at)};
            return bad_id(v, text, err);
        }
        v->count = value >= v->count ? (uint32_t)value + 1 : v->count;
    }
    return OK;
}

/* A Unigram model's vocab is a list of [text, score]. */
static enum status count_unigram(struct hf_vocab *v, struct error *err)
{
    const json_t *pieces = NULL;
    enum status status =
        json_field_array(v->model, place_of(v, "model."), "vocab", true, &pieces, err);
    if (status != OK) {
        return status;
    }
    if (json_array_size(pieces) > LIMIT_MODEL_VOCAB) {
        return error_set(err, ERR_FORMAT, "%s: model.vocab: %zu tokens, the limit is %u", v->path,
                         json_array_size(pieces), LIMIT_MODEL_VOCAB);
    }
    v->count = (uint32_t)json_array_size(pieces);
    return OK;
}

static enum status added_list(const struct hf_vocab *v, const json_t *root, const json_t **list,
                              struct error *err)
{
    return json_field_array(root, place_of(v, ""), "added_tokens", false, list, err);
}

static enum status count_added(struct hf_vocab *v, const json_t *root, struct error *err)
{
    const json_t *list = NULL;
    enum status status = added_list(v, root, &list, err);
    for (size_t i = 0; status == OK && i < json_array_size(list); i++) {
        char prefix[PREFIX_BYTES];
        snprintf(prefix, sizeof prefix, "added_tokens[%zu].", i);
        uint32_t id = 0;
        status = json_field_u32(json_array_get(list, i), place_of(v, prefix), "id", true,
                                LIMIT_MODEL_VOCAB - 1, &id, err);
        v->count = id >= v->count ? id + 1 : v->count;
    }
    return status;
}

static enum status allocate(struct hf_vocab *v, struct error *err)
{
    size_t count = (size_t)v->count + 1;
    v->texts = calloc(count, sizeof *v->texts);
    v->types = calloc(count, sizeof *v->types);
    v->flags = calloc(count, sizeof *v->flags);
    v->scores = calloc(count, sizeof *v->scores);
    v->hole_texts = calloc(count, HOLE_TEXT_BYTES);
    if (v->texts == NULL || v->types == NULL || v->flags == NULL || v->scores == NULL ||
        v->hole_texts == NULL) {
        return error_set(err, ERR_MEMORY, "%s: no memory for %u tokens", v->path, v->count);
    }
    return OK;
}

static bool is_byte_name(struct gguf_string text)
{
    return text.byte_count == 6 && memcmp(text.bytes, "<0x", 3) == 0 && text.bytes[5] == '>' &&
           strspn(text.bytes + 3, "0123456789abcdefABCDEF") == 2;
}

static void place_token(struct hf_vocab *v, uint32_t id, struct gguf_string text)
{
    v->texts[id] = text;
    v->types[id] = v->byte_fallback && is_byte_name(text) ? TOKEN_BYTE : TOKEN_NORMAL;
    v->flags[id] = TOKENIZER_TOKEN_IN_MODEL;
}

static enum status fill_bpe(struct hf_vocab *v, struct error *err)
{
    json_t *tree = (json_t *)v->by_text;
    for (void *at = json_object_iter(tree); at != NULL; at = json_object_iter_next(tree, at)) {
        struct gguf_string text = {json_object_iter_key(at), json_object_iter_key_len(at)};
        uint32_t id = (uint32_t)json_integer_value(json_object_iter_value(at));
        if (v->texts[id].bytes != NULL) {
            char quoted[JSON_FIELD_QUOTE_BYTES];
            return error_set(err, ERR_FORMAT, "%s: model.vocab['%s']: id %u is there twice",
                             v->path, json_field_quote(text, quoted), id);
        }
        place_token(v, id, text);
    }
    return OK;
}

static enum status fill_unigram(struct hf_vocab *v, struct error *err)
{
    const json_t *pieces = json_object_get(v->model, "vocab");
    for (uint32_t i = 0; i < json_array_size(pieces); i++) {
        const json_t *piece = json_array_get(pieces, i);
        const json_t *text = json_array_get(piece, 0);
        const json_t *score = json_array_get(piece, 1);
        double value = json_number_value(score);
        if (json_array_size(piece) != 2 || !json_is_string(text) || !json_is_number(score) ||
            !(fabs(value) < 1e30)) {
            return error_set(err, ERR_FORMAT, "%s: model.vocab[%u]: not [text, score]", v->path, i);
        }
        place_token(v, i, (struct gguf_string){json_string_value(text), json_string_length(text)});
        v->scores[i] = (float)value;
    }
    return OK;
}

static const struct {
    const char *name;
    uint32_t flag;
} added_flags[] = {
    {"lstrip", TOKENIZER_TOKEN_STRIP_LEFT},
    {"rstrip", TOKENIZER_TOKEN_STRIP_RIGHT},
    {"single_word", TOKENIZER_TOKEN_SINGLE_WORD},
    {"normalized", TOKENIZER_TOKEN_NORMALIZED},
};

static enum status place_added(struct hf_vocab *v, uint32_t id, struct gguf_string text,
                               const char *prefix, struct error *err)
{
    char quoted[JSON_FIELD_QUOTE_BYTES];
    char other[JSON_FIELD_QUOTE_BYTES];
    const json_t *known = json_object_getn(v->by_text, text.bytes, text.byte_count);
    if (text.byte_count == 0 || (known != NULL && json_integer_value(known) != id)) {
        return error_set(err, ERR_FORMAT, "%s: %scontent: '%s' is empty, or not %u in model.vocab",
                         v->path, prefix, json_field_quote(text, quoted), id);
    }
    if (v->texts[id].bytes != NULL && !same(v->texts[id], text)) {
        return error_set(err, ERR_FORMAT, "%s: %sid: %u is '%s' already, not '%s'", v->path, prefix,
                         id, json_field_quote(v->texts[id], other), json_field_quote(text, quoted));
    }
    v->texts[id] = text;
    return OK;
}

static enum status fill_added_token(struct hf_vocab *v, const json_t *token, const char *prefix,
                                    struct error *err)
{
    struct json_place place = place_of(v, prefix);
    uint32_t id = (uint32_t)json_integer_value(json_object_get(token, "id"));
    struct gguf_string text = {0};
    enum status status = json_field_string(token, place, "content", true, &text, err);
    if (status == OK) {
        status = place_added(v, id, text, prefix, err);
    }
    bool special = false;
    if (status == OK) {
        status = json_field_bool(token, place, "special", &special, err);
    }
    v->types[id] = special ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
    for (size_t i = 0; status == OK && i < sizeof added_flags / sizeof added_flags[0]; i++) {
        /* A token that is not special is looked for in normalised text, unless it says not. */
        bool set = added_flags[i].flag == TOKENIZER_TOKEN_NORMALIZED && !special;
        status = json_field_bool(token, place, added_flags[i].name, &set, err);
        v->flags[id] |= set ? added_flags[i].flag : 0;
    }
    return status;
}

static enum status fill_added(struct hf_vocab *v, const json_t *root, struct error *err)
{
    const json_t *list = NULL;
    enum status status = added_list(v, root, &list, err);
    for (size_t i = 0; status == OK && i < json_array_size(list); i++) {
        char prefix[PREFIX_BYTES];
        snprintf(prefix, sizeof prefix, "added_tokens[%zu].", i);
        status = fill_added_token(v, json_array_get(list, i), prefix, err);
    }
    return status;
}

static void fill_holes(struct hf_vocab *v)
{
    for (uint32_t i = 0; i < v->count; i++) {
        if (v->texts[i].bytes == NULL) {
            char *name = v->hole_texts + (size_t)i * HOLE_TEXT_BYTES;
            int length = snprintf(name, HOLE_TEXT_BYTES, "[PAD%u]", i);
            v->texts[i] = (struct gguf_string){name, (uint64_t)length};
            v->types[i] = TOKEN_UNUSED;
        }
    }
}

/* unk_token names it in a BPE model, unk_id in a Unigram one. */
static enum status find_unknown(struct hf_vocab *v, struct error *err)
{
    struct json_place place = place_of(v, "model.");
    struct gguf_string text = {0};
    enum status status;
    if (v->unigram) {
        status = json_field_u32(v->model, place, "unk_id", false, v->count - 1, &v->unknown, err);
    } else {
        status = json_field_string(v->model, place, "unk_token", false, &text, err);
    }
    if (status == OK && text.byte_count > 0) {
        v->unknown = hf_vocab_find(v, text);
        if (v->unknown == ID_NONE) {
            char quoted[JSON_FIELD_QUOTE_BYTES];
            return error_set(err, ERR_FORMAT, "%s: model.unk_token: '%s' is not a token", v->path,
                             json_field_quote(text, quoted));
        }
    }
    if (status == OK && v->unknown != ID_NONE) {
        v->types[v->unknown] = TOKEN_UNKNOWN;
    }
    return status;
}

/* Parts of a BPE model that no generative model in public uses. */
static enum status refuse_affixes(const struct hf_vocab *v, struct error *err)
{
    static const char *const keys[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct gguf_string text = {0};
        enum status status =
            json_field_string(v->model, place_of(v, "model."), keys[i], false, &text, err);
        if (status == OK && text.byte_count > 0) {
            char quoted[JSON_FIELD_QUOTE_BYTES];
            status = error_set(err, ERR_UNSUPPORTED, "%s: model.%s: '%s' is not supported", v->path,
                               keys[i], json_field_quote(text, quoted));
        }
        if (status != OK) {
            return status;
        }
    }
    return OK;
}

static enum status read_model(struct hf_vocab *v, const json_t *root, struct error *err)
{
    enum status status = json_field_object(root, place_of(v, ""), "model", true, &v->model, err);
    /* Files from before the key existed hold BPE models. */
    struct gguf_string type = {.bytes = "BPE", .byte_count = 3};
    struct json_place place = place_of(v, "model.");
    if (status == OK) {
        status = json_field_string(v->model, place, "type", false, &type, err);
    }
    if (status != OK) {
        return status;
    }
    v->unigram = gguf_string_equal(type, "Unigram");
    if (!v->unigram && !gguf_string_equal(type, "BPE")) {
        char quoted[JSON_FIELD_QUOTE_BYTES];
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: model.type: '%s', supported are BPE and Unigram", v->path,
                         json_field_quote(type, quoted));
    }
    v->fuse_unknown = v->unigram; /* a Unigram model always fuses */
    const struct {
        const char *key;
        bool *out;
    } flags[] = {{"byte_fallback", &v->byte_fallback},
                 {"fuse_unk", &v->fuse_unknown},
                 {"ignore_merges", &v->ignore_merges}};
    for (size_t i = 0; status == OK && i < sizeof flags / sizeof flags[0]; i++) {
        status = json_field_bool(v->model, place, flags[i].key, flags[i].out, err);
    }
    return status == OK && !v->unigram ? refuse_affixes(v, err) : status;
}

enum status hf_vocab_read(struct hf_vocab *vocab, const json_t *root, const char *path,
                          uint32_t count_min, struct error *err)
{
    *vocab = (struct hf_vocab){.path = path, .unknown = ID_NONE};
    enum status status = read_model(vocab, root, err);
    if (status == OK) {
        status = vocab->unigram ? count_unigram(vocab, err) : count_bpe(vocab, err);
    }
    if (status == OK) {
        status = count_added(vocab, root, err);
    }
    if (status == OK && vocab->count == 0) {
        return error_set(err, ERR_FORMAT, "%s: model.vocab: no tokens", path);
    }
    if (status == OK && count_min > 0 && vocab->count > count_min) {
        return error_set(err, ERR_FORMAT, "%s: %u tokens, but config.json: vocab_size is %u", path,
                         vocab->count, count_min);
    }
    vocab->count = vocab->count > count_min ? vocab->count : count_min;
    if (status == OK) {
        status = allocate(vocab, err);
    }
    if (status == OK) {
        status = vocab->unigram ? fill_unigram(vocab, err) : fill_bpe(vocab, err);
    }
    if (status == OK) {
        status = fill_added(vocab, root, err);
    }
    if (status == OK) {
        fill_holes(vocab);
        status = find_unknown(vocab, err);
    }
    return status;
}

void hf_vocab_release(struct hf_vocab *vocab)
{
    free(vocab->texts);
    free(vocab->types);
    free(vocab->flags);
    free(vocab->scores);
    free(vocab->hole_texts);
    *vocab = (struct hf_vocab){0};
}

enum status hf_vocab_write(const struct hf_vocab *vocab, bool byte_level, struct gguf_builder *out,
                           struct error *err)
{
    enum status status =
        vocab->unigram ? OK : hf_merges_write(vocab, byte_level, vocab->scores, out, err);
    gguf_builder_set_strings(out, "tokenizer.ggml.tokens", vocab->texts, vocab->count);
    gguf_builder_set_i32s(out, "tokenizer.ggml.token_type", vocab->types, vocab->count);
    gguf_builder_set_u32s(out, TOKENIZER_KEY_TOKEN_FLAGS, vocab->flags, vocab->count);
    gguf_builder_set_bool(out, TOKENIZER_KEY_FUSE_UNKNOWN, vocab->fuse_unknown);
    if (!byte_level) {
        gguf_builder_set_f32s(out, "tokenizer.ggml.scores", vocab->scores, vocab->count);
    }
    if (vocab->unknown != ID_NONE) {
        gguf_builder_set_u32(out, "tokenizer.ggml.unknown_token_id", vocab->unknown);
    }
    return status;
}
