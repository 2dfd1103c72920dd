/* hf_sampling.c - what the file says counts, also where it equals a default of the library that wrote
 * it: its makers' defaults have changed between releases, the file has not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_sampling.h"

#include "configs/limits.h"
#include "engine/formats/hf_weights.h"
#include "engine/formats/json_field.h"
#include "engine/formats/json_file.h"

static enum status copy_number(struct gguf_builder *out, const json_t *root,
                               struct json_place place, const char *name, const char *key,
                               struct error *err)
{
    const json_t *value = json_object_get(root, name);
    if (value == NULL || json_is_null(value)) {
        return OK;
    }
    if (!json_is_number(value)) {
        return error_set(err, ERR_FORMAT, "%s: %s: not a number", place.path, name);
    }
    gguf_builder_set_f32(out, key, (float)json_number_value(value));
    return OK;
}

static enum status copy_top_k(struct gguf_builder *out, const json_t *root, struct json_place place,
                              struct error *err)
{
    const json_t *value = json_object_get(root, "top_k");
    if (value == NULL || json_is_null(value)) {
        return OK;
    }
    json_int_t top_k = json_integer_value(value);
    if (!json_is_integer(value) || top_k < INT32_MIN || top_k > INT32_MAX) {
        return error_set(err, ERR_FORMAT, "%s: top_k: not an integer of 32 bits", place.path);
    }
    gguf_builder_set_u32(out, "general.sampling.top_k", top_k > 0 ? (uint32_t)top_k : 0);
    return OK;
}

static enum status copy_all(struct gguf_builder *out, const json_t *root, const char *path,
                            struct error *err)
{
    static const struct {
        const char *name;
        const char *key;
    } numbers[] = {
        {"top_p", "general.sampling.top_p"},
        {"min_p", "general.sampling.min_p"},
        {"repetition_penalty", "general.sampling.penalty_repeat"},
    };
    struct json_place place = {path, ""};
    bool samples = true;
    enum status status = json_field_bool(root, place, "do_sample", &samples, err);
    if (status == OK && !samples) {
        /* Greedy, whatever temperature stands beside it; an absent do_sample says nothing. */
        gguf_builder_set_f32(out, "general.sampling.temp", 0);
    } else if (status == OK) {
        status = copy_number(out, root, place, "temperature", "general.sampling.temp", err);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && status == OK; i++) {
        status = copy_number(out, root, place, numbers[i].name, numbers[i].key, err);
    }
    return status == OK ? copy_top_k(out, root, place, err) : status;
}

enum status hf_sampling_read(struct gguf_builder *out, const char *dir, struct error *err)
{
    static const struct json_file_limits limits = {
        .byte_count = LIMIT_TEMPLATE_BYTES, /* as large as a template: real ones have under 1 KB */
        .node_count = LIMIT_JSON_NODES,
    };
    char path[HF_PATH_BYTES];
    json_t *root = NULL;
    enum status status = hf_weights_path(path, dir, "generation_config.json", err);
    if (status == OK) {
        status = json_file_read(&root, path, &limits, err);
    }
    if (status == ERR_NOT_FOUND) {
        return OK;
    }
    if (status == OK) {
        status = copy_all(out, root, path, err);
    }
    json_decref(root);
    return status;
}
