/* hf_tokenizer.c - finds the files and puts together what they say.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_tokenizer.h"

#include "configs/limits.h"
#include "engine/formats/file_map.h"
#include "engine/formats/hf_pair.h"
#include "engine/formats/hf_roles.h"
#include "engine/formats/hf_templates.h"
#include "engine/formats/hf_vocab.h"
#include "engine/formats/json_file.h"
#include "engine/formats/sentencepiece_model.h"
#include "engine/tokenizer/vocabulary.h"

#include <stdio.h>
#include <string.h>

static const struct json_file_limits tokenizer_limits = {
    .byte_count = LIMIT_TOKENIZER_FILE_BYTES,
    .node_count = LIMIT_TOKENIZER_JSON_NODES,
    .flags = JSON_ALLOW_NUL,
};

/* A token that begins or ends a prompt is never text, whatever the file says. */
static void protect(struct hf_vocab *vocab, uint32_t id)
{
    if (id < vocab->count && vocab->types[id] == TOKEN_USER_DEFINED) {
        vocab->types[id] = TOKEN_CONTROL;
    }
}

/* What the model's own keys say where they have been read: of a text part within a larger model, or
 * the library's default. */
static enum status read_vocab_size(const struct gguf_builder *out,
                                   const struct hf_roles_files *files, uint32_t *count,
                                   struct error *err)
{
    char key[64];
    const struct gguf_entry *name = gguf_builder_find(out, "general.architecture");
    if (name == NULL || name->type != GGUF_STRING) {
        return hf_roles_vocab_size(files, count, err);
    }
    snprintf(key, sizeof key, "%.*s.vocab_size", (int)name->value.string.byte_count,
             name->value.string.bytes);
    const struct gguf_entry *size = gguf_builder_find(out, key);
    if (size == NULL) {
        return hf_roles_vocab_size(files, count, err);
    }
    *count = (uint32_t)size->value.u;
    return OK;
}

static enum status write_tokenizer(struct gguf_builder *out, const json_t *root, const char *path,
                                   const struct hf_roles_files *files, struct error *err)
{
    struct hf_vocab vocab;
    struct hf_pipeline pipeline;
    struct hf_roles roles;
    uint32_t count_min = 0;
    enum status status = read_vocab_size(out, files, &count_min, err);
    if (status != OK) {
        return status;
    }
    status = hf_vocab_read(&vocab, root, path, count_min, err);
    if (status == OK) {
        status = hf_pipeline_read(&pipeline, root, path, err);
    }
    if (status == OK) {
        status = hf_roles_read(&roles, files, &vocab, &pipeline, err);
    }
    if (status == OK) {
        protect(&vocab, roles.bos);
        protect(&vocab, roles.eos);
        status = hf_vocab_write(&vocab, pipeline.byte_level, out, err);
    }
    if (status == OK) {
        status = hf_pipeline_write(&pipeline, &vocab, out, err);
    }
    if (status == OK) {
        hf_roles_write(&roles, out);
    }
    hf_vocab_release(&vocab);
    return status;
}

enum status hf_tokenizer_parse(struct gguf_builder *out, const char *bytes, uint64_t byte_count,
                               const char *path, struct error *err)
{
    json_t *root = NULL;
    enum status status = json_file_parse(&root, bytes, byte_count, &tokenizer_limits, path, err);
    if (status == OK) {
        struct hf_roles_files none = {.dir = path};
        status = write_tokenizer(out, root, path, &none, err);
    }
    json_decref(root);
    return status;
}

static enum status read_pair(struct gguf_builder *out, const char *dir,
                             const struct hf_roles_files *files, struct error *err)
{
    char path[HF_ROLES_PATH_BYTES];
    json_t *root = NULL;
    snprintf(path, sizeof path, "%s/vocab.json", dir);
    enum status status = hf_pair_read(&root, files, err);
    if (status == ERR_NOT_FOUND) {
        return error_set(err, ERR_NOT_FOUND,
                         "%s: none of tokenizer.json, tokenizer.model and vocab.json", dir);
    }
    if (status == OK) {
        status = write_tokenizer(out, root, path, files, err);
    }
    json_decref(root);
    return status;
}

/* tokenizer.model has the roles' ids itself; the other files may still name an end and a template. */
static enum status read_sentencepiece(struct gguf_builder *out, const char *dir,
                                      const struct hf_roles_files *files, struct error *err)
{
    char path[HF_ROLES_PATH_BYTES];
    const uint8_t *bytes = NULL;
    uint64_t byte_count = 0;
    uint32_t count_min = 0;
    snprintf(path, sizeof path, "%s/tokenizer.model", dir);
    enum status status = file_map_open(path, &bytes, &byte_count, err);
    if (status == ERR_NOT_FOUND) {
        return read_pair(out, dir, files, err);
    }
    if (status == OK) {
        status = read_vocab_size(out, files, &count_min, err);
    }
    if (status == OK) {
        status = sentencepiece_model_read(out, bytes, byte_count, count_min, path, err);
    }
    file_map_close(bytes, byte_count);
    if (status == OK) {
        status = hf_roles_write_ends(files, out, err);
    }
    return status;
}

enum status hf_tokenizer_read(struct gguf_builder *out, const char *dir, struct error *err)
{
    char path[HF_ROLES_PATH_BYTES];
    struct hf_roles_files files = {.dir = dir};
    json_t *root = NULL;
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    enum status status = hf_roles_open(&files, dir, err);
    if (status == OK) {
        status = json_file_read(&root, path, &tokenizer_limits, err);
        if (status == ERR_NOT_FOUND) {
            status = read_sentencepiece(out, dir, &files, err);
        } else if (status == OK) {
            status = write_tokenizer(out, root, path, &files, err);
        }
    }
    if (status == OK) {
        status = hf_templates_write(dir, files.tokenizer_config, out, err);
    }
    json_decref(root);
    hf_roles_close(&files);
    return status;
}
