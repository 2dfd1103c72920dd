/* special_ids.c - reads the ids of tokens with a role and checks each against the vocabulary.
 *
 * Files mark "none" by leaving a key out or by -1. Few files list every token that ends a turn,
 * so control tokens with the names that published models give to such tokens count as well.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/special_ids.h"

#include "engine/formats/gguf.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/tokenizer_keys.h"
#include "engine/tokenizer/vocabulary.h"

#include <string.h>

#define KEY_EOS_LIST "tokenizer.ggml.eos_token_ids"

static enum status check_id(const struct vocabulary *v, const struct gguf *file, const char *key,
                            int64_t value, uint32_t *id, struct error *err)
{
    if (value == -1 || value == UINT32_MAX) {
        *id = TOKEN_NONE;
        return OK;
    }
    if (value < 0 || value >= v->count) {
        return error_set(err, ERR_FORMAT, "%s: %s: token %lld, the vocabulary has %u", file->path,
                         key, (long long)value, v->count);
    }
    *id = (uint32_t)value;
    return OK;
}

/* Leaves *id alone when there is no such key. */
static enum status get_id(const struct vocabulary *v, const struct gguf *file, const char *key,
                          uint32_t *id, struct error *err)
{
    const struct gguf_entry *entry = gguf_find(file, key);
    if (entry == NULL) {
        return OK;
    }
    switch (entry->type) {
    case GGUF_INT8:
    case GGUF_INT16:
    case GGUF_INT32:
    case GGUF_INT64:
        return check_id(v, file, key, entry->value.i, id, err);
    case GGUF_UINT8:
    case GGUF_UINT16:
    case GGUF_UINT32:
    case GGUF_UINT64: {
        uint64_t value = entry->value.u;
        return check_id(v, file, key, value > INT64_MAX ? INT64_MAX : (int64_t)value, id, err);
    }
    default:
        return error_set(err, ERR_FORMAT, "%s: %s: not an integer", file->path, key);
    }
}

static void add_end(struct special_ids *ids, uint32_t id)
{
    if (id == TOKEN_NONE || ids->end_count == SPECIAL_IDS_ENDS_MAX) {
        return;
    }
    for (uint32_t i = 0; i < ids->end_count; i++) {
        if (ids->ends[i] == id) {
            return;
        }
    }
    ids->ends[ids->end_count++] = id;
}

/* A key's list of at most count_max ids. */
static enum status get_ids(const struct vocabulary *v, const struct gguf *file, const char *key,
                           uint32_t *out, uint32_t count_max, uint32_t *count, struct error *err)
{
    const struct gguf_entry *entry = gguf_find(file, key);
    *count = 0;
    if (entry == NULL) {
        return OK;
    }
    const struct gguf_array *list = &entry->value.array;
    bool integers = entry->type == GGUF_ARRAY && list->type != GGUF_STRING &&
                    list->type != GGUF_FLOAT32 && list->type != GGUF_FLOAT64 &&
                    list->type != GGUF_BOOL;
    if (!integers || list->element_count > count_max) {
        return error_set(err, ERR_FORMAT, "%s: %s: not a list of at most %u integers", file->path,
                         key, count_max);
    }
    for (uint64_t i = 0; i < list->element_count; i++) {
        enum status status = check_id(v, file, key, gguf_array_i64(list, i), &out[i], err);
        if (status != OK) {
            return status;
        }
    }
    *count = (uint32_t)list->element_count;
    return OK;
}

static enum status add_listed_ends(struct special_ids *ids, const struct vocabulary *v,
                                   const struct gguf *file, struct error *err)
{
    uint32_t listed[SPECIAL_IDS_ENDS_MAX / 2];
    uint32_t count = 0;
    enum status status =
        get_ids(v, file, KEY_EOS_LIST, listed, SPECIAL_IDS_ENDS_MAX / 2, &count, err);
    for (uint32_t i = 0; i < count && status == OK; i++) {
        add_end(ids, listed[i]);
    }
    return status;
}

static enum status load_begins(struct special_ids *ids, const struct vocabulary *v,
                               const struct gguf *file, struct error *err)
{
    enum status status = get_ids(v, file, TOKENIZER_KEY_BEGIN_IDS, ids->begins,
                                 SPECIAL_IDS_BEGINS_MAX, &ids->begin_count, err);
    if (ids->begin_count == 0) {
        ids->begins[0] = ids->bos;
        ids->begin_count = ids->bos != TOKEN_NONE;
    }
    for (uint32_t i = 0; i < ids->begin_count && status == OK; i++) {
        if (ids->begins[i] == TOKEN_NONE) {
            return error_set(err, ERR_FORMAT, "%s: " TOKENIZER_KEY_BEGIN_IDS "[%u]: no token",
                             file->path, i);
        }
    }
    return status;
}

/* The id of a control token with this text. */
static uint32_t find_control(const struct vocabulary *v, const char *text)
{
    uint32_t id = string_table_find(&v->by_text, (const uint8_t *)text, strlen(text));
    return id != TOKEN_NONE && v->types[id] == TOKEN_CONTROL ? id : TOKEN_NONE;
}

static void add_named_ends(struct special_ids *ids, const struct vocabulary *v)
{
    static const char *const names[] = {
        "<|eot_id|>",
        "<|eom_id|>",
        "<|im_end|>",
        "<|endoftext|>",
        "<end_of_turn>",
        "<|end_of_text|>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "<end_of_utterance>",
        "<|return|>",
        "<|call|>",
        "<\uFF5Cend\u2581of\u2581sentence\uFF5C>",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        add_end(ids, find_control(v, names[i]));
    }
    /* Where there is <|return|>, <|end|> only ends one of several messages of a reply. */
    if (find_control(v, "<|return|>") == TOKEN_NONE) {
        add_end(ids, find_control(v, "<|end|>"));
    }
}

static enum status load_flags(struct special_ids *ids, const struct gguf *file,
                              bool begins_with_bos, struct error *err)
{
    ids->add_bos = begins_with_bos && ids->bos != TOKEN_NONE;
    enum status status =
        gguf_get_bool(file, "tokenizer.ggml.add_bos_token", false, &ids->add_bos, err);
    if (status == OK) {
        status = gguf_get_bool(file, "tokenizer.ggml.add_eos_token", false, &ids->add_eos, err);
    }
    if (status == OK && ids->add_bos && ids->bos == TOKEN_NONE) {
        return error_set(err, ERR_FORMAT,
                         "%s: tokenizer.ggml.add_bos_token: true, but no "
                         "tokenizer.ggml.bos_token_id",
                         file->path);
    }
    if (status == OK && ids->add_eos && ids->eos == TOKEN_NONE) {
        return error_set(err, ERR_FORMAT,
                         "%s: tokenizer.ggml.add_eos_token: true, but no "
                         "tokenizer.ggml.eos_token_id",
                         file->path);
    }
    return status;
}

/* A file without types has no other word on which tokens are not text. */
static void type_by_role(const struct special_ids *ids, const struct vocabulary *v)
{
    for (uint32_t i = 0; i < ids->end_count; i++) {
        v->types[ids->ends[i]] = TOKEN_CONTROL;
    }
    if (ids->bos != TOKEN_NONE) {
        v->types[ids->bos] = TOKEN_CONTROL;
    }
    if (ids->unknown != TOKEN_NONE && v->types[ids->unknown] == TOKEN_NORMAL) {
        v->types[ids->unknown] = TOKEN_UNKNOWN;
    }
}

/* bos, eos, unknown and the ends that have keys. */
static enum status load_roles(struct special_ids *ids, const struct vocabulary *v,
                              const struct gguf *file, struct error *err)
{
    uint32_t eot = TOKEN_NONE;
    uint32_t eom = TOKEN_NONE;
    const struct {
        const char *key;
        uint32_t *id;
    } roles[] = {
        {"tokenizer.ggml.bos_token_id", &ids->bos},
        {"tokenizer.ggml.eos_token_id", &ids->eos},
        {"tokenizer.ggml.unknown_token_id", &ids->unknown},
        {"tokenizer.ggml.eot_token_id", &eot},
        {"tokenizer.ggml.eom_token_id", &eom},
    };
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        enum status status = get_id(v, file, roles[i].key, roles[i].id, err);
        if (status != OK) {
            return status;
        }
    }
    add_end(ids, ids->eos);
    add_end(ids, eot);
    add_end(ids, eom);
    return add_listed_ends(ids, v, file, err);
}

enum status special_ids_load(struct special_ids *ids, const struct vocabulary *vocabulary,
                             const struct gguf *file, bool begins_with_bos, struct error *err)
{
    *ids = (struct special_ids){.bos = TOKEN_NONE, .eos = TOKEN_NONE, .unknown = TOKEN_NONE};
    if (vocabulary->kind == VOCABULARY_SCORES && vocabulary->count > 2) {
        /* SentencePiece's own defaults, which files leave unsaid. */
        ids->unknown = 0;
        ids->bos = 1;
        ids->eos = 2;
    }
    enum status status = load_roles(ids, vocabulary, file, err);
    if (status == OK) {
        status = load_flags(ids, file, begins_with_bos, err);
    }
    if (status == OK) {
        status = load_begins(ids, vocabulary, file, err);
    }
    if (status == OK && !vocabulary->has_types) {
        type_by_role(ids, vocabulary);
    }
    add_named_ends(ids, vocabulary);
    return status;
}
