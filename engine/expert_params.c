/* expert_params.c - lengths may be told by several keys, and keys of other families' routers are
 * refused: a router that is not ours would choose other experts. SPDX-License-Identifier: Apache-2.0 */
#include "engine/expert_params.h"

#include "configs/limits.h"

#include <stdio.h>

static const float weights_scale_max = 1e6f;
static const char *const dense_layers_key = "sluice.dense_layers";

static enum status read_dense_ffn(const struct params_reader *reader, struct model_params *params,
                                  struct error *err)
{
    uint32_t expert_count = 0;
    uint32_t used_count = 0;
    enum status status =
        params_reader_u32(reader, "expert_count", false, 0, UINT32_MAX, &expert_count, err);
    if (status == OK) {
        status = params_reader_u32(reader, "expert_used_count", false, 0, expert_count, &used_count,
                                   err);
    }
    if (status == OK && expert_count > 0) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: %s.expert_count is %u; mixtures of experts are not supported",
                         reader->file->path, reader->family->architecture, expert_count);
    }
    if (status == OK) {
        status = params_reader_u32(reader, "feed_forward_length", true, 1, LIMIT_MODEL_DIM,
                                   &params->ffn_dim, err);
    }
    return status;
}

/* A file without lengths of its own for the experts has, but for some families, cut one dense ffn
 * into those a row uses. */
static enum status read_experts(const struct params_reader *reader, struct model_params *params,
                                struct error *err)
{
    enum status status = params_reader_u32(reader, "expert_count", true, 1, LIMIT_MODEL_EXPERTS,
                                           &params->expert_count, err);
    uint32_t used_max = params->expert_count < LIMIT_MODEL_EXPERTS_USED ? params->expert_count
                                                                        : LIMIT_MODEL_EXPERTS_USED;
    if (status == OK) {
        status = params_reader_u32(reader, "expert_used_count", true, 1, used_max,
                                   &params->expert_used_count, err);
    }
    uint32_t dense_dim = 0;
    if (status == OK) {
        status = params_reader_u32(reader, "feed_forward_length", false, 1, LIMIT_MODEL_DIM,
                                   &dense_dim, err);
    }
    if (status != OK) {
        return status;
    }
    bool whole = reader->family->expert_whole;
    params->expert_ffn_dim = whole ? dense_dim : dense_dim / params->expert_used_count;
    return params_reader_u32(reader, "expert_feed_forward_length", params->expert_ffn_dim == 0, 1,
                             LIMIT_MODEL_DIM, &params->expert_ffn_dim, err);
}

/* Routing that the file chooses. */
static enum status read_free_routing(const struct params_reader *reader,
                                     struct model_params *params, struct error *err)
{
    uint32_t gating = 1;
    uint32_t groups = 1;
    uint32_t groups_used = 1;
    enum status status = params_reader_u32(reader, "expert_gating_func", false, 0, 2, &gating, err);
    if (status == OK) {
        status = params_reader_u32(reader, "expert_group_count", false, 0, params->expert_count,
                                   &groups, err);
    }
    if (status == OK) {
        status = params_reader_u32(reader, "expert_group_used_count", groups > 1, 0, groups,
                                   &groups_used, err);
    }
    if (status == OK) {
        status = params_reader_f32(reader, "expert_weights_scale", 0.0f, weights_scale_max,
                                   &params->expert_scale, err);
    }
    if (status != OK || groups <= 1) {
        params->expert_gating = gating == 2 ? EXPERT_GATING_SIGMOID : EXPERT_GATING_SOFTMAX;
        return status;
    }
    /* DeepSeek-V3, which has the sigmoid, values a group by its best two, V2 by its best. */
    uint32_t best = gating == 2 ? 2 : 1;
    uint32_t each = params->expert_count / groups;
    if (params->expert_count % groups != 0 || each < best || groups_used == 0 ||
        (uint64_t)groups_used * each < params->expert_used_count) {
        return error_set(err, ERR_FORMAT,
                         "%s: %s.expert_group_count is %u and expert_group_used_count %u; groups "
                         "must be equal parts of %u experts, and those used have %u",
                         reader->file->path, reader->family->architecture, groups, groups_used,
                         params->expert_count, params->expert_used_count);
    }
    params->expert_gating = gating == 2 ? EXPERT_GATING_SIGMOID : EXPERT_GATING_SOFTMAX;
    params->expert_group_count = groups;
    params->expert_groups_used = groups_used;
    params->expert_group_best = best;
    return OK;
}

/* Keys by which other families route otherwise: whoever writes them here means it. */
static enum status check_routing(const struct params_reader *reader, bool normalize,
                                 struct error *err)
{
    static const char *const groups[] = {"expert_group_count", "expert_group_used_count"};
    /* 1: the softmax over all experts; 3: over those chosen, which is the first, normalised. */
    uint32_t gating_max = normalize ? 3 : 1;
    uint32_t gating = 1;
    enum status status =
        params_reader_u32(reader, "expert_gating_func", false, 0, gating_max, &gating, err);
    if (status == OK && gating == 2) {
        return error_set(err, ERR_UNSUPPORTED, "%s: %s.expert_gating_func is 2; must be 1 or 3",
                         reader->file->path, reader->family->architecture);
    }
    for (size_t i = 0; i < sizeof groups / sizeof groups[0] && status == OK; i++) {
        uint32_t ignored = 0;
        status = params_reader_u32(reader, groups[i], false, 0, 1, &ignored, err);
    }
    float scale = 1.0f;
    if (status == OK) {
        status = params_reader_f32(reader, "expert_weights_scale", 1.0f, 1.0f, &scale, err);
    }
    return status;
}

/* Are experts a tensor each? The first layer that has some tells. */
static bool experts_are_apart(const struct params_reader *reader, const struct model_params *params)
{
    uint32_t layer = 0;
    while (layer + 1 < params->layer_count && model_layer_is_dense(params, layer)) {
        layer++;
    }
    char name[48];
    snprintf(name, sizeof name, "blk.%u.ffn_gate.0.weight", layer);
    return gguf_find_tensor(reader->file, name) != NULL;
}

static enum status read_routing(const struct params_reader *reader, struct model_params *params,
                                struct error *err)
{
    const struct family *family = reader->family;
    params->experts_apart = experts_are_apart(reader, params);
    params->expert_normalize = family->expert_normalize;
    params->expert_bias = family->expert_bias;
    enum status status = family->routed_by_file
                             ? read_free_routing(reader, params, err)
                             : check_routing(reader, family->expert_normalize, err);
    params->expert_merit = params->expert_gating == EXPERT_GATING_SIGMOID;
    return status == OK
               ? params_reader_bool(reader, "expert_weights_norm", &params->expert_normalize, err)
               : status;
}

static enum status read_shared_expert(const struct params_reader *reader,
                                      struct model_params *params, struct error *err)
{
    uint32_t dense_dim = 0;
    enum status status = params_reader_u32(reader, "feed_forward_length", false, 1, LIMIT_MODEL_DIM,
                                           &dense_dim, err);
    params->shared_ffn_dim = dense_dim;
    params->shared_gated = true;
    if (status == OK) {
        status = params_reader_u32(reader, "expert_shared_feed_forward_length", dense_dim == 0, 1,
                                   LIMIT_MODEL_DIM, &params->shared_ffn_dim, err);
    }
    return status;
}

/* As many experts as the file counts, which all rows use, are one that is as wide as all. */
static enum status read_plain_shared(const struct params_reader *reader,
                                     struct model_params *params, struct error *err)
{
    uint32_t count = 0;
    uint32_t count_max = LIMIT_MODEL_DIM / params->expert_ffn_dim;
    enum status status =
        params_reader_u32(reader, "expert_shared_count", false, 0, count_max, &count, err);
    params->shared_ffn_dim = count * params->expert_ffn_dim;
    return status;
}

static enum status mark_by_array(const struct params_reader *reader, struct model_params *params,
                                 struct error *err)
{
    struct gguf_array values = {.element_count = 0};
    enum status status =
        gguf_get_array(reader->file, dense_layers_key, false, GGUF_UINT32, &values, err);
    if (status == OK && values.element_count > 0 && values.element_count != params->layer_count) {
        return error_set(err, ERR_FORMAT, "%s: %s has %llu values for %u layers",
                         reader->file->path, dense_layers_key,
                         (unsigned long long)values.element_count, params->layer_count);
    }
    for (uint32_t i = 0; status == OK && i < values.element_count; i++) {
        if (gguf_array_u64(&values, i) != 0) {
            params->dense_layers[i / 64] |= UINT64_C(1) << i % 64;
        }
    }
    return status;
}

/* Which layers of a mixture are dense: the leading ones that the file counts, and those named by
 * `sluice.dense_layers` (u32 a layer, 1 = dense). Their ffn is as long as a dense model's. */
static enum status read_dense_layers(const struct params_reader *reader,
                                     struct model_params *params, struct error *err)
{
    uint32_t leading = 0;
    enum status status = mark_by_array(reader, params, err);
    if (status == OK && reader->family->leading_dense) {
        status = params_reader_u32(reader, "leading_dense_block_count", false, 0,
                                   params->layer_count, &leading, err);
    }
    if (status != OK) {
        return status;
    }
    bool some = false;
    for (uint32_t i = 0; i < params->layer_count; i++) {
        if (i < leading) {
            params->dense_layers[i / 64] |= UINT64_C(1) << i % 64;
        }
        some = some || model_layer_is_dense(params, i);
    }
    return some ? params_reader_u32(reader, "feed_forward_length", true, 1, LIMIT_MODEL_DIM,
                                    &params->ffn_dim, err)
                : OK;
}

enum status expert_params_read(const struct params_reader *reader, struct model_params *params,
                               struct error *err)
{
    const struct family *family = reader->family;
    uint32_t expert_count = 0;
    enum status status =
        params_reader_u32(reader, "expert_count", false, 0, UINT32_MAX, &expert_count, err);
    if (status != OK) {
        return status;
    }
    bool mixture =
        family->experts == EXPERTS_ALWAYS || (family->experts == EXPERTS_MAYBE && expert_count > 0);
    if (!mixture) {
        return read_dense_ffn(reader, params, err);
    }
    status = read_experts(reader, params, err);
    if (status == OK) {
        status = read_dense_layers(reader, params, err);
    }
    if (status == OK) {
        status = read_routing(reader, params, err);
    }
    if (status == OK && family->shared_plain) {
        return read_plain_shared(reader, params, err);
    }
    if (status == OK && family->shared_expert) {
        status = read_shared_expert(reader, params, err);
    }
    return status;
}
