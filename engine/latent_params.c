/* latent_params.c - files of two ages: the older count heads as the published configuration does,
 * the newer as the cache holds them, with the published lengths under names of their own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/latent_params.h"

#include "configs/limits.h"

static enum status read_ranks(const struct params_reader *reader, struct model_params *params,
                              struct error *err)
{
    enum status status = params_reader_u32(reader, "attention.kv_lora_rank", true, 1,
                                           LIMIT_MODEL_HEAD_DIM, &params->latent.kv_rank, err);
    if (status == OK) {
        status = params_reader_u32(reader, "attention.q_lora_rank", false, 0, LIMIT_MODEL_DIM,
                                   &params->latent.q_rank, err);
    }
    if (status == OK) {
        status = params_reader_u32(reader, "rope.dimension_count", true, 2, LIMIT_MODEL_HEAD_DIM,
                                   &params->rotary_dim, err);
    }
    return status;
}

/* The newer files' heads, of which there is one, are the latent vector and the rotated values. */
static enum status check_cached_lengths(const struct params_reader *reader,
                                        const struct model_params *params, struct error *err)
{
    uint32_t kv_rank = params->latent.kv_rank;
    uint32_t key_length = kv_rank + params->rotary_dim;
    enum status status = params_reader_u32(reader, "attention.key_length", false, key_length,
                                           key_length, &key_length, err);
    return status == OK ? params_reader_u32(reader, "attention.value_length", false, kv_rank,
                                            kv_rank, &kv_rank, err)
                        : status;
}

enum status latent_params_read(const struct params_reader *reader, struct model_params *params,
                               struct error *err)
{
    char key[PARAMS_KEY_BYTES];
    params_reader_key(reader, "attention.key_length_mla", key);
    bool newer = gguf_find(reader->file, key) != NULL;
    uint32_t key_dim = 0;
    enum status status = read_ranks(reader, params, err);
    if (status == OK) {
        status =
            params_reader_u32(reader, newer ? "attention.key_length_mla" : "attention.key_length",
                              true, 1, LIMIT_MODEL_HEAD_DIM, &key_dim, err);
    }
    if (status == OK) {
        status = params_reader_u32(reader,
                                   newer ? "attention.value_length_mla" : "attention.value_length",
                                   true, 1, LIMIT_MODEL_HEAD_DIM, &params->latent.value_dim, err);
    }
    if (status == OK && newer) {
        status = check_cached_lengths(reader, params, err);
    }
    if (status != OK) {
        return status;
    }
    const char *arch = reader->family->architecture;
    if (key_dim <= params->rotary_dim) {
        return error_set(err, ERR_FORMAT,
                         "%s: keys of a %s model have %u values, and %s.rope.dimension_count is "
                         "%u; keys must be longer",
                         reader->file->path, arch, key_dim, arch, params->rotary_dim);
    }
    if (params->latent.kv_rank + params->rotary_dim > LIMIT_MODEL_HEAD_DIM) {
        return error_set(err, ERR_FORMAT,
                         "%s: %s.attention.kv_lora_rank and rope.dimension_count are %u and %u; "
                         "their sum may be %u",
                         reader->file->path, arch, params->latent.kv_rank, params->rotary_dim,
                         LIMIT_MODEL_HEAD_DIM);
    }
    params->latent.kv_up_fused = gguf_find_tensor(reader->file, "blk.0.attn_kv_b.weight") != NULL;
    params->latent.still_dim = key_dim - params->rotary_dim;
    params->kv_head_count = 1;
    params->head_dim = params->latent.kv_rank + params->rotary_dim;
    return OK;
}
