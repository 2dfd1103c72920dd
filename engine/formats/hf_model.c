/* Configuration, weights, tokenizer, in this order: the cheap refusals first.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_model.h"

#include "configs/limits.h"
#include "engine/formats/hf_keys.h"
#include "engine/formats/hf_layers.h"
#include "engine/formats/hf_quant.h"
#include "engine/formats/hf_rope.h"
#include "engine/formats/hf_sampling.h"
#include "engine/formats/hf_tensors.h"
#include "engine/formats/hf_tokenizer.h"
#include "engine/formats/json_file.h"

#include <stdlib.h>
#include <string.h>

/* Of a model with other parts, the object of its text part stands for the whole. */
static enum status find_text_config(struct hf_reading *reading, struct error *err)
{
    const char *key = reading->family->config_object;
    const struct hf_config top = reading->config;
    if (key == NULL) {
        return OK;
    }
    enum status status = hf_config_object(&top, key, "text_config.", &reading->config, err);
    return status != OK || reading->config.object != NULL
               ? status
               : error_set(err, ERR_FORMAT, "%s: %s is missing", top.path, key);
}

static enum status find_family(struct hf_reading *reading, struct error *err)
{
    const char *model_type = NULL;
    enum status status = hf_config_string(&reading->config, "model_type", true, &model_type, err);
    if (status != OK) {
        return status;
    }
    reading->family = hf_family_find(model_type);
    if (reading->family == NULL) {
        char known[300];
        return error_set(err, ERR_UNSUPPORTED, "%s: model_type is \"%s\"; the known ones are %s",
                         reading->config.path, hf_config_show(model_type).text,
                         hf_family_list(known, sizeof known));
    }
    return find_text_config(reading, err);
}

/* The directory's own name, also of "." and "models/tiny/". */
static enum status name_model(const struct hf_reading *reading, struct error *err)
{
    char *resolved = realpath(reading->dir, NULL);
    if (resolved == NULL) {
        return error_set(err, ERR_IO, "%s: cannot be resolved", reading->dir);
    }
    const char *slash = strrchr(resolved, '/');
    gguf_builder_set_string(reading->out, "general.name", slash != NULL ? slash + 1 : resolved);
    free(resolved);
    return OK;
}

static enum status read_all(struct hf_reading *reading, struct error *err)
{
    struct hf_quant_config quantization = {0};
    enum status status = hf_quant_config_read(&quantization, &reading->config, err);
    if (status == OK) {
        status = find_family(reading, err);
    }
    if (status == OK) {
        status = name_model(reading, err);
    }
    if (status == OK) {
        status = hf_keys_read(reading, err);
    }
    if (status == OK) {
        status = hf_layers_read(reading, err);
    }
    if (status == OK) {
        status = hf_rope_read(reading, err);
    }
    if (status == OK) {
        status = hf_weights_open(&reading->weights, reading->dir, err);
    }
    if (status == OK) {
        status = hf_quant_read(reading, &quantization, err);
    }
    if (status == OK) {
        status = hf_tensors_read(reading, err);
    }
    if (status == OK) {
        status = hf_tokenizer_read(reading->out, reading->dir, err);
    }
    if (status == OK) {
        status = hf_sampling_read(reading->out, reading->dir, err);
    }
    return status;
}

enum status hf_model_open(struct gguf *out, const char *dir, struct error *err)
{
    static const struct json_file_limits limits = {
        .byte_count = LIMIT_MODEL_JSON_BYTES,
        .node_count = LIMIT_MODEL_JSON_NODES,
    };
    *out = (struct gguf){0};
    char path[HF_PATH_BYTES];
    json_t *config = NULL;
    enum status status = hf_weights_path(path, dir, "config.json", err);
    if (status == OK) {
        status = json_file_read(&config, path, &limits, err);
    }
    if (status != OK) {
        return status;
    }
    struct gguf_builder builder;
    gguf_builder_init(&builder, dir);
    struct hf_reading reading = {.dir = dir, .config = {path, "", config}, .out = &builder};
    status = read_all(&reading, err);
    if (status == OK) {
        hf_weights_hand_over(&reading.weights, &builder);
        status = gguf_builder_finish(&builder, out, err);
    } else {
        gguf_builder_release(&builder);
    }
    hf_weights_close(&reading.weights);
    free(reading.dense_layers);
    json_decref(config);
    return status;
}
