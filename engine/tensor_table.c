/* tensor_table.c - one row a tensor, whatever the family; which of them a model has is decided by
 * its flags. SPDX-License-Identifier: Apache-2.0 */
#include "engine/tensor_table.h"

#define IN_MODEL(member) offsetof(struct model, member)
#define IN_LAYER(member) offsetof(struct model_layer, member)

/* Presence and extents as in struct tensor_row, the latter without EXTENT_. */
#define COMMON(tensor_name, who, row_extent, value_extent)                                         \
    .name = (tensor_name), .presence = (who), .rows = EXTENT_##row_extent,                         \
    .values = EXTENT_##value_extent
#define MODEL_ROW(name, member, who, rows, values)                                                 \
    {                                                                                              \
        COMMON(name, who, rows, values), .offset = IN_MODEL(member)                                \
    }
#define LAYER_ROW(name, member, who, rows, values)                                                 \
    {                                                                                              \
        COMMON(name, who, rows, values), .offset = IN_LAYER(member)                                \
    }
#define FUSED_ROW(name, who, rows, values, ...)                                                    \
    {                                                                                              \
        COMMON(name, who, rows, values), .parts = { __VA_ARGS__ }                                  \
    }
#define EXPERT_ROW(name, own_name, member, rows, values)                                           \
    {                                                                                              \
        COMMON(name, PER_EXPERT, rows, values), .offset = IN_LAYER(member), .apart = (own_name)    \
    }

const struct tensor_row tensor_table_model[] = {
    MODEL_ROW("token_embd.weight", embedding, REQUIRED, VOCAB, DIM),
    MODEL_ROW("position_embd.weight", positions, WITH_POSITIONS, CONTEXT, DIM),
    MODEL_ROW("output_norm.weight", output_norm, REQUIRED, NONE, DIM),
    MODEL_ROW("output_norm.bias", output_norm_bias, OUTPUT_NORM_BIAS, NONE, DIM),
    MODEL_ROW("output.weight", output, OPTIONAL, VOCAB, DIM),
    MODEL_ROW("rope_freqs.weight", rope_factors, OPTIONAL, NONE, ROTARY_PAIRS),
    MODEL_ROW("rope_factors_long.weight", rope_factors_long, OPTIONAL, NONE, ROTARY_PAIRS),
    MODEL_ROW("rope_factors_short.weight", rope_factors_short, OPTIONAL, NONE, ROTARY_PAIRS),
};

const struct tensor_row tensor_table_layer[] = {
    LAYER_ROW("attn_norm.weight", attention_norm, NORM_BEFORE, NONE, DIM),
    LAYER_ROW("attn_norm.bias", attention_norm_bias, NORM_BEFORE_BIAS, NONE, DIM),
    LAYER_ROW("attn_norm_2.weight", attention_norm_2, NORM_SECOND, NONE, DIM),
    LAYER_ROW("attn_norm_2.bias", attention_norm_2_bias, NORM_SECOND, NONE, DIM),
    LAYER_ROW("attn_q.weight", q, QKV_APART, Q, DIM),
    LAYER_ROW("attn_k.weight", k, QKV_APART, KV, DIM),
    LAYER_ROW("attn_v.weight", v, QKV_APART, KV, DIM),
    LAYER_ROW("attn_q.bias", q_bias, QKV_APART_BIAS, NONE, Q),
    LAYER_ROW("attn_k.bias", k_bias, QKV_APART_BIAS, NONE, KV),
    LAYER_ROW("attn_v.bias", v_bias, QKV_APART_BIAS, NONE, KV),
    FUSED_ROW("attn_qkv.weight", QKV_FUSED, QKV, DIM, {IN_LAYER(q), EXTENT_Q},
              {IN_LAYER(k), EXTENT_KV}, {IN_LAYER(v), EXTENT_KV}),
    FUSED_ROW("attn_qkv.bias", QKV_FUSED_BIAS, NONE, QKV, {IN_LAYER(q_bias), EXTENT_Q},
              {IN_LAYER(k_bias), EXTENT_KV}, {IN_LAYER(v_bias), EXTENT_KV}),
    LAYER_ROW("attn_q_norm.weight", q_norm, WITH_QK_NORM, NONE, Q_NORM),
    LAYER_ROW("attn_k_norm.weight", k_norm, WITH_QK_NORM, NONE, K_NORM),
    LAYER_ROW("attn_q_norm.weight", q_norm, WITH_QK_NORM_EACH, HEADS, HEAD),
    LAYER_ROW("attn_k_norm.weight", k_norm, WITH_QK_NORM_EACH, KV_HEADS, HEAD),
    LAYER_ROW("attn_sinks.weight", attention_sinks, WITH_SINKS, NONE, HEADS),
    LAYER_ROW("attn_q.weight", q, LATENT_Q, Q, Q_IN),
    LAYER_ROW("attn_q_a.weight", q_down, LATENT_Q_DOWN, Q_DOWN, DIM),
    LAYER_ROW("attn_q_a_norm.weight", q_down_norm, LATENT_Q_DOWN, NONE, Q_DOWN),
    LAYER_ROW("attn_q_b.weight", q, LATENT_Q_DOWN, Q, Q_IN),
    LAYER_ROW("attn_kv_a_mqa.weight", kv_down, LATENT, KV_DOWN, DIM),
    LAYER_ROW("attn_kv_a_norm.weight", kv_down_norm, LATENT, NONE, KV_RANK),
    LAYER_ROW("attn_kv_b.weight", key_turned, LATENT_KV_UP, KV_UP, KV_RANK),
    LAYER_ROW("attn_k_b.weight", key_turned, LATENT_PER_HEAD, KV_RANK, STILL),
    LAYER_ROW("attn_v_b.weight", value_up, LATENT_PER_HEAD, VALUE, KV_RANK),
    LAYER_ROW("attn_output.weight", attention_output, REQUIRED, DIM, ATTENDED),
    LAYER_ROW("attn_output.bias", attention_output_bias, OPTIONAL, NONE, DIM),
    LAYER_ROW("post_attention_norm.weight", attention_post_norm, NORM_AFTER, NONE, DIM),
    LAYER_ROW("ffn_norm.weight", ffn_norm, FFN_NORM, NONE, DIM),
    LAYER_ROW("post_attention_norm.weight", ffn_norm, FFN_NORM_POST_NAMED, NONE, DIM),
    LAYER_ROW("ffn_norm.bias", ffn_norm_bias, FFN_NORM_BIAS, NONE, DIM),
    LAYER_ROW("ffn_gate.weight", ffn_gate, DENSE_GATE, FFN, DIM),
    LAYER_ROW("ffn_up.weight", ffn_up, DENSE_UP, FFN, DIM),
    FUSED_ROW("ffn_up.weight", DENSE_GATE_FUSED, FFN_TWICE, DIM, {IN_LAYER(ffn_gate), EXTENT_FFN},
              {IN_LAYER(ffn_up), EXTENT_FFN}),
    LAYER_ROW("ffn_down.weight", ffn_down, DENSE, DIM, FFN),
    LAYER_ROW("ffn_gate.bias", ffn_gate_bias, DENSE_GATE_OPTIONAL, NONE, FFN),
    LAYER_ROW("ffn_up.bias", ffn_up_bias, DENSE_UP_OPTIONAL, NONE, FFN),
    FUSED_ROW("ffn_up.bias", DENSE_GATE_FUSED_OPTIONAL, NONE, FFN_TWICE,
              {IN_LAYER(ffn_gate_bias), EXTENT_FFN}, {IN_LAYER(ffn_up_bias), EXTENT_FFN}),
    LAYER_ROW("ffn_down.bias", ffn_down_bias, DENSE_OPTIONAL, NONE, DIM),
    LAYER_ROW("post_ffw_norm.weight", ffn_post_norm, NORM_AFTER, NONE, DIM),
    LAYER_ROW("ffn_gate_inp.weight", router, WITH_EXPERTS, EXPERTS, DIM),
    LAYER_ROW("exp_probs_b.bias", expert_merit_bias, WITH_EXPERT_MERIT, NONE, EXPERTS),
    LAYER_ROW("ffn_gate_inp.bias", router_bias, WITH_EXPERT_BIAS, NONE, EXPERTS),
    LAYER_ROW("ffn_gate_exps.bias", expert_gate_bias, WITH_EXPERT_BIAS, EXPERTS, EXPERT_FFN),
    LAYER_ROW("ffn_up_exps.bias", expert_up_bias, WITH_EXPERT_BIAS, EXPERTS, EXPERT_FFN),
    LAYER_ROW("ffn_down_exps.bias", expert_down_bias, WITH_EXPERT_BIAS, EXPERTS, DIM),
    EXPERT_ROW("ffn_gate_exps.weight", "ffn_gate", expert_gate, EXPERT_FFN, DIM),
    EXPERT_ROW("ffn_up_exps.weight", "ffn_up", expert_up, EXPERT_FFN, DIM),
    EXPERT_ROW("ffn_down_exps.weight", "ffn_down", expert_down, DIM, EXPERT_FFN),
    LAYER_ROW("ffn_gate_shexp.weight", shared_gate, WITH_SHARED_EXPERT, SHARED_FFN, DIM),
    LAYER_ROW("ffn_up_shexp.weight", shared_up, WITH_SHARED_EXPERT, SHARED_FFN, DIM),
    LAYER_ROW("ffn_down_shexp.weight", shared_down, WITH_SHARED_EXPERT, DIM, SHARED_FFN),
    LAYER_ROW("ffn_gate_inp_shexp.weight", shared_share, WITH_SHARED_GATE, ONE, DIM),
};

const uint32_t tensor_table_model_count = sizeof tensor_table_model / sizeof tensor_table_model[0];
const uint32_t tensor_table_layer_count = sizeof tensor_table_layer / sizeof tensor_table_layer[0];

void tensor_table_extents(const struct model_params *params, uint64_t extents[EXTENT_COUNT])
{
    const struct latent_params *latent = &params->latent;
    bool is_latent = latent->kv_rank > 0;
    uint64_t heads = params->head_count;
    uint64_t key_dim = is_latent ? latent->still_dim + params->rotary_dim : params->head_dim;
    uint64_t q = heads * key_dim;
    uint64_t kv = (uint64_t)params->kv_head_count * params->head_dim;
    bool by_head = params->qk_norm == QK_NORM_HEAD;
    extents[EXTENT_NONE] = 1;
    extents[EXTENT_DIM] = params->dim;
    extents[EXTENT_Q] = q;
    extents[EXTENT_Q_IN] = latent->q_rank > 0 ? latent->q_rank : params->dim;
    extents[EXTENT_ATTENDED] = is_latent ? heads * latent->value_dim : q;
    extents[EXTENT_Q_DOWN] = latent->q_rank;
    extents[EXTENT_KV_DOWN] = params->head_dim;
    extents[EXTENT_KV_RANK] = latent->kv_rank;
    extents[EXTENT_KV_UP] = heads * ((uint64_t)latent->still_dim + latent->value_dim);
    extents[EXTENT_STILL] = latent->still_dim;
    extents[EXTENT_VALUE] = latent->value_dim;
    extents[EXTENT_KV] = kv;
    extents[EXTENT_HEADS] = params->head_count;
    extents[EXTENT_KV_HEADS] = params->kv_head_count;
    extents[EXTENT_HEAD] = params->head_dim;
    extents[EXTENT_QKV] = q + 2 * kv;
    extents[EXTENT_Q_NORM] = by_head ? params->head_dim : q;
    extents[EXTENT_K_NORM] = by_head ? params->head_dim : kv;
    extents[EXTENT_FFN] = params->ffn_dim;
    extents[EXTENT_FFN_TWICE] = 2 * (uint64_t)params->ffn_dim;
    extents[EXTENT_EXPERTS] = params->expert_count;
    extents[EXTENT_EXPERT_FFN] = params->expert_ffn_dim;
    extents[EXTENT_SHARED_FFN] = params->shared_ffn_dim;
    extents[EXTENT_ONE] = 1;
    extents[EXTENT_VOCAB] = params->vocab_count;
    extents[EXTENT_CONTEXT] = params->context_tokens;
    extents[EXTENT_ROTARY_PAIRS] = params->rotary_dim / 2;
}

static bool norm_is_known(enum presence presence, const struct model_params *params)
{
    bool before = params->norm_place != NORMS_AFTER;
    bool own_ffn_norm = before && !params->shared_norm;
    switch (presence) {
    case NORM_BEFORE:
        return before;
    case NORM_BEFORE_BIAS:
        return before && params->norm_bias;
    case NORM_SECOND:
        return params->second_norm;
    case NORM_AFTER:
        return params->norm_place != NORMS_BEFORE;
    case FFN_NORM:
        return own_ffn_norm && !params->post_named_norm;
    case FFN_NORM_POST_NAMED:
        return params->post_named_norm;
    case FFN_NORM_BIAS:
        return own_ffn_norm && params->norm_bias;
    case OUTPUT_NORM_BIAS:
        return params->norm_bias;
    case WITH_QK_NORM_EACH:
        return params->qk_norm == QK_NORM_EACH;
    default:
        return params->qk_norm == QK_NORM_HEAD || params->qk_norm == QK_NORM_ROW;
    }
}

static bool attention_is_known(enum presence presence, const struct model_params *params)
{
    const struct latent_params *latent = &params->latent;
    switch (presence) {
    case QKV_APART:
    case QKV_APART_BIAS:
        return latent->kv_rank == 0 && !params->qkv_fused;
    case QKV_FUSED:
    case QKV_FUSED_BIAS:
        return latent->kv_rank == 0 && params->qkv_fused;
    case LATENT:
        return latent->kv_rank > 0;
    case LATENT_Q:
        return latent->kv_rank > 0 && latent->q_rank == 0;
    case LATENT_Q_DOWN:
        return latent->kv_rank > 0 && latent->q_rank > 0;
    case LATENT_KV_UP:
        return latent->kv_rank > 0 && latent->kv_up_fused;
    case LATENT_PER_HEAD:
        return latent->kv_rank > 0 && !latent->kv_up_fused;
    default:
        return params->sinks;
    }
}

static bool ffn_is_known(enum presence presence, const struct model_params *params, bool dense)
{
    switch (presence) {
    case DENSE:
    case DENSE_OPTIONAL:
        return dense;
    case DENSE_GATE:
    case DENSE_GATE_OPTIONAL:
        return dense && params->ffn == FFN_GATED;
    case DENSE_GATE_FUSED:
    case DENSE_GATE_FUSED_OPTIONAL:
        return dense && params->ffn == FFN_GATED_FUSED;
    case DENSE_UP:
    case DENSE_UP_OPTIONAL:
        return dense && params->ffn != FFN_GATED_FUSED;
    case WITH_EXPERT_BIAS:
        return !dense && params->expert_bias;
    case WITH_EXPERT_MERIT:
        return !dense && params->expert_merit;
    case WITH_SHARED_EXPERT:
        return !dense && params->shared_ffn_dim > 0;
    case WITH_SHARED_GATE:
        return !dense && params->shared_gated;
    default:
        return !dense;
    }
}

bool tensor_table_plain(const struct tensor_row *row)
{
    return row->rows == EXTENT_NONE || row->presence == WITH_EXPERT_BIAS ||
           row->presence == WITH_QK_NORM_EACH;
}

bool tensor_table_known(const struct tensor_row *row, const struct model_params *params,
                        uint32_t layer_index)
{
    switch (row->presence) {
    case REQUIRED:
    case OPTIONAL:
        return true;
    case WITH_POSITIONS:
        return params->learned_positions;
    case NORM_BEFORE:
    case NORM_BEFORE_BIAS:
    case NORM_SECOND:
    case NORM_AFTER:
    case FFN_NORM:
    case FFN_NORM_POST_NAMED:
    case FFN_NORM_BIAS:
    case OUTPUT_NORM_BIAS:
    case WITH_QK_NORM:
    case WITH_QK_NORM_EACH:
        return norm_is_known(row->presence, params);
    case WITH_SINKS:
    case QKV_APART:
    case QKV_APART_BIAS:
    case QKV_FUSED:
    case QKV_FUSED_BIAS:
    case LATENT:
    case LATENT_Q:
    case LATENT_Q_DOWN:
    case LATENT_KV_UP:
    case LATENT_PER_HEAD:
        return attention_is_known(row->presence, params);
    default:
        return ffn_is_known(row->presence, params, model_layer_is_dense(params, layer_index));
    }
}

bool tensor_table_required(const struct tensor_row *row, const struct model_params *params)
{
    switch (row->presence) {
    case OPTIONAL:
    case NORM_SECOND:
    case DENSE_OPTIONAL:
    case DENSE_GATE_OPTIONAL:
    case DENSE_GATE_FUSED_OPTIONAL:
    case DENSE_UP_OPTIONAL:
        return false;
    case QKV_APART_BIAS:
    case QKV_FUSED_BIAS:
        return params->qkv_bias;
    default:
        return true;
    }
}
