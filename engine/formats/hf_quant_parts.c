/* A module is known by the name and type of its codes; the other parts are looked up beside them, and
 * every shape follows from that of the codes and the configuration.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_quant_parts.h"

#include "kernels/quant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = LIMIT_TENSOR_NAME + 32,
    MXFP4_VALUES = 32,
    MXFP4_BYTES = 17 /* of a block: the scale, then two values a byte */
};

/* A module being read. */
struct finding {
    const struct hf_quant_search *search;
    const struct hf_weight *codes;
    size_t stem; /* bytes of its name in front of the part's own */
    struct hf_quant_module *out;
};

static enum status refuse(const struct finding *finding, const struct safetensors_tensor *tensor,
                          const char *what)
{
    return error_set(finding->search->err, ERR_FORMAT, "%s: tensor %s %s",
                     finding->codes->shard->path, tensor->name, what);
}

static bool is_type(const struct safetensors_tensor *tensor, const char *dtype_name)
{
    return strcmp(tensor->dtype_name, dtype_name) == 0;
}

static bool is_shape(const struct safetensors_tensor *tensor, uint64_t rows, uint64_t values)
{
    return tensor->dim_count == 2 && tensor->shape[0] == rows && tensor->shape[1] == values;
}

/* 0 where the name has not this end; else the bytes in front of it. */
static size_t stem_of(const char *name, const char *end)
{
    size_t length = strlen(name);
    size_t end_length = strlen(end);
    return length > end_length && strcmp(name + length - end_length, end) == 0 ? length - end_length
                                                                               : 0;
}

/* Another part of the module, or NULL. */
static const struct safetensors_tensor *find_part(const struct finding *finding, const char *end)
{
    char name[NAME_BYTES];
    const struct hf_weights *weights = finding->search->weights;
    snprintf(name, sizeof name, "%.*s%s", (int)finding->stem, finding->codes->tensor->name, end);
    const struct hf_weight *weight = hf_weights_find(weights, name);
    if (weight == NULL) {
        return NULL;
    }
    finding->search->consumed[weight - weights->weights] = 1;
    return weight->tensor;
}

static enum status need_part(const struct finding *finding, const char *end,
                             const struct safetensors_tensor **out)
{
    *out = find_part(finding, end);
    return *out != NULL ? OK
                        : error_set(finding->search->err, ERR_FORMAT,
                                    "%s: tensor %s has no %.*s%s beside it",
                                    finding->codes->shard->path, finding->codes->tensor->name,
                                    (int)finding->stem, finding->codes->tensor->name, end);
}

static enum status name_module(const struct finding *finding, const char *end)
{
    struct hf_quant_module *out = finding->out;
    out->name = malloc(finding->stem + strlen(end) + 1);
    if (out->name == NULL) {
        return error_set(finding->search->err, ERR_MEMORY, "no memory for the name of a tensor");
    }
    memcpy(out->name, finding->codes->tensor->name, finding->stem);
    memcpy(out->name + finding->stem, end, strlen(end) + 1);
    out->shard = finding->codes->shard;
    finding->search->consumed[finding->codes - finding->search->weights->weights] = 1;
    return OK;
}

static enum status check_codes(const struct finding *finding, const char *dtype_name)
{
    const struct safetensors_tensor *codes = finding->codes->tensor;
    if (!is_type(codes, dtype_name) || codes->dim_count != 2 || codes->byte_count == 0) {
        return error_set(finding->search->err, ERR_FORMAT,
                         "%s: tensor %s must be a matrix of %s, and not empty",
                         finding->codes->shard->path, codes->name, dtype_name);
    }
    bool fits = codes->shape[0] <= UINT32_MAX && codes->shape[1] <= UINT32_MAX;
    return fits ? OK : refuse(finding, codes, "has a dimension beyond 32 bits");
}

/* ---- scales and groups ---- */

static enum status check_scales(const struct finding *finding)
{
    const struct safetensors_tensor *scales = finding->out->matrix.scales;
    bool known = scales->supported || is_type(scales, "F8_E8M0");
    return known ? OK : refuse(finding, scales, "holds scales that are not F32, F16, BF16 or E8M0");
}

/* The group of every value. An order that says nothing is none; -1 throughout stands for that. */
static enum status take_groups(const struct finding *finding,
                               const struct safetensors_tensor *groups)
{
    struct hf_quant_matrix *matrix = &finding->out->matrix;
    if (groups == NULL) {
        return OK;
    }
    if (!is_type(groups, "I32") || groups->dim_count != 1 ||
        groups->shape[0] != matrix->value_count) {
        return refuse(finding, groups, "is no vector of I32 with a group for every value");
    }
    bool absent = true;
    bool consecutive = true;
    bool within = true;
    for (uint64_t i = 0; i < matrix->value_count; i++) {
        int32_t group;
        memcpy(&group, groups->data + 4 * i, sizeof group);
        absent = absent && group == -1;
        within = within && group >= 0 && (uint64_t)group < matrix->group_count;
        consecutive = consecutive && within && (uint64_t)group == i / matrix->group_values;
    }
    if (!absent && !within) {
        return refuse(finding, groups, "names a group that has no scales");
    }
    matrix->groups = absent || consecutive ? NULL : groups->data;
    return OK;
}

/* ---- GPTQ and AWQ ---- */

static enum status read_columns(const struct finding *finding)
{
    struct hf_quant_matrix *matrix = &finding->out->matrix;
    const struct hf_quant_config *config = finding->search->config;
    const struct safetensors_tensor *codes = finding->codes->tensor;
    const struct safetensors_tensor *zeros = NULL;
    bool awq = config->method == HF_QUANT_AWQ;
    uint64_t per_word = 32 / config->bits;
    enum status status = check_codes(finding, "I32");
    if (status == OK) {
        status = need_part(finding, ".scales", &matrix->scales);
    }
    if (status == OK) {
        status = need_part(finding, ".qzeros", &zeros);
    }
    if (status == OK) {
        status = check_scales(finding);
    }
    if (status != OK) {
        return status;
    }
    matrix->layout = awq ? HF_QUANT_INTERLEAVED : HF_QUANT_COLUMNS;
    matrix->bits = config->bits;
    matrix->zeros_less_one = config->zeros_less_one;
    matrix->zeros = zeros;
    matrix->value_count = awq ? codes->shape[0] : codes->shape[0] * per_word;
    matrix->row_count = awq ? codes->shape[1] * per_word : codes->shape[1];
    matrix->group_values = config->group_values > 0 ? config->group_values : matrix->value_count;
    matrix->group_count = (matrix->value_count + matrix->group_values - 1) / matrix->group_values;
    matrix->scale_rows = 1;
    if (!is_shape(matrix->scales, matrix->group_count, matrix->row_count)) {
        return refuse(finding, matrix->scales, "has not a scale for every group of every output");
    }
    if (!is_type(zeros, "I32") || matrix->row_count % per_word != 0 ||
        !is_shape(zeros, matrix->group_count, matrix->row_count / per_word)) {
        return refuse(finding, zeros, "has not a zero for every group of every output, as I32");
    }
    return take_groups(finding, find_part(finding, ".g_idx"));
}

/* ---- scales beside rows: compressed-tensors and fp8 ---- */

/* How [rows, groups] scales lie over the matrix; one scale and one a row have other shapes too. */
static enum status spread_scales(const struct finding *finding)
{
    struct hf_quant_matrix *matrix = &finding->out->matrix;
    const struct hf_quant_config *config = finding->search->config;
    const struct safetensors_tensor *scales = matrix->scales;
    uint64_t rows = scales->dim_count > 0 ? scales->shape[0] : 1;
    uint64_t groups = scales->dim_count > 1 ? scales->shape[1] : 1;
    bool sound = scales->dim_count <= 2 && rows > 0 && groups > 0 && groups <= matrix->value_count;
    bool blocks = rows != 1 && rows != matrix->row_count;
    matrix->group_count = groups;
    matrix->scale_rows = rows == 1 ? matrix->row_count : blocks ? config->block_rows : 1;
    sound = sound && matrix->scale_rows > 0 &&
            (matrix->row_count + matrix->scale_rows - 1) / matrix->scale_rows == rows;
    if (sound && groups == 1) {
        matrix->group_values = matrix->value_count;
    } else if (sound && config->block_values > 0 &&
               (matrix->value_count + config->block_values - 1) / config->block_values == groups) {
        matrix->group_values = config->block_values;
    } else if (sound && matrix->value_count % groups == 0 && !blocks) {
        matrix->group_values = matrix->value_count / groups;
    } else {
        sound = false;
    }
    return sound ? OK : refuse(finding, scales, "has not the shape that its matrix demands");
}

static bool same_shape(const struct safetensors_tensor *a, const struct safetensors_tensor *b)
{
    return a->dim_count == b->dim_count &&
           memcmp(a->shape, b->shape, a->dim_count * sizeof a->shape[0]) == 0;
}

static enum status read_bytes(const struct finding *finding)
{
    struct hf_quant_matrix *matrix = &finding->out->matrix;
    const struct safetensors_tensor *codes = finding->codes->tensor;
    bool e4m3 = is_type(codes, "F8_E4M3");
    enum status status = check_codes(finding, e4m3 ? "F8_E4M3" : "I8");
    if (status != OK) {
        return status;
    }
    matrix->layout = e4m3 ? HF_QUANT_E4M3 : HF_QUANT_BYTES;
    matrix->bits = 8;
    matrix->row_count = codes->shape[0];
    matrix->value_count = codes->shape[1];
    matrix->scales = find_part(finding, ".weight_scale_inv"); /* factors too, whatever the name */
    if (matrix->scales == NULL) {
        status = need_part(finding, ".weight_scale", &matrix->scales);
    }
    if (status == OK) {
        status = check_scales(finding);
    }
    if (status == OK) {
        status = spread_scales(finding);
    }
    const struct safetensors_tensor *zeros = find_part(finding, ".weight_zero_point");
    if (status == OK && zeros != NULL &&
        (e4m3 || !is_type(zeros, "I8") || !same_shape(zeros, matrix->scales))) {
        status = refuse(finding, zeros, "is no zero as I8 for every scale of a matrix of I8");
    }
    matrix->zeros = zeros;
    return status == OK ? take_groups(finding, find_part(finding, ".weight_g_idx")) : status;
}

/* Two integers, of either width. */
static bool read_pair(const struct safetensors_tensor *tensor, uint64_t *first, uint64_t *second)
{
    bool wide = is_type(tensor, "I64");
    if ((!wide && !is_type(tensor, "I32")) || tensor->dim_count != 1 || tensor->shape[0] != 2) {
        return false;
    }
    int64_t wides[2] = {0};
    int32_t narrows[2] = {0};
    memcpy(wide ? (void *)wides : (void *)narrows, tensor->data, tensor->byte_count);
    int64_t values[2] = {wide ? wides[0] : narrows[0], wide ? wides[1] : narrows[1]};
    *first = (uint64_t)values[0];
    *second = (uint64_t)values[1];
    return values[0] > 0 && values[1] > 0 && values[0] <= UINT32_MAX && values[1] <= UINT32_MAX;
}

static enum status read_rows(const struct finding *finding)
{
    struct hf_quant_matrix *matrix = &finding->out->matrix;
    const struct safetensors_tensor *codes = finding->codes->tensor;
    const struct safetensors_tensor *shape = NULL;
    enum status status = check_codes(finding, "I32");
    if (status == OK) {
        status = need_part(finding, ".weight_shape", &shape);
    }
    if (status == OK) {
        status = need_part(finding, ".weight_scale", &matrix->scales);
    }
    if (status == OK) {
        status = check_scales(finding);
    }
    if (status != OK) {
        return status;
    }
    matrix->layout = HF_QUANT_ROWS;
    if (!read_pair(shape, &matrix->row_count, &matrix->value_count)) {
        return refuse(finding, shape, "is not two integers above 0");
    }
    matrix->bits = (matrix->value_count + 7) / 8 == codes->shape[1] ? 4 : 8;
    uint64_t per_word = 32 / matrix->bits;
    if (!is_shape(codes, matrix->row_count, (matrix->value_count + per_word - 1) / per_word)) {
        return refuse(finding, codes,
                      "has not the words of 4- or 8-bit codes that weight_shape "
                      "demands");
    }
    status = spread_scales(finding);
    matrix->zeros = find_part(finding, ".weight_zero_point");
    if (status == OK && matrix->zeros != NULL &&
        (!is_type(matrix->zeros, "I32") || matrix->scale_rows != 1 ||
         !is_shape(matrix->zeros, (matrix->row_count + per_word - 1) / per_word,
                   matrix->group_count))) {
        status = refuse(finding, matrix->zeros, "has not a zero for every scale, packed as I32");
    }
    return status == OK ? take_groups(finding, find_part(finding, ".weight_g_idx")) : status;
}

/* ---- MXFP4 ---- */

static enum status read_mxfp4(const struct finding *finding)
{
    struct hf_quant_module *out = finding->out;
    const struct safetensors_tensor *blocks = finding->codes->tensor;
    const struct safetensors_tensor *scales = NULL;
    enum status status = need_part(finding, "_scales", &scales);
    if (status != OK) {
        return status;
    }
    uint32_t dims = blocks->dim_count;
    bool sound = is_type(blocks, "U8") && is_type(scales, "U8") && dims >= 3 && dims <= 4 &&
                 blocks->byte_count > 0 && blocks->shape[dims - 1] == MXFP4_VALUES / 2 &&
                 scales->dim_count == dims - 1;
    for (uint32_t i = 0; i + 1 < dims && sound; i++) {
        sound = blocks->shape[i] == scales->shape[i] && blocks->shape[i] <= UINT32_MAX / 32;
        out->shape[i] = blocks->shape[i] * (i + 2 == dims ? MXFP4_VALUES : 1);
    }
    out->dim_count = dims - 1;
    out->dtype = DTYPE_MXFP4;
    out->blocks = blocks;
    out->block_scales = scales;
    return sound ? OK
                 : refuse(finding, blocks,
                          "and its scales are not U8 [..., groups, 16] and "
                          "[..., groups]");
}

/* Stored: a byte holds two neighbours. A block of the engine's: value i beside value i + 16. */
static void convert_mxfp4(const struct hf_quant_module *module, uint8_t *out)
{
    const uint8_t *in = module->blocks->data;
    for (uint64_t b = 0; b < module->block_scales->byte_count; b++, in += 16, out += MXFP4_BYTES) {
        out[0] = module->block_scales->data[b];
        for (uint32_t j = 0; j < 16; j++) {
            uint32_t low = in[j / 2] >> (4 * (j % 2)) & 15u;
            uint32_t high = in[8 + j / 2] >> (4 * (j % 2)) & 15u;
            out[1 + j] = (uint8_t)(low | high << 4);
        }
    }
}

/* ---- all ---- */

/* About activations or the cache of keys and values, which the engine does not round so. */
static bool is_beside_the_weights(const char *name)
{
    static const char *const ends[] = {
        ".input_scale",       ".output_scale",     ".k_scale",
        ".v_scale",           ".q_scale",          ".input_zero_point",
        ".output_zero_point", ".activation_scale", ".input_scale_ub"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (stem_of(name, ends[i]) > 0) {
            return true;
        }
    }
    return false;
}

/* By what a module's codes are known. */
static const struct marker {
    enum hf_quant_method method;
    const char *end;
    const char *dtype_name; /* NULL: any */
    const char *becomes;
    enum status (*read)(const struct finding *finding);
} markers[] = {
    {HF_QUANT_GPTQ, ".qweight", NULL, ".weight", read_columns},
    {HF_QUANT_AWQ, ".qweight", NULL, ".weight", read_columns},
    {HF_QUANT_FP8, ".weight", "F8_E4M3", ".weight", read_bytes},
    {HF_QUANT_COMPRESSED, ".weight", "F8_E4M3", ".weight", read_bytes},
    {HF_QUANT_COMPRESSED, ".weight", "I8", ".weight", read_bytes},
    {HF_QUANT_COMPRESSED, ".weight_packed", NULL, ".weight", read_rows},
    {HF_QUANT_MXFP4, "_blocks", NULL, "", read_mxfp4},
};

static enum status read_module(struct finding *finding, const struct marker *marker)
{
    struct hf_quant_module *out = finding->out;
    out->matrix.codes = finding->codes->tensor;
    enum status status = marker->read(finding);
    if (status == OK && out->blocks == NULL) {
        out->dim_count = 2;
        out->shape[0] = out->matrix.row_count;
        out->shape[1] = out->matrix.value_count;
        out->dtype = hf_quant_matrix_type(&out->matrix);
    }
    return status == OK ? name_module(finding, marker->becomes) : status;
}

enum status hf_quant_parts_find(struct hf_quant_module *out, bool *found,
                                const struct hf_quant_search *search, uint64_t index)
{
    const struct hf_weight *weight = &search->weights->weights[index];
    *found = false;
    if (is_beside_the_weights(weight->tensor->name)) {
        search->consumed[index] = 1;
        return OK;
    }
    for (size_t i = 0; i < sizeof markers / sizeof markers[0]; i++) {
        const struct marker *marker = &markers[i];
        struct finding finding = {.search = search, .codes = weight, .out = out};
        finding.stem = stem_of(weight->tensor->name, marker->end);
        if (marker->method == search->config->method && finding.stem > 0 &&
            (marker->dtype_name == NULL || is_type(weight->tensor, marker->dtype_name))) {
            *out = (struct hf_quant_module){0};
            enum status status = read_module(&finding, marker);
            *found = status == OK;
            return status;
        }
    }
    return OK;
}

bool hf_quant_parts_convert(const struct hf_quant_module *module, void *out)
{
    if (module->blocks != NULL) {
        convert_mxfp4(module, out);
        return true;
    }
    return hf_quant_matrix_convert(&module->matrix, module->dtype, out);
}
