/* A list of layer_types wins; without one, the family's own rule counts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_layers.h"

#include "configs/limits.h"

#include <stdlib.h>
#include <string.h>

static enum status windows_by_types(const struct hf_reading *reading, const json_t *types,
                                    uint32_t window, uint32_t *windows, struct error *err)
{
    const char *path = reading->config.path;
    if (json_array_size(types) != reading->layer_count) {
        return error_set(err, ERR_FORMAT, "%s: layer_types has %zu entries for %u layers", path,
                         json_array_size(types), reading->layer_count);
    }
    for (uint32_t i = 0; i < reading->layer_count; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        bool sliding = type != NULL && strcmp(type, "sliding_attention") == 0;
        if (!sliding && (type == NULL || strcmp(type, "full_attention") != 0)) {
            return error_set(err, ERR_UNSUPPORTED,
                             "%s: layer_types[%u] is %s; the known ones are full_attention and "
                             "sliding_attention",
                             path, i, type != NULL ? hf_config_show(type).text : "no string");
        }
        if (sliding && window == 0) {
            return error_set(err, ERR_FORMAT,
                             "%s: layer_types[%u] is sliding_attention, but there is no "
                             "sliding_window",
                             path, i);
        }
        windows[i] = sliding ? window : 0;
    }
    return OK;
}

static enum status windows_by_rule(const struct hf_reading *reading, uint32_t window,
                                   uint32_t *windows, struct error *err)
{
    const struct hf_family *family = reading->family;
    uint32_t first = 0;
    uint32_t period = family->window_period;
    enum status status = OK;
    if (family->windows == HF_WINDOWS_LATE) {
        status = hf_config_u32(&reading->config, "max_window_layers", window > 0, 0, UINT32_MAX,
                               &first, err);
    } else if (family->windows == HF_WINDOWS_ALTERNATE) {
        status = hf_config_u32(&reading->config, "sliding_window_pattern", false, 1,
                               LIMIT_MODEL_LAYERS, &period, err);
        if (status == OK) {
            status = hf_config_u32(&reading->config, "_sliding_window_pattern", false, 1,
                                   LIMIT_MODEL_LAYERS, &period, err);
        }
    }
    for (uint32_t i = 0; i < reading->layer_count; i++) {
        bool last = family->windows == HF_WINDOWS_ALTERNATE && (i + 1) % period == 0;
        windows[i] = i >= first && !last ? window : 0;
    }
    return status;
}

/* How far back attention sees in the layers that have a window; 0: no layer has one. */
static enum status read_window(const struct hf_reading *reading, uint32_t *window,
                               struct error *err)
{
    bool used = reading->family->windows != HF_WINDOWS_LATE;
    enum status status = hf_config_bool(&reading->config, "use_sliding_window", &used, err);
    *window = 0;
    if (status == OK && used) {
        status =
            hf_config_u32(&reading->config, "sliding_window", false, 1, UINT32_MAX, window, err);
    }
    if (status == OK && *window > 0 && reading->family->windows == HF_WINDOWS_NONE) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: sliding_window is %u; of a %s model it must be "
                         "null",
                         reading->config.path, *window, reading->family->model_type);
    }
    return status;
}

static enum status read_windows(const struct hf_reading *reading, uint32_t *windows,
                                struct error *err)
{
    uint32_t window = 0;
    const json_t *types = NULL;
    enum status status = read_window(reading, &window, err);
    if (status == OK) {
        status = hf_config_array(&reading->config, "layer_types", &types, err);
    }
    if (status != OK) {
        return status;
    }
    status = types != NULL ? windows_by_types(reading, types, window, windows, err)
                           : windows_by_rule(reading, window, windows, err);
    bool some = false;
    for (uint32_t i = 0; i < reading->layer_count; i++) {
        some = some || windows[i] > 0;
    }
    /* Said even where no layer has one, for families whose files have windows unless told. */
    bool alternates = reading->family->windows == HF_WINDOWS_ALTERNATE;
    if (status == OK && (some || alternates)) {
        gguf_builder_set_u32(reading->out, hf_key_of(reading, "attention.sliding_window").text,
                             window);
        gguf_builder_set_u32s(reading->out, "sluice.layer_windows", windows, reading->layer_count);
    }
    return status;
}

/* no_rope_layers has a 1 for every layer that is rotated, whatever its name suggests; without it
 * the last layer of every no_rope_layer_interval is not. Said where it is not every fourth. */
static enum status read_rotated(const struct hf_reading *reading, uint32_t *unrotated,
                                struct error *err)
{
    const json_t *rotated = NULL;
    uint32_t interval = 4;
    enum status status = hf_config_u32(&reading->config, "no_rope_layer_interval", false, 1,
                                       LIMIT_MODEL_LAYERS, &interval, err);
    if (status == OK) {
        status = hf_config_array(&reading->config, "no_rope_layers", &rotated, err);
    }
    if (status != OK) {
        return status;
    }
    if (rotated != NULL && json_array_size(rotated) != reading->layer_count) {
        return error_set(err, ERR_FORMAT, "%s: no_rope_layers has %zu entries for %u layers",
                         reading->config.path, json_array_size(rotated), reading->layer_count);
    }
    bool usual = true;
    for (uint32_t i = 0; i < reading->layer_count; i++) {
        json_int_t turns = json_integer_value(json_array_get(rotated, i));
        unrotated[i] = rotated != NULL ? turns == 0 : (i + 1) % interval == 0;
        usual = usual && unrotated[i] == ((i + 1) % 4 == 0);
    }
    if (!usual) {
        gguf_builder_set_u32s(reading->out, "sluice.unrotated_layers", unrotated,
                              reading->layer_count);
    }
    return OK;
}

static void mark_dense(struct hf_reading *reading, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        reading->dense_layers[i] = 1;
    }
}

static enum status read_listed(struct hf_reading *reading, struct error *err)
{
    uint32_t step = 1;
    const json_t *listed = NULL;
    enum status status = hf_config_u32(&reading->config, "decoder_sparse_step", false, 1,
                                       LIMIT_MODEL_LAYERS, &step, err);
    if (status == OK) {
        status = hf_config_array(&reading->config, "mlp_only_layers", &listed, err);
    }
    for (uint32_t i = 0; status == OK && i < reading->layer_count; i++) {
        reading->dense_layers[i] = (i + 1) % step != 0;
    }
    for (size_t i = 0; status == OK && i < json_array_size(listed); i++) {
        const json_t *value = json_array_get(listed, i);
        json_int_t layer = json_integer_value(value);
        if (!json_is_integer(value) || layer < 0 || layer >= reading->layer_count) {
            return error_set(err, ERR_FORMAT,
                             "%s: mlp_only_layers[%zu] is no index of one of %u layers",
                             reading->config.path, i, reading->layer_count);
        }
        reading->dense_layers[layer] = 1;
    }
    return status;
}

/* Which layers have an ffn instead of experts; said where that is not what the family implies. */
static enum status read_dense(struct hf_reading *reading, struct error *err)
{
    uint32_t leading = 0;
    enum status status = OK;
    reading->dense_layers = calloc(reading->layer_count, sizeof *reading->dense_layers);
    uint32_t *values = calloc(reading->layer_count, sizeof *values);
    if (reading->dense_layers == NULL || values == NULL) {
        free(values);
        return error_set(err, ERR_MEMORY, "%s: no memory for the kinds of %u layers",
                         reading->config.path, reading->layer_count);
    }
    if (reading->family->dense == HF_DENSE_LISTED) {
        status = read_listed(reading, err);
    } else if (reading->family->dense == HF_DENSE_LEADING) {
        status = hf_config_u32(&reading->config, "first_k_dense_replace", false, 0,
                               reading->layer_count, &leading, err);
        mark_dense(reading, 0, leading);
        gguf_builder_set_u32(reading->out, hf_key_of(reading, "leading_dense_block_count").text,
                             leading);
    } else if (reading->expert_count == 0) {
        mark_dense(reading, 0, reading->layer_count);
    }
    bool some = false;
    for (uint32_t i = 0; i < reading->layer_count; i++) {
        values[i] = reading->dense_layers[i];
        some = some || values[i] != 0;
    }
    if (some && reading->family->dense == HF_DENSE_LISTED) {
        gguf_builder_set_u32s(reading->out, "sluice.dense_layers", values, reading->layer_count);
    }
    free(values);
    return status;
}

enum status hf_layers_read(struct hf_reading *reading, struct error *err)
{
    uint32_t *windows = calloc(reading->layer_count, sizeof *windows); /* then another list */
    if (windows == NULL) {
        return error_set(err, ERR_MEMORY, "%s: no memory for the windows of %u layers",
                         reading->config.path, reading->layer_count);
    }
    enum status status = read_windows(reading, windows, err);
    if (status == OK && reading->family->unrotated_fourth) {
        status = read_rotated(reading, windows, err);
    }
    free(windows);
    return status == OK ? read_dense(reading, err) : status;
}
