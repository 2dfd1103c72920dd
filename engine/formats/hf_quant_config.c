/* One reader a method. Which modules are quantised is not asked of the configuration: their tensors
 * say so, and how long a group is where a scale's shape says it.
 * Sources: transformers' quantization_config.py, AutoGPTQ, GPTQModel, AutoAWQ, compressed-tensors.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_quant_config.h"

#include "configs/limits.h"

#include <string.h>
#include <strings.h>

enum {
    BLOCK_MAX = 4096,
    BLOCK_USUAL = 128
};

static enum status refuse(const struct hf_config *config, const char *key, const char *value,
                          const char *known, struct error *err)
{
    return error_set(err, ERR_UNSUPPORTED, "%s: %s%s is \"%s\"; it must be %s", config->path,
                     config->prefix, key, hf_config_show(value).text, known);
}

/* A string that has to be one of `known`, which are separated by '|'; absent: fine. */
static enum status check_word(const struct hf_config *config, const char *key, const char *known,
                              struct error *err)
{
    const char *value = NULL;
    enum status status = hf_config_string(config, key, false, &value, err);
    if (status != OK || value == NULL) {
        return status;
    }
    size_t length = strlen(value);
    for (const char *word = known; word != NULL; word = strchr(word, '|')) {
        word += *word == '|';
        if (strncasecmp(word, value, length) == 0 && (word[length] == '|' || word[length] == 0)) {
            return OK;
        }
    }
    return refuse(config, key, value, known, err);
}

/* A pair of sizes, or nothing. */
static enum status read_block(struct hf_quant_config *out, const struct hf_config *config,
                              const char *key, struct error *err)
{
    const json_t *pair = NULL;
    enum status status = hf_config_array(config, key, &pair, err);
    if (status != OK || pair == NULL) {
        return status;
    }
    json_int_t rows = json_integer_value(json_array_get(pair, 0));
    json_int_t values = json_integer_value(json_array_get(pair, 1));
    if (json_array_size(pair) != 2 || rows < 1 || rows > BLOCK_MAX || values < 1 ||
        values > BLOCK_MAX) {
        return error_set(err, ERR_FORMAT, "%s: %s%s is no pair of integers from 1 to %d",
                         config->path, config->prefix, key, BLOCK_MAX);
    }
    out->block_rows = (uint32_t)rows;
    out->block_values = (uint32_t)values;
    return OK;
}

static enum status read_fp8(struct hf_quant_config *out, const struct hf_config *config,
                            struct error *err)
{
    out->block_rows = BLOCK_USUAL;
    out->block_values = BLOCK_USUAL;
    enum status status = check_word(config, "fmt", "e4m3|float8_e4m3fn", err);
    return status == OK ? read_block(out, config, "weight_block_size", err) : status;
}

/* bits, and group_size with -1 for a whole row. */
static enum status read_groups(struct hf_quant_config *out, const struct hf_config *config,
                               struct error *err)
{
    enum status status = hf_config_u32(config, "bits", true, 1, 32, &out->bits, err);
    if (status == OK && out->bits != 4 && out->bits != 8) {
        return error_set(err, ERR_UNSUPPORTED, "%s: %sbits is %u; supported are 4 and 8",
                         config->path, config->prefix, out->bits);
    }
    const json_t *size = json_object_get(config->object, "group_size");
    bool whole_row = json_is_integer(size) && json_integer_value(size) == -1;
    return status != OK || whole_row ? status
                                     : hf_config_u32(config, "group_size", true, 1, LIMIT_MODEL_DIM,
                                                     &out->group_values, err);
}

/* `dynamic` gives modules settings of their own; a key that begins with "-:" only leaves them be. */
static enum status check_dynamic(const struct hf_config *config, struct error *err)
{
    struct hf_config dynamic;
    enum status status =
        hf_config_object(config, "dynamic", "quantization_config.dynamic.", &dynamic, err);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)dynamic.object, key, value)
    {
        if (status == OK && strncmp(key, "-:", 2) != 0) {
            status = error_set(err, ERR_UNSUPPORTED,
                               "%s: %s\"%s\": settings of single modules are not supported",
                               config->path, dynamic.prefix, hf_config_show(key).text);
        }
    }
    return status;
}

static enum status read_gptq(struct hf_quant_config *out, const struct hf_config *config,
                             struct error *err)
{
    const char *format = "gptq";
    bool marlin = false;
    enum status status = read_groups(out, config, err);
    if (status == OK) {
        status = hf_config_string(config, "checkpoint_format", false, &format, err);
    }
    if (status == OK) {
        status = check_word(config, "checkpoint_format", "gptq|gptq_v2", err);
    }
    if (status == OK) {
        status = hf_config_bool(config, "is_marlin_format", &marlin, err);
    }
    if (status == OK) {
        status = check_word(config, "pack_dtype", "int32", err);
    }
    if (status == OK && marlin) {
        status = refuse(config, "is_marlin_format", "true", "false", err);
    }
    out->zeros_less_one = strcasecmp(format, "gptq_v2") != 0;
    return status == OK ? check_dynamic(config, err) : status;
}

static enum status read_awq(struct hf_quant_config *out, const struct hf_config *config,
                            struct error *err)
{
    bool zeros = true;
    enum status status = read_groups(out, config, err);
    if (status == OK && out->bits != 4) {
        status = error_set(err, ERR_UNSUPPORTED, "%s: %sbits is %u; of awq it must be 4",
                           config->path, config->prefix, out->bits);
    }
    if (status == OK) {
        status = check_word(config, "version", "gemm", err);
    }
    if (status == OK) {
        status = hf_config_bool(config, "zero_point", &zeros, err);
    }
    return status != OK || zeros ? status : refuse(config, "zero_point", "false", "true", err);
}

/* An object that must hold nothing, or that `format` says to be dense. */
static enum status check_empty(const struct hf_config *config, const char *key, struct error *err)
{
    struct hf_config object;
    const char *format = "";
    enum status status = hf_config_object(config, key, "quantization_config.", &object, err);
    if (status == OK && object.object != NULL) {
        status = hf_config_string(&object, "format", false, &format, err);
    }
    bool empty = json_object_size(object.object) == 0 || strcmp(format, "dense") == 0;
    return status != OK || empty
               ? status
               : error_set(err, ERR_UNSUPPORTED, "%s: %s%s must be empty: it changes the weights",
                           config->path, config->prefix, key);
}

static enum status check_group(struct hf_quant_config *out, const struct hf_config *group,
                               struct error *err)
{
    struct hf_config weights;
    uint32_t bits = 8;
    bool dynamic = false;
    enum status status = hf_config_object(
        group, "weights", "quantization_config.config_groups.weights.", &weights, err);
    if (status != OK || weights.object == NULL) {
        return status; /* a group that is about activations alone */
    }
    status = check_word(group, "format",
                        "pack-quantized|int-quantized|float-quantized|naive-quantized|dense", err);
    if (status == OK) {
        status = hf_config_u32(&weights, "num_bits", false, 1, 32, &bits, err);
    }
    if (status == OK && bits != 4 && bits != 8) {
        status = error_set(err, ERR_UNSUPPORTED, "%s: %snum_bits is %u; supported are 4 and 8",
                           weights.path, weights.prefix, bits);
    }
    if (status == OK) {
        status = check_word(&weights, "type", bits == 8 ? "int|float" : "int", err);
    }
    if (status == OK) {
        status = check_word(&weights, "strategy", "tensor|channel|group|block", err);
    }
    if (status == OK) {
        status = hf_config_bool(&weights, "dynamic", &dynamic, err);
    }
    if (status == OK && dynamic) {
        status = refuse(&weights, "dynamic", "true", "false", err);
    }
    return status == OK ? read_block(out, &weights, "block_structure", err) : status;
}

static enum status read_compressed(struct hf_quant_config *out, const struct hf_config *config,
                                   struct error *err)
{
    static const char *const meant_to_be_empty[] = {"sparsity_config", "transform_config"};
    struct hf_config groups;
    enum status status =
        check_word(config, "format",
                   "pack-quantized|int-quantized|float-quantized|naive-quantized|dense|"
                   "mixed-precision",
                   err);
    for (size_t i = 0; i < 2 && status == OK; i++) {
        status = check_empty(config, meant_to_be_empty[i], err);
    }
    if (status == OK) {
        status = hf_config_object(config, "config_groups", "quantization_config.config_groups.",
                                  &groups, err);
    }
    if (status != OK) {
        return status;
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)groups.object, key, value)
    {
        struct hf_config group = {config->path, groups.prefix, value};
        if (!json_is_object(value)) {
            return error_set(err, ERR_FORMAT, "%s: %s%s is not an object", config->path,
                             groups.prefix, hf_config_show(key).text);
        }
        status = check_group(out, &group, err);
        if (status != OK) {
            return status;
        }
    }
    return OK;
}

static enum status read_mxfp4(struct hf_quant_config *out, const struct hf_config *config,
                              struct error *err)
{
    (void)out;
    (void)config;
    (void)err;
    return OK;
}

static const struct method_row {
    const char *name;
    enum hf_quant_method method;
    enum status (*read)(struct hf_quant_config *out, const struct hf_config *config,
                        struct error *err);
} method_rows[] = {
    {"fp8", HF_QUANT_FP8, read_fp8},
    {"fbgemm_fp8", HF_QUANT_FP8, read_fp8},
    {"gptq", HF_QUANT_GPTQ, read_gptq},
    {"awq", HF_QUANT_AWQ, read_awq},
    {"compressed-tensors", HF_QUANT_COMPRESSED, read_compressed},
    {"mxfp4", HF_QUANT_MXFP4, read_mxfp4},
};

enum status hf_quant_config_read(struct hf_quant_config *out, const struct hf_config *config,
                                 struct error *err)
{
    struct hf_config quantization;
    *out = (struct hf_quant_config){.method = HF_QUANT_NONE};
    /* compression_config: what compressed-tensors called it at first. */
    const char *key =
        hf_config_has(config, "quantization_config") ? "quantization_config" : "compression_config";
    enum status status = hf_config_object(config, key, "quantization_config.", &quantization, err);
    if (status != OK || quantization.object == NULL) {
        return status;
    }
    status = hf_config_string(&quantization, "quant_method", true, &out->name, err);
    if (status != OK) {
        return status;
    }
    for (size_t i = 0; i < sizeof method_rows / sizeof method_rows[0]; i++) {
        if (strcmp(out->name, method_rows[i].name) == 0) {
            out->method = method_rows[i].method;
            return method_rows[i].read(out, &quantization, err);
        }
    }
    return refuse(&quantization, "quant_method", out->name,
                  "fp8, fbgemm_fp8, gptq, awq, compressed-tensors or mxfp4", err);
}
