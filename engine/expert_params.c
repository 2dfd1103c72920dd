/* expert_params.c - lengths may be told by several keys, and keys of other families' routers are
 * refused: a router that is not ours would choose other experts. SPDX-License-Identifier: Apache-2.0 */
#include "engine/expert_params.h"

#include "configs/limits.h"

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

/* Keys by which other families route otherwise: whoever writes them here means it. */
static enum status read_routing(const struct params_reader *reader, struct model_params *params,
                                struct error *err)
{
    static const char *const groups[] = {"expert_group_count", "expert_group_used_count"};
    /* 1: the softmax over all experts; 3: over those chosen, which is the first, normalised. */
    bool normalize = reader->family->expert_normalize;
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
    params->experts_apart = gguf_find_tensor(reader->file, "blk.0.ffn_gate.0.weight") != NULL;
    params->expert_normalize = normalize;
    params->expert_bias = reader->family->expert_bias;
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
    if (status == OK) {
        status = params_reader_u32(reader, "expert_shared_feed_forward_length", dense_dim == 0, 1,
                                   LIMIT_MODEL_DIM, &params->shared_ffn_dim, err);
    }
    return status;
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
        status = read_routing(reader, params, err);
    }
    if (status == OK && family->shared_expert) {
        status = read_shared_expert(reader, params, err);
    }
    return status;
}
