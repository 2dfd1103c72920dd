/* hf_roles.c - a token of a role is named by its text in one of two files, or by its id in others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_roles.h"

#include "configs/limits.h"
#include "engine/formats/json_field.h"
#include "engine/formats/json_file.h"
#include "engine/tokenizer/tokenizer_keys.h"

#include <stdio.h>
#include <string.h>

#define ID_NONE UINT32_MAX

static const struct json_file_limits config_limits = {
    .byte_count = 16ull * LIMIT_TEMPLATE_BYTES, /* a tokenizer_config lists thousands of tokens */
    .node_count = LIMIT_JSON_NODES,
};

/* flags: of jansson's. */
static enum status open_one(json_t **out, const char *dir, const char *name, size_t flags,
                            struct error *err)
{
    char path[HF_ROLES_PATH_BYTES];
    struct json_file_limits limits = config_limits;
    limits.flags = flags;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    enum status status = json_file_read(out, path, &limits, err);
    return status == ERR_NOT_FOUND ? OK : status;
}

enum status hf_roles_open(struct hf_roles_files *files, const char *dir, struct error *err)
{
    *files = (struct hf_roles_files){.dir = dir};
    /* model_max_length often is 10^30, beyond any integer; no integer of this file is in use. */
    enum status status = open_one(&files->tokenizer_config, dir, "tokenizer_config.json",
                                  JSON_DECODE_INT_AS_REAL, err);
    if (status == OK) {
        status = open_one(&files->special_tokens_map, dir, "special_tokens_map.json", 0, err);
    }
    if (status == OK) {
        status = open_one(&files->generation_config, dir, "generation_config.json", 0, err);
    }
    return status == OK ? open_one(&files->config, dir, "config.json", 0, err) : status;
}

void hf_roles_close(struct hf_roles_files *files)
{
    json_decref(files->tokenizer_config);
    json_decref(files->special_tokens_map);
    json_decref(files->generation_config);
    json_decref(files->config);
    *files = (struct hf_roles_files){0};
}

struct named_file {
    const json_t *root;
    char path[HF_ROLES_PATH_BYTES];
};

static struct named_file name_file(const struct hf_roles_files *files, const json_t *root,
                                   const char *name)
{
    struct named_file named = {.root = root};
    snprintf(named.path, sizeof named.path, "%s/%s", files->dir, name);
    return named;
}

enum status hf_roles_vocab_size(const struct hf_roles_files *files, uint32_t *out,
                                struct error *err)
{
    struct named_file config = name_file(files, files->config, "config.json");
    const json_t *text = json_object_get(config.root, "text_config");
    bool nested = json_object_get(config.root, "vocab_size") == NULL && json_is_object(text);
    struct json_place place = {config.path, nested ? "text_config." : ""};
    return json_field_u32(nested ? text : config.root, place, "vocab_size", false,
                          LIMIT_MODEL_VOCAB, out, err);
}

/* The text of a role: a string, or an object with its content. */
static enum status role_text(const struct named_file *file, const char *key,
                             struct gguf_string *text, struct error *err)
{
    const json_t *value = json_object_get(file->root, key);
    struct json_place place = {file->path, ""};
    if (json_is_object(value)) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "%s.", key);
        place.prefix = prefix;
        return json_field_string(value, place, "content", true, text, err);
    }
    return json_field_string(file->root, place, key, false, text, err);
}

/* The token that tokenizer_config.json or special_tokens_map.json name for a role. */
static enum status named_role(const struct hf_roles_files *files, const struct hf_vocab *vocab,
                              const char *key, uint32_t *id, struct error *err)
{
    struct named_file file = name_file(files, files->tokenizer_config, "tokenizer_config.json");
    struct gguf_string text = {0};
    enum status status = role_text(&file, key, &text, err);
    if (status == OK && text.byte_count == 0) {
        file = name_file(files, files->special_tokens_map, "special_tokens_map.json");
        status = role_text(&file, key, &text, err);
    }
    if (status != OK || text.byte_count == 0) {
        return status;
    }
    *id = hf_vocab_find(vocab, text);
    if (*id == ID_NONE) {
        char quoted[JSON_FIELD_QUOTE_BYTES];
        return error_set(err, ERR_FORMAT, "%s: %s: '%s' is not a token", file.path, key,
                         json_field_quote(text, quoted));
    }
    return OK;
}

static void add_end(struct hf_roles *roles, uint32_t id)
{
    for (uint32_t i = 0; i < roles->end_count; i++) {
        if (roles->ends[i] == id) {
            return;
        }
    }
    if (id != ID_NONE && roles->end_count < HF_ROLES_ENDS_MAX) {
        roles->ends[roles->end_count++] = id;
    }
}

/* A key with one id or a list of them: the first in *first if that is none yet, all as ends. */
static enum status read_ids(const struct named_file *file, const char *key, uint32_t count,
                            uint32_t *first, struct hf_roles *ends, struct error *err)
{
    const json_t *value = json_object_get(file->root, key);
    bool is_list = json_is_array(value);
    size_t id_count = is_list ? json_array_size(value) : value != NULL && !json_is_null(value);
    for (size_t i = 0; i < id_count; i++) {
        const json_t *one = is_list ? json_array_get(value, i) : value;
        json_int_t id = json_integer_value(one);
        if (!json_is_integer(one) || id < -1 || id >= count || id_count > HF_ROLES_ENDS_MAX) {
            return error_set(err, ERR_FORMAT, "%s: %s: not an id below %u, or more than %d of them",
                             file->path, key, count, HF_ROLES_ENDS_MAX);
        }
        if (id >= 0 && ends != NULL) {
            add_end(ends, (uint32_t)id);
        }
        if (id >= 0 && *first == ID_NONE) {
            *first = (uint32_t)id;
        }
    }
    return OK;
}

static enum status read_listed(struct hf_roles *roles, const struct hf_roles_files *files,
                               uint32_t count, struct error *err)
{
    struct named_file sources[2] = {
        name_file(files, files->generation_config, "generation_config.json"),
        name_file(files, files->config, "config.json"),
    };
    enum status status = OK;
    for (size_t i = 0; i < 2 && status == OK; i++) {
        status = read_ids(&sources[i], "eos_token_id", count, &roles->eos, roles, err);
        if (status == OK) {
            status = read_ids(&sources[i], "bos_token_id", count, &roles->bos, NULL, err);
        }
    }
    return status;
}

/* Tokenizer classes of transformers that make their own template, whatever tokenizer.json has. */
static bool makes_template(const struct hf_roles_files *files, bool *add_bos)
{
    static const struct {
        const char *name;
        bool add_bos;
    } classes[] = {
        {"LlamaTokenizer", true},     {"LlamaTokenizerFast", true},
        {"CodeLlamaTokenizer", true}, {"CodeLlamaTokenizerFast", true},
        {"GemmaTokenizer", true},     {"GemmaTokenizerFast", true},
        {"CohereTokenizer", true},    {"CohereTokenizerFast", true},
        {"GPTNeoXTokenizer", false},  {"GPTNeoXTokenizerFast", false},
    };
    const char *name =
        json_string_value(json_object_get(files->tokenizer_config, "tokenizer_class"));
    for (size_t i = 0; name != NULL && i < sizeof classes / sizeof classes[0]; i++) {
        if (strcmp(name, classes[i].name) == 0) {
            *add_bos = classes[i].add_bos;
            return true;
        }
    }
    return false;
}

/* What goes around a prompt: by the class's own template, else by the one of tokenizer.json. */
static enum status read_around(struct hf_roles *roles, const struct hf_roles_files *files,
                               const struct hf_pipeline *pipeline, struct error *err)
{
    struct named_file config = name_file(files, files->tokenizer_config, "tokenizer_config.json");
    struct json_place place = {config.path, ""};
    if (makes_template(files, &roles->add_bos)) {
        enum status status =
            json_field_bool(config.root, place, "add_bos_token", &roles->add_bos, err);
        if (status == OK) {
            status = json_field_bool(config.root, place, "add_eos_token", &roles->add_eos, err);
        }
        roles->add_bos = roles->add_bos && roles->bos != ID_NONE;
        roles->add_eos = roles->add_eos && roles->eos != ID_NONE;
        return status;
    }
    roles->add_bos = pipeline->begin_count > 0;
    roles->add_eos = pipeline->end != ID_NONE;
    roles->begin_count = pipeline->begin_count;
    memcpy(roles->begins, pipeline->begins, sizeof roles->begins);
    roles->bos = roles->bos == ID_NONE && roles->add_bos ? roles->begins[0] : roles->bos;
    roles->eos = roles->eos == ID_NONE && roles->add_eos ? pipeline->end : roles->eos;
    if (roles->add_eos && roles->eos != pipeline->end) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: post_processor: token %u behind a prompt, but the end is %u",
                         pipeline->path, pipeline->end, roles->eos);
    }
    return OK;
}

static enum status check_ids(const struct hf_roles *roles, const struct hf_vocab *vocab,
                             struct error *err)
{
    for (uint32_t i = 0; i < roles->begin_count; i++) {
        if (roles->begins[i] >= vocab->count) {
            return error_set(err, ERR_FORMAT, "%s: post_processor: token %u of %u", vocab->path,
                             roles->begins[i], vocab->count);
        }
    }
    if (roles->eos != ID_NONE && roles->eos >= vocab->count) {
        return error_set(err, ERR_FORMAT, "%s: post_processor: token %u of %u", vocab->path,
                         roles->eos, vocab->count);
    }
    return OK;
}

enum status hf_roles_read(struct hf_roles *roles, const struct hf_roles_files *files,
                          const struct hf_vocab *vocab, const struct hf_pipeline *pipeline,
                          struct error *err)
{
    *roles = (struct hf_roles){.bos = ID_NONE, .eos = ID_NONE, .pad = ID_NONE};
    const struct {
        const char *key;
        uint32_t *id;
    } named[] = {
        {"bos_token", &roles->bos}, {"eos_token", &roles->eos}, {"pad_token", &roles->pad}};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        enum status status = named_role(files, vocab, named[i].key, named[i].id, err);
        if (status != OK) {
            return status;
        }
    }
    add_end(roles, roles->eos);
    enum status status = read_listed(roles, files, vocab->count, err);
    if (status == OK) {
        status = read_around(roles, files, pipeline, err);
    }
    return status == OK ? check_ids(roles, vocab, err) : status;
}

static void set_id(struct gguf_builder *out, const char *key, uint32_t id)
{
    if (id != ID_NONE) {
        gguf_builder_set_u32(out, key, id);
    }
}

static void write_ends(const struct hf_roles *roles, struct gguf_builder *out)
{
    if (roles->end_count > 0) {
        gguf_builder_set_u32s(out, "tokenizer.ggml.eos_token_ids", roles->ends, roles->end_count);
    }
}

void hf_roles_write(const struct hf_roles *roles, struct gguf_builder *out)
{
    set_id(out, "tokenizer.ggml.bos_token_id", roles->bos);
    set_id(out, "tokenizer.ggml.eos_token_id", roles->eos);
    set_id(out, "tokenizer.ggml.padding_token_id", roles->pad);
    write_ends(roles, out);
    gguf_builder_set_bool(out, "tokenizer.ggml.add_bos_token", roles->add_bos);
    gguf_builder_set_bool(out, "tokenizer.ggml.add_eos_token", roles->add_eos);
    bool plain =
        roles->begin_count == 0 || (roles->begin_count == 1 && roles->begins[0] == roles->bos);
    if (!plain) {
        gguf_builder_set_u32s(out, TOKENIZER_KEY_BEGIN_IDS, roles->begins, roles->begin_count);
    }
}

enum status hf_roles_write_ends(const struct hf_roles_files *files, struct gguf_builder *out,
                                struct error *err)
{
    struct hf_roles roles = {.bos = ID_NONE, .eos = ID_NONE};
    const struct gguf_entry *tokens = gguf_builder_find(out, "tokenizer.ggml.tokens");
    uint32_t count = tokens != NULL ? (uint32_t)tokens->value.array.element_count : 0;
    enum status status = read_listed(&roles, files, count, err);
    if (status == OK) {
        write_ends(&roles, out);
    }
    return status;
}
