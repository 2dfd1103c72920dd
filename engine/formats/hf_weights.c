/* The shards that an index names are collected, opened and checked; then all tensors are sorted by
 * name, so that one in two shards is next to itself, and held against the index.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_weights.h"

#include "configs/limits.h"
#include "engine/formats/file_map.h"
#include "engine/formats/hf_config.h"
#include "engine/formats/json_file.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const single_name = "model.safetensors";
static const char *const index_name = "model.safetensors.index.json";

enum status hf_weights_path(char *path, const char *dir, const char *name, struct error *err)
{
    int written = snprintf(path, HF_PATH_BYTES, "%s/%s", dir, name);
    return written > 0 && written < HF_PATH_BYTES
               ? OK
               : error_set(err, ERR_INVALID, "%.200s: the path is longer than %d bytes", dir,
                           HF_PATH_BYTES - 1);
}

static bool exists(const char *dir, const char *name)
{
    char path[HF_PATH_BYTES];
    return hf_weights_path(path, dir, name, NULL) == OK && access(path, F_OK) == 0;
}

static enum status open_shard(struct hf_weights *weights, const char *dir, const char *name,
                              struct error *err)
{
    char path[HF_PATH_BYTES];
    enum status status = hf_weights_path(path, dir, name, err);
    if (status != OK) {
        return status;
    }
    struct hf_shard *shard = &weights->shards[weights->shard_count++];
    shard->path = strdup(path);
    if (shard->path == NULL) {
        return error_set(err, ERR_MEMORY, "%s: no memory for its path", path);
    }
    status = file_map_open(path, &shard->bytes, &shard->byte_count, err);
    return status == OK
               ? safetensors_parse(&shard->file, shard->bytes, shard->byte_count, shard->path, err)
               : status;
}

static int compare_names(const void *left, const void *right)
{
    const struct hf_weight *a = left;
    const struct hf_weight *b = right;
    return strcmp(a->tensor->name, b->tensor->name);
}

static enum status collect_weights(struct hf_weights *weights, const char *dir, struct error *err)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < weights->shard_count; i++) {
        count += weights->shards[i].file.tensor_count;
    }
    if (count > LIMIT_SAFETENSORS_TENSORS) {
        return error_set(err, ERR_FORMAT, "%s: %llu tensors, limit %u", dir,
                         (unsigned long long)count, LIMIT_SAFETENSORS_TENSORS);
    }
    weights->weights = calloc(count + 1, sizeof *weights->weights);
    if (weights->weights == NULL) {
        return error_set(err, ERR_MEMORY, "%s: no memory for %llu tensors", dir,
                         (unsigned long long)count);
    }
    for (uint32_t i = 0; i < weights->shard_count; i++) {
        const struct hf_shard *shard = &weights->shards[i];
        for (uint64_t t = 0; t < shard->file.tensor_count; t++) {
            weights->weights[weights->weight_count++] =
                (struct hf_weight){&shard->file.tensors[t], shard, false};
        }
    }
    return hf_weights_sort(weights, err);
}

enum status hf_weights_sort(struct hf_weights *weights, struct error *err)
{
    uint64_t count = weights->weight_count;
    qsort(weights->weights, count, sizeof *weights->weights, compare_names);
    for (uint64_t i = 1; i < count; i++) {
        if (compare_names(&weights->weights[i - 1], &weights->weights[i]) == 0) {
            return error_set(err, ERR_FORMAT, "%s: tensor %s is also in %s",
                             weights->weights[i].shard->path, weights->weights[i].tensor->name,
                             weights->weights[i - 1].shard->path);
        }
    }
    return OK;
}

/* A plain file name: whatever else leads elsewhere, or to a file of another kind. */
static bool name_is_plain(const char *name)
{
    size_t length = strlen(name);
    const char *end = ".safetensors";
    bool plain = length > strlen(end) && length < 256 && name[0] != '.' &&
                 strcmp(name + length - strlen(end), end) == 0;
    for (size_t i = 0; i < length && plain; i++) {
        plain = name[i] > ' ' && name[i] < 127 && name[i] != '/';
    }
    return plain;
}

/* The last part of a shard's path. */
static const char *file_name(const struct hf_shard *shard)
{
    assert(shard->path != NULL); /* open_shard made it, with a slash */
    return strrchr(shard->path, '/') + 1;
}

static bool shard_is_open(const struct hf_weights *weights, const char *name)
{
    /* From the last: an index names tensors in the order of their shards. */
    for (uint32_t i = weights->shard_count; i > 0; i--) {
        if (strcmp(file_name(&weights->shards[i - 1]), name) == 0) {
            return true;
        }
    }
    return false;
}

static enum status open_shards(struct hf_weights *weights, const char *dir, const char *index_path,
                               json_t *map, struct error *err)
{
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (name == NULL || !name_is_plain(name)) {
            return error_set(err, ERR_FORMAT,
                             "%s: the file of a tensor in weight_map is no plain name that ends "
                             "with .safetensors",
                             index_path);
        }
        if (shard_is_open(weights, name)) {
            continue;
        }
        if (weights->shard_count == LIMIT_SHARDS) {
            return error_set(err, ERR_FORMAT, "%s: weight_map names more than %u files", index_path,
                             LIMIT_SHARDS);
        }
        enum status status = open_shard(weights, dir, name, err);
        if (status != OK) {
            return status;
        }
    }
    return OK;
}

/* Every tensor of the index is in its shard, and every tensor of a shard in the index. */
static enum status check_index(const struct hf_weights *weights, const char *index_path,
                               json_t *map, struct error *err)
{
    for (uint64_t i = 0; i < weights->weight_count; i++) {
        const struct hf_weight *weight = &weights->weights[i];
        const char *named = json_string_value(json_object_get(map, weight->tensor->name));
        if (named == NULL || strcmp(named, file_name(weight->shard)) != 0) {
            return error_set(err, ERR_FORMAT,
                             "%s: tensor %s is in %s, which weight_map does not say", index_path,
                             weight->tensor->name, weight->shard->path);
        }
    }
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value)
    {
        if (hf_weights_find(weights, tensor) == NULL) {
            return error_set(err, ERR_FORMAT, "%s: tensor %s of weight_map is missing in %s",
                             index_path, hf_config_show(tensor).text, json_string_value(value));
        }
    }
    return OK;
}

static enum status open_by_index(struct hf_weights *weights, const char *dir, struct error *err)
{
    static const struct json_file_limits limits = {
        .byte_count = LIMIT_MODEL_JSON_BYTES,
        .node_count = LIMIT_MODEL_JSON_NODES,
    };
    char index_path[HF_PATH_BYTES];
    json_t *index = NULL;
    enum status status = hf_weights_path(index_path, dir, index_name, err);
    if (status == OK) {
        status = json_file_read(&index, index_path, &limits, err);
    }
    if (status != OK) {
        return status;
    }
    json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map) || json_object_size(map) == 0) {
        status = error_set(err, ERR_FORMAT, "%s: weight_map is no object with tensors", index_path);
    }
    if (status == OK) {
        status = open_shards(weights, dir, index_path, map, err);
    }
    if (status == OK) {
        status = collect_weights(weights, dir, err);
    }
    if (status == OK) {
        status = check_index(weights, index_path, map, err);
    }
    json_decref(index);
    return status;
}

enum status hf_weights_open(struct hf_weights *out, const char *dir, struct error *err)
{
    *out = (struct hf_weights){0};
    out->shards = calloc(LIMIT_SHARDS, sizeof *out->shards);
    if (out->shards == NULL) {
        return error_set(err, ERR_MEMORY, "%s: no memory for a list of files", dir);
    }
    enum status status = OK;
    if (exists(dir, single_name)) {
        status = open_shard(out, dir, single_name, err);
        status = status == OK ? collect_weights(out, dir, err) : status;
    } else if (exists(dir, index_name)) {
        status = open_by_index(out, dir, err);
    } else {
        status = error_set(err, ERR_NOT_FOUND,
                           "%s: neither %s nor %s; other kinds of weights are "
                           "not read",
                           dir, single_name, index_name);
    }
    if (status != OK) {
        hf_weights_close(out);
    }
    return status;
}

void hf_weights_close(struct hf_weights *weights)
{
    for (uint32_t i = 0; i < weights->shard_count; i++) {
        struct hf_shard *shard = &weights->shards[i];
        safetensors_close(&shard->file);
        file_map_close(shard->bytes, shard->byte_count);
        free(shard->path);
    }
    free(weights->shards);
    free(weights->weights);
    free(weights->made);
    *weights = (struct hf_weights){0};
}

const struct hf_weight *hf_weights_find(const struct hf_weights *weights, const char *name)
{
    uint64_t low = 0;
    uint64_t high = weights->weight_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int order = strcmp(name, weights->weights[middle].tensor->name);
        if (order == 0) {
            return &weights->weights[middle];
        }
        low = order > 0 ? middle + 1 : low;
        high = order < 0 ? middle : high;
    }
    return NULL;
}

void hf_weights_hand_over(struct hf_weights *weights, struct gguf_builder *builder)
{
    for (uint32_t i = 0; i < weights->shard_count; i++) {
        gguf_builder_own_mapping(builder, weights->shards[i].bytes, weights->shards[i].byte_count);
        weights->shards[i].bytes = NULL;
    }
}
