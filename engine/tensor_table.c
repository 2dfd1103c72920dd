/* tensor_table.c - one row a tensor, whatever the family; which of them a family has is decided by
 * its flags. SPDX-License-Identifier: Apache-2.0 */
#include "engine/tensor_table.h"

#define IN_MODEL(member) offsetof(struct model, member)
#define IN_LAYER(member) offsetof(struct model_layer, member)

const struct tensor_row tensor_table_model[] = {
    {"token_embd.weight", IN_MODEL(embedding), REQUIRED, EXTENT_VOCAB, EXTENT_DIM},
    {"output_norm.weight", IN_MODEL(output_norm), REQUIRED, EXTENT_NONE, EXTENT_DIM},
    {"output.weight", IN_MODEL(output), OPTIONAL, EXTENT_VOCAB, EXTENT_DIM},
    {"rope_freqs.weight", IN_MODEL(rope_factors), OPTIONAL, EXTENT_NONE, EXTENT_ROTARY_PAIRS},
};

const struct tensor_row tensor_table_layer[] = {
    {"attn_norm.weight", IN_LAYER(attention_norm), REQUIRED, EXTENT_NONE, EXTENT_DIM},
    {"attn_q.weight", IN_LAYER(q), REQUIRED, EXTENT_Q, EXTENT_DIM},
    {"attn_k.weight", IN_LAYER(k), REQUIRED, EXTENT_KV, EXTENT_DIM},
    {"attn_v.weight", IN_LAYER(v), REQUIRED, EXTENT_KV, EXTENT_DIM},
    {"attn_q.bias", IN_LAYER(q_bias), WITH_QKV_BIAS, EXTENT_NONE, EXTENT_Q},
    {"attn_k.bias", IN_LAYER(k_bias), WITH_QKV_BIAS, EXTENT_NONE, EXTENT_KV},
    {"attn_v.bias", IN_LAYER(v_bias), WITH_QKV_BIAS, EXTENT_NONE, EXTENT_KV},
    {"attn_q_norm.weight", IN_LAYER(q_norm), WITH_QK_NORM, EXTENT_NONE, EXTENT_HEAD},
    {"attn_k_norm.weight", IN_LAYER(k_norm), WITH_QK_NORM, EXTENT_NONE, EXTENT_HEAD},
    {"attn_output.weight", IN_LAYER(attention_output), REQUIRED, EXTENT_DIM, EXTENT_Q},
    {"attn_output.bias", IN_LAYER(attention_output_bias), OPTIONAL, EXTENT_NONE, EXTENT_DIM},
    {"ffn_norm.weight", IN_LAYER(ffn_norm), REQUIRED, EXTENT_NONE, EXTENT_DIM},
    {"ffn_gate.weight", IN_LAYER(ffn_gate), DENSE, EXTENT_FFN, EXTENT_DIM},
    {"ffn_up.weight", IN_LAYER(ffn_up), DENSE, EXTENT_FFN, EXTENT_DIM},
    {"ffn_down.weight", IN_LAYER(ffn_down), DENSE, EXTENT_DIM, EXTENT_FFN},
    {"ffn_gate.bias", IN_LAYER(ffn_gate_bias), DENSE_OPTIONAL, EXTENT_NONE, EXTENT_FFN},
    {"ffn_up.bias", IN_LAYER(ffn_up_bias), DENSE_OPTIONAL, EXTENT_NONE, EXTENT_FFN},
    {"ffn_down.bias", IN_LAYER(ffn_down_bias), DENSE_OPTIONAL, EXTENT_NONE, EXTENT_DIM},
    {"ffn_gate_inp.weight", IN_LAYER(router), WITH_EXPERTS, EXTENT_EXPERTS, EXTENT_DIM},
    {"ffn_gate_exps.weight", IN_LAYER(expert_gate), PER_EXPERT, EXTENT_EXPERT_FFN, EXTENT_DIM},
    {"ffn_up_exps.weight", IN_LAYER(expert_up), PER_EXPERT, EXTENT_EXPERT_FFN, EXTENT_DIM},
    {"ffn_down_exps.weight", IN_LAYER(expert_down), PER_EXPERT, EXTENT_DIM, EXTENT_EXPERT_FFN},
    {"ffn_gate_shexp.weight", IN_LAYER(shared_gate), WITH_SHARED_EXPERT, EXTENT_SHARED_FFN,
     EXTENT_DIM},
    {"ffn_up_shexp.weight", IN_LAYER(shared_up), WITH_SHARED_EXPERT, EXTENT_SHARED_FFN, EXTENT_DIM},
    {"ffn_down_shexp.weight", IN_LAYER(shared_down), WITH_SHARED_EXPERT, EXTENT_DIM,
     EXTENT_SHARED_FFN},
    {"ffn_gate_inp_shexp.weight", IN_LAYER(shared_share), WITH_SHARED_EXPERT, EXTENT_ONE,
     EXTENT_DIM},
};

const uint32_t tensor_table_model_count = sizeof tensor_table_model / sizeof tensor_table_model[0];
const uint32_t tensor_table_layer_count = sizeof tensor_table_layer / sizeof tensor_table_layer[0];

void tensor_table_extents(const struct model_params *params, uint64_t extents[EXTENT_COUNT])
{
    extents[EXTENT_NONE] = 1;
    extents[EXTENT_DIM] = params->dim;
    extents[EXTENT_Q] = (uint64_t)params->head_count * params->head_dim;
    extents[EXTENT_KV] = (uint64_t)params->kv_head_count * params->head_dim;
    extents[EXTENT_HEAD] = params->head_dim;
    extents[EXTENT_FFN] = params->ffn_dim;
    extents[EXTENT_EXPERTS] = params->expert_count;
    extents[EXTENT_EXPERT_FFN] = params->expert_ffn_dim;
    extents[EXTENT_SHARED_FFN] = params->shared_ffn_dim;
    extents[EXTENT_ONE] = 1;
    extents[EXTENT_VOCAB] = params->vocab_count;
    extents[EXTENT_ROTARY_PAIRS] = params->rotary_dim / 2;
}

bool tensor_table_known(const struct tensor_row *row, const struct model_params *params)
{
    switch (row->presence) {
    case REQUIRED:
    case OPTIONAL:
    case WITH_QKV_BIAS:
        return true;
    case WITH_QK_NORM:
        return params->qk_norm;
    case DENSE:
    case DENSE_OPTIONAL:
        return params->expert_count == 0;
    case WITH_EXPERTS:
    case PER_EXPERT:
        return params->expert_count > 0;
    case WITH_SHARED_EXPERT:
        return params->shared_ffn_dim > 0;
    }
    return false;
}

bool tensor_table_required(const struct tensor_row *row, const struct model_params *params)
{
    bool optional = row->presence == OPTIONAL || row->presence == DENSE_OPTIONAL ||
                    (row->presence == WITH_QKV_BIAS && !params->qkv_bias);
    return !optional;
}
