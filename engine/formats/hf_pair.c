/* hf_pair.c - the class gives normalizer and pre-tokenizer; the tokens beside the vocabulary come from
 * added_tokens.json and tokenizer_config.json, those with a role from wherever roles are named.
 * Class by class: convert_slow_tokenizer.py of huggingface/transformers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_pair.h"

#include "configs/limits.h"
#include "engine/formats/file_map.h"
#include "engine/formats/json_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct json_file_limits limits = {
    .byte_count = LIMIT_TOKENIZER_FILE_BYTES,
    .node_count = LIMIT_TOKENIZER_JSON_NODES,
    .flags = JSON_ALLOW_NUL,
};

enum {
    MERGE_BYTES_MAX = 2 * LIMIT_TOKEN_BYTES
};

struct pair_class {
    const char *name; /* of tokenizer_class, without Fast */
    const char *pre_tokenizer;
    const char *normalizer;
    const char *special; /* its unknown token, where no file names one */
};

#define BYTE_LEVEL(own_expression)                                                                 \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":" own_expression "}"
#define QWEN2_EXPRESSION                                                                           \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}|"               \
    " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

static const struct pair_class classes[] = {
    {"GPT2Tokenizer", BYTE_LEVEL("true"), "null", "<|endoftext|>"},
    {"CodeGenTokenizer", BYTE_LEVEL("true"), "null", "<|endoftext|>"},
    {"Qwen2Tokenizer",
     "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
     "\"" QWEN2_EXPRESSION "\"},\"behavior\":\"Isolated\",\"invert\":false}," BYTE_LEVEL("false") //
     "]}",
     "{\"type\":\"NFC\"}", "<|endoftext|>"},
};

/* The class that tokenizer_config.json names; without one, that of the model's type. */
static enum status find_class(const struct hf_roles_files *files, const struct pair_class **out,
                              struct error *err)
{
    const char *name =
        json_string_value(json_object_get(files->tokenizer_config, "tokenizer_class"));
    const char *type = json_string_value(json_object_get(files->config, "model_type"));
    if (name == NULL) {
        name = type != NULL && strncmp(type, "qwen", 4) == 0 ? "Qwen2Tokenizer" : "GPT2Tokenizer";
    }
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        size_t bytes = strlen(classes[i].name);
        if (strncmp(name, classes[i].name, bytes) == 0 &&
            (name[bytes] == '\0' || strcmp(name + bytes, "Fast") == 0)) {
            *out = &classes[i];
            return OK;
        }
    }
    return error_set(err, ERR_UNSUPPORTED,
                     "%s: no tokenizer.json, and of vocab.json and merges.txt the tokenizer_class "
                     "'%.60s' is not known",
                     files->dir, name);
}

/* One line: two texts with a space between. */
static enum status add_merge(json_t *merges, const char *line, size_t line_bytes, const char *path,
                             struct error *err)
{
    if (line_bytes > 0 && line[line_bytes - 1] == '\r') {
        line_bytes--;
    }
    if (line_bytes == 0 || (line_bytes >= 8 && memcmp(line, "#version", 8) == 0)) {
        return OK;
    }
    if (json_array_size(merges) == LIMIT_TOKENIZER_MERGES || line_bytes > MERGE_BYTES_MAX ||
        json_array_append_new(merges, json_stringn(line, line_bytes)) != 0) {
        return error_set(err, ERR_FORMAT,
                         "%s: merge %zu: not UTF-8, longer than %d bytes, or one of more than %u",
                         path, json_array_size(merges), MERGE_BYTES_MAX, LIMIT_TOKENIZER_MERGES);
    }
    return OK;
}

static enum status read_merges(json_t **out, const char *dir, struct error *err)
{
    char path[HF_ROLES_PATH_BYTES];
    const uint8_t *bytes = NULL;
    uint64_t byte_count = 0;
    snprintf(path, sizeof path, "%s/merges.txt", dir);
    enum status status = file_map_open(path, &bytes, &byte_count, err);
    if (status == OK && byte_count > LIMIT_TOKENIZER_FILE_BYTES) {
        status = error_set(err, ERR_FORMAT, "%s: %llu bytes, the limit is %u", path,
                           (unsigned long long)byte_count, LIMIT_TOKENIZER_FILE_BYTES);
    }
    *out = json_array();
    const char *at = (const char *)bytes;
    const char *end = at + byte_count;
    while (status == OK && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t line_bytes = (size_t)((stop != NULL ? stop : end) - at);
        status = add_merge(*out, at, line_bytes, path, err);
        at += line_bytes + 1;
    }
    file_map_close(bytes, byte_count);
    return status;
}

static bool is_listed(const json_t *list, const char *content)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *other = json_string_value(json_object_get(json_array_get(list, i), "content"));
        if (other != NULL && strcmp(other, content) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes flags: the rest of an added token's fields, or NULL. */
static void add_token(json_t *list, const char *content, json_int_t id, bool special, json_t *flags)
{
    json_t *token = flags != NULL ? flags : json_object();
    json_object_set_new(token, "id", json_integer(id));
    json_object_set_new(token, "content", json_string(content));
    if (json_object_get(token, "special") == NULL) {
        json_object_set_new(token, "special", json_boolean(special));
    }
    json_array_append_new(list, token);
}

/* A role's token, where the vocabulary or added_tokens.json has it. */
static void add_role(json_t *list, const json_t *vocab, const json_t *added, const json_t *value)
{
    const char *content = json_is_object(value)
                              ? json_string_value(json_object_get(value, "content"))
                              : json_string_value(value);
    const json_t *id = content != NULL ? json_object_get(added, content) : NULL;
    if (content != NULL && id == NULL) {
        id = json_object_get(vocab, content);
    }
    if (json_is_integer(id) && !is_listed(list, content)) {
        add_token(list, content, json_integer_value(id), true, NULL);
    }
}

static void add_roles(json_t *list, const json_t *vocab, const json_t *added, const json_t *file)
{
    static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "pad_token"};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        add_role(list, vocab, added, json_object_get(file, roles[i]));
    }
    const json_t *more = json_object_get(file, "additional_special_tokens");
    for (size_t i = 0; i < json_array_size(more); i++) {
        add_role(list, vocab, added, json_array_get(more, i));
    }
}

/* {"50256": {"content": ..., "special": ...}, ...} of tokenizer_config.json. */
static void add_decoder(json_t *list, const json_t *decoder)
{
    const char *id;
    json_t *fields;
    json_object_foreach((json_t *)(uintptr_t)decoder, id, fields)
    {
        const char *content = json_string_value(json_object_get(fields, "content"));
        if (content != NULL) {
            add_token(list, content, strtoll(id, NULL, 10), false, json_copy(fields));
        }
    }
}

static int by_id(const void *a, const void *b)
{
    json_int_t left = json_integer_value(json_object_get(*(json_t *const *)a, "id"));
    json_int_t right = json_integer_value(json_object_get(*(json_t *const *)b, "id"));
    return (left > right) - (left < right);
}

/* The list in the order of ids, as a tokenizer.json has it. */
static json_t *in_order(json_t *list)
{
    size_t count = json_array_size(list);
    json_t **tokens = calloc(count + 1, sizeof(json_t *));
    json_t *sorted = json_array();
    for (size_t i = 0; tokens != NULL && i < count; i++) {
        tokens[i] = json_array_get(list, i);
    }
    if (tokens != NULL && count > 0) {
        qsort(tokens, count, sizeof(json_t *), by_id);
    }
    for (size_t i = 0; tokens != NULL && i < count; i++) {
        json_array_append(sorted, tokens[i]);
    }
    free(tokens);
    json_decref(list);
    return sorted;
}

static json_t *list_added(const struct hf_roles_files *files, const struct pair_class *class,
                          const json_t *vocab, const json_t *added)
{
    json_t *list = json_array();
    add_decoder(list, json_object_get(files->tokenizer_config, "added_tokens_decoder"));
    add_roles(list, vocab, added, files->tokenizer_config);
    add_roles(list, vocab, added, files->special_tokens_map);
    json_t *special = json_string(class->special);
    add_role(list, vocab, added, special);
    json_decref(special);
    const char *content;
    json_t *id;
    json_object_foreach((json_t *)(uintptr_t)added, content, id)
    {
        if (json_is_integer(id) && !is_listed(list, content)) {
            add_token(list, content, json_integer_value(id), false, NULL);
        }
    }
    return in_order(list);
}

/* Takes vocab and merges. */
static json_t *put_together(const struct hf_roles_files *files, const struct pair_class *class,
                            json_t *vocab, json_t *merges, const json_t *added)
{
    json_t *root = json_object();
    json_t *model = json_object();
    json_object_set_new(root, "added_tokens", list_added(files, class, vocab, added));
    json_object_set_new(root, "normalizer", json_loads(class->normalizer, JSON_DECODE_ANY, NULL));
    json_object_set_new(root, "pre_tokenizer", json_loads(class->pre_tokenizer, 0, NULL));
    json_object_set_new(root, "decoder", json_loads(BYTE_LEVEL("true"), 0, NULL));
    json_object_set_new(model, "type", json_string("BPE"));
    json_object_set_new(model, "vocab", vocab);
    json_object_set_new(model, "merges", merges);
    json_object_set_new(root, "model", model);
    return root;
}

enum status hf_pair_read(json_t **out, const struct hf_roles_files *files, struct error *err)
{
    char path[HF_ROLES_PATH_BYTES];
    const struct pair_class *class = NULL;
    json_t *vocab = NULL;
    json_t *merges = NULL;
    json_t *added = NULL;
    *out = NULL;
    snprintf(path, sizeof path, "%s/vocab.json", files->dir);
    enum status status = json_file_read(&vocab, path, &limits, err);
    if (status == OK) {
        status = find_class(files, &class, err);
    }
    if (status == OK) {
        status = read_merges(&merges, files->dir, err);
        status = status == ERR_NOT_FOUND ? ERR_FORMAT : status; /* the one without the other */
    }
    if (status == OK) {
        snprintf(path, sizeof path, "%s/added_tokens.json", files->dir);
        status = json_file_read(&added, path, &limits, err);
        status = status == ERR_NOT_FOUND ? OK : status;
    }
    if (status == OK) {
        *out = put_together(files, class, json_incref(vocab), json_incref(merges), added);
    }
    json_decref(vocab);
    json_decref(merges);
    json_decref(added);
    return status;
}
