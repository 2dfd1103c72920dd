/* The rows, and the lists that several of them share.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_family.h"

#include "configs/limits.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define REAL_MAX 1e6

/* ---- keys ---- */

static const struct hf_key_row sizes[] = {
    {"hidden_size", "embedding_length", HF_KEY_COUNT, true, LIMIT_MODEL_DIM, 0},
    {"num_hidden_layers", "block_count", HF_KEY_COUNT, true, LIMIT_MODEL_LAYERS, 0},
    {"num_attention_heads", "attention.head_count", HF_KEY_COUNT, true, LIMIT_MODEL_HEADS, 0},
    {"vocab_size", "vocab_size", HF_KEY_COUNT, true, LIMIT_MODEL_VOCAB, 0},
    {0},
};

static const struct hf_key_row kv_heads[] = {
    {"num_key_value_heads", "attention.head_count_kv", HF_KEY_COUNT, false, LIMIT_MODEL_HEADS, 0},
    {0},
};

static const struct hf_key_row dense[] = {
    {"intermediate_size", "feed_forward_length", HF_KEY_COUNT, true, LIMIT_MODEL_DIM, 0},
    {0},
};

static const struct hf_key_row rms[] = {
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", HF_KEY_REAL, true, 1, 0},
    {0},
};

static const struct hf_key_row layer_norm[] = {
    {"layer_norm_eps", "attention.layer_norm_epsilon", HF_KEY_REAL, true, 1, 0},
    {0},
};

static const struct hf_key_row mixtral_experts[] = {
    {"num_local_experts", "expert_count", HF_KEY_COUNT, true, LIMIT_MODEL_EXPERTS, 0},
    {"num_experts_per_tok", "expert_used_count", HF_KEY_COUNT, true, LIMIT_MODEL_EXPERTS_USED, 0},
    {0},
};

static const struct hf_key_row qwen_experts[] = {
    {"num_experts", "expert_count", HF_KEY_COUNT, false, LIMIT_MODEL_EXPERTS, 0},
    {"num_local_experts", "expert_count", HF_KEY_COUNT, false, LIMIT_MODEL_EXPERTS, 0},
    {"num_experts_per_tok", "expert_used_count", HF_KEY_COUNT, true, LIMIT_MODEL_EXPERTS_USED, 0},
    {"norm_topk_prob", "expert_weights_norm", HF_KEY_FLAG, false, 0, 0},
    {"clip_qkv", NULL, HF_KEY_NONE, false, 0, 0},
    {0},
};

static const struct hf_key_row expert_ffn[] = {
    {"moe_intermediate_size", "expert_feed_forward_length", HF_KEY_COUNT, true, LIMIT_MODEL_DIM, 0},
    {0},
};

static const struct hf_key_row all_sparse[] = {
    {"decoder_sparse_step", NULL, HF_KEY_ONE, false, 0, 0},
    {"mlp_only_layers", NULL, HF_KEY_EMPTY, false, 0, 0},
    {0},
};

/* Of mixtures whose layers need not all be sparse. */
static const struct hf_key_row some_dense[] = {
    {"intermediate_size", "feed_forward_length", HF_KEY_COUNT, false, LIMIT_MODEL_DIM, 0},
    {0},
};

/* Multi-head latent attention, and experts of which some serve every token. */
static const struct hf_key_row deepseek_keys[] = {
    {"intermediate_size", "feed_forward_length", HF_KEY_COUNT, true, LIMIT_MODEL_DIM, 0},
    {"kv_lora_rank", "attention.kv_lora_rank", HF_KEY_COUNT, true, LIMIT_MODEL_HEAD_DIM, 0},
    {"q_lora_rank", "attention.q_lora_rank", HF_KEY_COUNT, false, LIMIT_MODEL_DIM, 0},
    {"n_routed_experts", "expert_count", HF_KEY_COUNT, true, LIMIT_MODEL_EXPERTS, 0},
    {"num_experts_per_tok", "expert_used_count", HF_KEY_COUNT, true, LIMIT_MODEL_EXPERTS_USED, 0},
    {"moe_intermediate_size", "expert_feed_forward_length", HF_KEY_COUNT, true, LIMIT_MODEL_DIM, 0},
    {"n_shared_experts", "expert_shared_count", HF_KEY_COUNT, false, LIMIT_MODEL_EXPERTS, 0},
    {"routed_scaling_factor", "expert_weights_scale", HF_KEY_REAL, true, REAL_MAX, 0},
    {"moe_layer_freq", NULL, HF_KEY_ONE, false, 0, 0},
    {"attention_bias", NULL, HF_KEY_FALSE, false, 0, 0},
    {"mlp_bias", NULL, HF_KEY_FALSE, false, 0, 0},
    {0},
};

static const struct hf_key_row deepseek_v2_keys[] = {
    {"norm_topk_prob", NULL, HF_KEY_FALSE, false, 0, 0},
    {0},
};

static const struct hf_key_row deepseek_v3_keys[] = {
    {"norm_topk_prob", "expert_weights_norm", HF_KEY_FLAG, false, 0, 1},
    {"n_group", "expert_group_count", HF_KEY_COUNT, true, LIMIT_MODEL_EXPERTS, 0},
    {"topk_group", "expert_group_used_count", HF_KEY_COUNT, true, LIMIT_MODEL_EXPERTS, 0},
    {0},
};

static const struct hf_key_row shared_expert[] = {
    {"shared_expert_intermediate_size", "expert_shared_feed_forward_length", HF_KEY_COUNT, true,
     LIMIT_MODEL_DIM, 0},
    {0},
};

static const struct hf_key_row granite_scales[] = {
    {"embedding_multiplier", "embedding_scale", HF_KEY_REAL, true, REAL_MAX, 0},
    {"residual_multiplier", "residual_scale", HF_KEY_REAL, true, REAL_MAX, 0},
    {"logits_scaling", "logit_scale", HF_KEY_REAL, true, REAL_MAX, 0},
    {"attention_multiplier", "attention.scale", HF_KEY_REAL, true, REAL_MAX, 0},
    {0},
};

static const struct hf_key_row gemma2_caps[] = {
    {"attn_logit_softcapping", "attn_logit_softcapping", HF_KEY_REAL, true, REAL_MAX, 0},
    {"final_logit_softcapping", "final_logit_softcapping", HF_KEY_REAL, true, REAL_MAX, 0},
    {"use_bidirectional_attention", NULL, HF_KEY_FALSE, false, 0, 0},
    {0},
};

static const struct hf_key_row gemma3_keys[] = {
    {"attn_logit_softcapping", NULL, HF_KEY_NONE, false, 0, 0},
    {"final_logit_softcapping", NULL, HF_KEY_NONE, false, 0, 0},
    {"use_bidirectional_attention", NULL, HF_KEY_FALSE, false, 0, 0},
    {0},
};

/* Published configurations with a vision part leave out what is the library's default. */
static const struct hf_key_row gemma3_sizes[] = {
    {"hidden_size", "embedding_length", HF_KEY_COUNT, false, LIMIT_MODEL_DIM, 2304},
    {"num_hidden_layers", "block_count", HF_KEY_COUNT, false, LIMIT_MODEL_LAYERS, 26},
    {"num_attention_heads", "attention.head_count", HF_KEY_COUNT, false, LIMIT_MODEL_HEADS, 8},
    {"num_key_value_heads", "attention.head_count_kv", HF_KEY_COUNT, false, LIMIT_MODEL_HEADS, 4},
    {"vocab_size", "vocab_size", HF_KEY_COUNT, false, LIMIT_MODEL_VOCAB, 262208},
    {"intermediate_size", "feed_forward_length", HF_KEY_COUNT, false, LIMIT_MODEL_DIM, 9216},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", HF_KEY_REAL, false, 1, 1e-6},
    {0},
};

static const struct hf_key_row gpt_oss_keys[] = {
    {"intermediate_size", "expert_feed_forward_length", HF_KEY_COUNT, true, LIMIT_MODEL_DIM, 0},
    {"num_local_experts", "expert_count", HF_KEY_COUNT, true, LIMIT_MODEL_EXPERTS, 0},
    {"num_experts_per_tok", "expert_used_count", HF_KEY_COUNT, true, LIMIT_MODEL_EXPERTS_USED, 0},
    {"swiglu_limit", NULL, HF_KEY_EXACT, false, 7.0, 0},
    {"swiglu_alpha", NULL, HF_KEY_EXACT, false, 1.702, 0},
    {"attention_bias", NULL, HF_KEY_TRUE, false, 0, 0},
    {0},
};

static const struct hf_key_row stablelm_keys[] = {
    {"use_parallel_residual", "use_parallel_residual", HF_KEY_FLAG, false, 0, 0},
    {0},
};

static const struct hf_key_row starcoder2_keys[] = {
    {"norm_epsilon", "attention.layer_norm_epsilon", HF_KEY_REAL, true, 1, 0},
    {0},
};

static const struct hf_key_row cohere_keys[] = {
    {"logit_scale", "logit_scale", HF_KEY_REAL, true, REAL_MAX, 0},
    {0},
};

static const struct hf_key_row gpt_neox_keys[] = {
    {"use_parallel_residual", "use_parallel_residual", HF_KEY_FLAG, false, 0, 1},
    {0},
};

static const struct hf_key_row gpt2_keys[] = {
    {"n_embd", "embedding_length", HF_KEY_COUNT, true, LIMIT_MODEL_DIM, 0},
    {"n_layer", "block_count", HF_KEY_COUNT, true, LIMIT_MODEL_LAYERS, 0},
    {"n_head", "attention.head_count", HF_KEY_COUNT, true, LIMIT_MODEL_HEADS, 0},
    {"vocab_size", "vocab_size", HF_KEY_COUNT, true, LIMIT_MODEL_VOCAB, 0},
    {"layer_norm_epsilon", "attention.layer_norm_epsilon", HF_KEY_REAL, true, 1, 0},
    {"scale_attn_by_inverse_layer_idx", NULL, HF_KEY_FALSE, false, 0, 0},
    {"scale_attn_weights", NULL, HF_KEY_TRUE, false, 0, 0},
    {"add_cross_attention", NULL, HF_KEY_FALSE, false, 0, 0},
    {0},
};

static const struct hf_key_row falcon_keys[] = {
    {"layer_norm_epsilon", "attention.layer_norm_epsilon", HF_KEY_REAL, true, 1, 0},
    {"alibi", NULL, HF_KEY_FALSE, false, 0, 0},
    {0},
};

static const struct hf_key_row *const llama_lists[] = {sizes, kv_heads, dense, rms, NULL};
static const struct hf_key_row *const mixtral_lists[] = {sizes, kv_heads,        dense,
                                                         rms,   mixtral_experts, NULL};
static const struct hf_key_row *const qwen2_moe_lists[] = {
    sizes, kv_heads, rms, qwen_experts, some_dense, expert_ffn, shared_expert, NULL};
static const struct hf_key_row *const qwen3_moe_lists[] = {
    sizes, kv_heads, rms, qwen_experts, some_dense, expert_ffn, NULL};
static const struct hf_key_row *const olmoe_lists[] = {sizes,        kv_heads,   dense, rms,
                                                       qwen_experts, all_sparse, NULL};
static const struct hf_key_row *const deepseek_v2_lists[] = {sizes, rms, deepseek_keys,
                                                             deepseek_v2_keys, NULL};
static const struct hf_key_row *const deepseek_v3_lists[] = {sizes, rms, deepseek_keys,
                                                             deepseek_v3_keys, NULL};
static const struct hf_key_row *const granite_lists[] = {sizes, kv_heads,       dense,
                                                         rms,   granite_scales, NULL};
static const struct hf_key_row *const gemma2_lists[] = {sizes, kv_heads,    dense,
                                                        rms,   gemma2_caps, NULL};
static const struct hf_key_row *const gemma3_lists[] = {gemma3_sizes, gemma3_keys, NULL};
static const struct hf_key_row *const gpt_oss_lists[] = {sizes, kv_heads, rms, gpt_oss_keys, NULL};
static const struct hf_key_row *const stablelm_lists[] = {sizes,      kv_heads,      dense,
                                                          layer_norm, stablelm_keys, NULL};
static const struct hf_key_row *const starcoder2_lists[] = {sizes, kv_heads, dense, starcoder2_keys,
                                                            NULL};
static const struct hf_key_row *const cohere_lists[] = {sizes,      kv_heads,    dense,
                                                        layer_norm, cohere_keys, NULL};
static const struct hf_key_row *const gpt_neox_lists[] = {sizes, dense, layer_norm, gpt_neox_keys,
                                                          NULL};
static const struct hf_key_row *const gpt2_lists[] = {gpt2_keys, NULL};
static const struct hf_key_row *const falcon_lists[] = {sizes, falcon_keys, NULL};

/* ---- tensors ---- */

static const struct hf_tensor_row llama_model[] = {
    {"embed_tokens.weight", "token_embd.weight", HF_KEEP},
    {"norm.weight", "output_norm.weight", HF_KEEP},
    {"norm.bias", "output_norm.bias", HF_OPTIONAL},
    {"lm_head.weight", "output.weight", HF_OPTIONAL},
    {0},
};

static const struct hf_tensor_row gemma_model[] = {
    {"embed_tokens.weight", "token_embd.weight", HF_KEEP},
    {"norm.weight", "output_norm.weight", HF_ADD_ONE},
    {"lm_head.weight", "output.weight", HF_OPTIONAL},
    {0},
};

static const struct hf_tensor_row gpt_neox_model[] = {
    {"embed_in.weight", "token_embd.weight", HF_KEEP},
    {"final_layer_norm.weight", "output_norm.weight", HF_KEEP},
    {"final_layer_norm.bias", "output_norm.bias", HF_KEEP},
    {"embed_out.weight", "output.weight", HF_OPTIONAL},
    {0},
};

static const struct hf_tensor_row gpt2_model[] = {
    {"wte.weight", "token_embd.weight", HF_KEEP},
    {"wpe.weight", "position_embd.weight", HF_KEEP},
    {"ln_f.weight", "output_norm.weight", HF_KEEP},
    {"ln_f.bias", "output_norm.bias", HF_KEEP},
    {"lm_head.weight", "output.weight", HF_OPTIONAL},
    {0},
};

static const struct hf_tensor_row falcon_model[] = {
    {"word_embeddings.weight", "token_embd.weight", HF_KEEP},
    {"ln_f.weight", "output_norm.weight", HF_KEEP},
    {"ln_f.bias", "output_norm.bias", HF_KEEP},
    {"lm_head.weight", "output.weight", HF_OPTIONAL},
    {0},
};

static const struct hf_tensor_row norms_before[] = {
    {"input_layernorm.weight", "attn_norm.weight", HF_KEEP},
    {"input_layernorm.bias", "attn_norm.bias", HF_OPTIONAL},
    {"post_attention_layernorm.weight", "ffn_norm.weight", HF_OPTIONAL},
    {"post_attention_layernorm.bias", "ffn_norm.bias", HF_OPTIONAL},
    {0},
};

static const struct hf_tensor_row norms_after[] = {
    {"post_attention_layernorm.weight", "post_attention_norm.weight", HF_KEEP},
    {"post_feedforward_layernorm.weight", "post_ffw_norm.weight", HF_KEEP},
    {0},
};

static const struct hf_tensor_row gemma_norms[] = {
    {"input_layernorm.weight", "attn_norm.weight", HF_ADD_ONE},
    {"post_attention_layernorm.weight", "post_attention_norm.weight", HF_ADD_ONE},
    {"pre_feedforward_layernorm.weight", "ffn_norm.weight", HF_ADD_ONE},
    {"post_feedforward_layernorm.weight", "post_ffw_norm.weight", HF_ADD_ONE},
    {0},
};

static const struct hf_tensor_row glm4_norms[] = {
    {"input_layernorm.weight", "attn_norm.weight", HF_KEEP},
    {"post_self_attn_layernorm.weight", "post_attention_norm.weight", HF_KEEP},
    {"post_attention_layernorm.weight", "ffn_norm.weight", HF_KEEP},
    {"post_mlp_layernorm.weight", "post_ffw_norm.weight", HF_KEEP},
    {0},
};

static const struct hf_tensor_row qkv_apart[] = {
    {"self_attn.q_proj.weight", "attn_q.weight", HF_KEEP},
    {"self_attn.k_proj.weight", "attn_k.weight", HF_KEEP},
    {"self_attn.v_proj.weight", "attn_v.weight", HF_KEEP},
    {"self_attn.q_proj.bias", "attn_q.bias", HF_OPTIONAL},
    {"self_attn.k_proj.bias", "attn_k.bias", HF_OPTIONAL},
    {"self_attn.v_proj.bias", "attn_v.bias", HF_OPTIONAL},
    {"self_attn.o_proj.weight", "attn_output.weight", HF_KEEP},
    {"self_attn.o_proj.bias", "attn_output.bias", HF_OPTIONAL},
    {"self_attn.rotary_emb.inv_freq", NULL, HF_IGNORE},
    {0},
};

static const struct hf_tensor_row qk_norms[] = {
    {"self_attn.q_norm.weight", "attn_q_norm.weight", HF_KEEP},
    {"self_attn.k_norm.weight", "attn_k_norm.weight", HF_KEEP},
    {0},
};

static const struct hf_tensor_row stablelm_qk_norms[] = {
    {"self_attn.q_layernorm.norms.*.weight", "attn_q_norm.weight", HF_STACK},
    {"self_attn.k_layernorm.norms.*.weight", "attn_k_norm.weight", HF_STACK},
    {0},
};

static const struct hf_tensor_row gemma_qk_norms[] = {
    {"self_attn.q_norm.weight", "attn_q_norm.weight", HF_ADD_ONE},
    {"self_attn.k_norm.weight", "attn_k_norm.weight", HF_ADD_ONE},
    {0},
};

static const struct hf_tensor_row gated[] = {
    {"mlp.gate_proj.weight", "ffn_gate.weight", HF_KEEP},
    {"mlp.up_proj.weight", "ffn_up.weight", HF_KEEP},
    {"mlp.down_proj.weight", "ffn_down.weight", HF_KEEP},
    {"mlp.gate_proj.bias", "ffn_gate.bias", HF_OPTIONAL},
    {"mlp.up_proj.bias", "ffn_up.bias", HF_OPTIONAL},
    {"mlp.down_proj.bias", "ffn_down.bias", HF_OPTIONAL},
    {0},
};

static const struct hf_tensor_row gated_fused[] = {
    {"mlp.gate_up_proj.weight", "ffn_up.weight", HF_KEEP},
    {"mlp.down_proj.weight", "ffn_down.weight", HF_KEEP},
    {0},
};

static const struct hf_tensor_row phi3_attention[] = {
    {"self_attn.qkv_proj.weight", "attn_qkv.weight", HF_KEEP},
    {"self_attn.o_proj.weight", "attn_output.weight", HF_KEEP},
    {"self_attn.rotary_emb.inv_freq", NULL, HF_IGNORE},
    {0},
};

static const struct hf_tensor_row mixtral_ffn[] = {
    {"block_sparse_moe.gate.weight", "ffn_gate_inp.weight", HF_KEEP},
    {"block_sparse_moe.experts.*.w1.weight", "ffn_gate.*.weight", HF_KEEP},
    {"block_sparse_moe.experts.*.w2.weight", "ffn_down.*.weight", HF_KEEP},
    {"block_sparse_moe.experts.*.w3.weight", "ffn_up.*.weight", HF_KEEP},
    {0},
};

static const struct hf_tensor_row experts[] = {
    {"mlp.gate.weight", "ffn_gate_inp.weight", HF_KEEP},
    {"mlp.experts.*.gate_proj.weight", "ffn_gate.*.weight", HF_OPTIONAL},
    {"mlp.experts.*.up_proj.weight", "ffn_up.*.weight", HF_OPTIONAL},
    {"mlp.experts.*.down_proj.weight", "ffn_down.*.weight", HF_OPTIONAL},
    {"mlp.experts.gate_up_proj", NULL, HF_GATE_UP},
    {"mlp.experts.down_proj", "ffn_down.*.weight", HF_EXPERTS},
    {0},
};

static const struct hf_tensor_row shared_expert_ffn[] = {
    {"mlp.shared_expert.gate_proj.weight", "ffn_gate_shexp.weight", HF_KEEP},
    {"mlp.shared_expert.up_proj.weight", "ffn_up_shexp.weight", HF_KEEP},
    {"mlp.shared_expert.down_proj.weight", "ffn_down_shexp.weight", HF_KEEP},
    {"mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp.weight", HF_KEEP},
    {0},
};

static const struct hf_tensor_row latent_attention[] = {
    {"self_attn.q_proj.weight", "attn_q.weight", HF_OPTIONAL},
    {"self_attn.q_a_proj.weight", "attn_q_a.weight", HF_OPTIONAL},
    {"self_attn.q_a_layernorm.weight", "attn_q_a_norm.weight", HF_OPTIONAL},
    {"self_attn.q_b_proj.weight", "attn_q_b.weight", HF_OPTIONAL},
    {"self_attn.kv_a_proj_with_mqa.weight", "attn_kv_a_mqa.weight", HF_KEEP},
    {"self_attn.kv_a_layernorm.weight", "attn_kv_a_norm.weight", HF_KEEP},
    {"self_attn.kv_b_proj.weight", "attn_kv_b.weight", HF_KEEP},
    {"self_attn.o_proj.weight", "attn_output.weight", HF_KEEP},
    {"self_attn.rotary_emb.inv_freq", NULL, HF_IGNORE},
    {0},
};

static const struct hf_tensor_row deepseek_shared[] = {
    {"mlp.shared_experts.gate_proj.weight", "ffn_gate_shexp.weight", HF_OPTIONAL},
    {"mlp.shared_experts.up_proj.weight", "ffn_up_shexp.weight", HF_OPTIONAL},
    {"mlp.shared_experts.down_proj.weight", "ffn_down_shexp.weight", HF_OPTIONAL},
    {0},
};

static const struct hf_tensor_row deepseek_v3_merit[] = {
    {"mlp.gate.e_score_correction_bias", "exp_probs_b.bias", HF_KEEP},
    {0},
};

static const struct hf_tensor_row deepseek_next[] = {
    {"enorm.weight", "nextn.enorm.weight", HF_OPTIONAL},
    {"hnorm.weight", "nextn.hnorm.weight", HF_OPTIONAL},
    {"eh_proj.weight", "nextn.eh_proj.weight", HF_OPTIONAL},
    {"embed_tokens.weight", "nextn.embed_tokens.weight", HF_OPTIONAL},
    {"shared_head.norm.weight", "nextn.shared_head_norm.weight", HF_OPTIONAL},
    {"shared_head.head.weight", "nextn.shared_head_head.weight", HF_OPTIONAL},
    {0},
};

static const struct hf_tensor_row gpt_oss_layer[] = {
    {"input_layernorm.weight", "attn_norm.weight", HF_KEEP},
    {"post_attention_layernorm.weight", "post_attention_norm.weight", HF_KEEP},
    {"self_attn.sinks", "attn_sinks.weight", HF_KEEP},
    {"mlp.router.weight", "ffn_gate_inp.weight", HF_KEEP},
    {"mlp.router.bias", "ffn_gate_inp.bias", HF_KEEP},
    {"mlp.experts.gate_up_proj", NULL, HF_PART_GATE_UP},
    {"mlp.experts.gate_up_proj_bias", NULL, HF_PART_GATE_BIAS},
    {"mlp.experts.down_proj", "ffn_down_exps.weight", HF_TURN_EXPERTS},
    {"mlp.experts.down_proj_bias", "ffn_down_exps.bias", HF_KEEP},
    {0},
};

static const struct hf_tensor_row starcoder2_ffn[] = {
    {"mlp.c_fc.weight", "ffn_up.weight", HF_KEEP},
    {"mlp.c_fc.bias", "ffn_up.bias", HF_OPTIONAL},
    {"mlp.c_proj.weight", "ffn_down.weight", HF_KEEP},
    {"mlp.c_proj.bias", "ffn_down.bias", HF_OPTIONAL},
    {0},
};

static const struct hf_tensor_row gpt_neox_layer[] = {
    {"attention.query_key_value.weight", "attn_qkv.weight", HF_HEADS_APART},
    {"attention.query_key_value.bias", "attn_qkv.bias", HF_HEADS_APART},
    {"attention.dense.weight", "attn_output.weight", HF_KEEP},
    {"attention.dense.bias", "attn_output.bias", HF_OPTIONAL},
    {"mlp.dense_h_to_4h.weight", "ffn_up.weight", HF_KEEP},
    {"mlp.dense_h_to_4h.bias", "ffn_up.bias", HF_OPTIONAL},
    {"mlp.dense_4h_to_h.weight", "ffn_down.weight", HF_KEEP},
    {"mlp.dense_4h_to_h.bias", "ffn_down.bias", HF_OPTIONAL},
    {"attention.bias", NULL, HF_IGNORE},
    {"attention.masked_bias", NULL, HF_IGNORE},
    {"attention.rotary_emb.inv_freq", NULL, HF_IGNORE},
    {0},
};

static const struct hf_tensor_row gpt2_layer[] = {
    {"ln_1.weight", "attn_norm.weight", HF_KEEP},
    {"ln_1.bias", "attn_norm.bias", HF_KEEP},
    {"ln_2.weight", "ffn_norm.weight", HF_KEEP},
    {"ln_2.bias", "ffn_norm.bias", HF_KEEP},
    {"attn.c_attn.weight", "attn_qkv.weight", HF_TRANSPOSE},
    {"attn.c_attn.bias", "attn_qkv.bias", HF_KEEP},
    {"attn.c_proj.weight", "attn_output.weight", HF_TRANSPOSE},
    {"attn.c_proj.bias", "attn_output.bias", HF_KEEP},
    {"mlp.c_fc.weight", "ffn_up.weight", HF_TRANSPOSE},
    {"mlp.c_fc.bias", "ffn_up.bias", HF_KEEP},
    {"mlp.c_proj.weight", "ffn_down.weight", HF_TRANSPOSE},
    {"mlp.c_proj.bias", "ffn_down.bias", HF_KEEP},
    {"attn.bias", NULL, HF_IGNORE},
    {"attn.masked_bias", NULL, HF_IGNORE},
    {0},
};

static const struct hf_tensor_row falcon_layer[] = {
    {"input_layernorm.weight", "attn_norm.weight", HF_OPTIONAL},
    {"input_layernorm.bias", "attn_norm.bias", HF_OPTIONAL},
    {"post_attention_layernorm.weight", "ffn_norm.weight", HF_OPTIONAL},
    {"post_attention_layernorm.bias", "ffn_norm.bias", HF_OPTIONAL},
    {"ln_mlp.weight", "attn_norm.weight", HF_OPTIONAL},
    {"ln_mlp.bias", "attn_norm.bias", HF_OPTIONAL},
    {"ln_attn.weight", "attn_norm_2.weight", HF_OPTIONAL},
    {"ln_attn.bias", "attn_norm_2.bias", HF_OPTIONAL},
    {"self_attention.query_key_value.weight", "attn_qkv.weight", HF_HEADS_APART},
    {"self_attention.query_key_value.bias", "attn_qkv.bias", HF_HEADS_APART},
    {"self_attention.dense.weight", "attn_output.weight", HF_KEEP},
    {"self_attention.dense.bias", "attn_output.bias", HF_OPTIONAL},
    {"mlp.dense_h_to_4h.weight", "ffn_up.weight", HF_KEEP},
    {"mlp.dense_h_to_4h.bias", "ffn_up.bias", HF_OPTIONAL},
    {"mlp.dense_4h_to_h.weight", "ffn_down.weight", HF_KEEP},
    {"mlp.dense_4h_to_h.bias", "ffn_down.bias", HF_OPTIONAL},
    {0},
};

static const struct hf_tensor_row *const llama_layers[] = {norms_before, qkv_apart, gated, NULL};
static const struct hf_tensor_row *const mixtral_layers[] = {norms_before, qkv_apart, mixtral_ffn,
                                                             NULL};
static const struct hf_tensor_row *const qwen3_layers[] = {norms_before, qkv_apart, qk_norms, gated,
                                                           NULL};
static const struct hf_tensor_row *const qkv_layers[] = {norms_before, qkv_apart, NULL};
static const struct hf_tensor_row *const qk_norm_layers[] = {norms_before, qkv_apart, qk_norms,
                                                             NULL};
static const struct hf_tensor_row *const latent_layers[] = {norms_before, latent_attention, NULL};
static const struct hf_tensor_row *const dense_layers[] = {gated, NULL};
static const struct hf_tensor_row *const sparse_layers[] = {experts, NULL};
static const struct hf_tensor_row *const qwen2_moe_layers[] = {experts, shared_expert_ffn, NULL};
static const struct hf_tensor_row *const deepseek_v2_layers[] = {experts, deepseek_shared, NULL};
static const struct hf_tensor_row *const deepseek_v3_layers[] = {experts, deepseek_shared,
                                                                 deepseek_v3_merit, NULL};
static const struct hf_tensor_row *const olmo2_layers[] = {norms_after, qkv_apart, qk_norms, gated,
                                                           NULL};
static const struct hf_tensor_row *const phi3_layers[] = {norms_before, phi3_attention, gated_fused,
                                                          NULL};
static const struct hf_tensor_row *const gemma2_layers[] = {gemma_norms, qkv_apart, gated, NULL};
static const struct hf_tensor_row *const gemma3_layers[] = {gemma_norms, qkv_apart, gemma_qk_norms,
                                                            gated, NULL};
static const struct hf_tensor_row *const gpt_oss_layers[] = {gpt_oss_layer, qkv_apart, NULL};
static const struct hf_tensor_row *const glm4_layers[] = {glm4_norms, qkv_apart, gated_fused, NULL};
static const struct hf_tensor_row *const starcoder2_layers[] = {norms_before, qkv_apart,
                                                                starcoder2_ffn, NULL};
static const struct hf_tensor_row *const gpt_neox_layers[] = {norms_before, gpt_neox_layer, NULL};
static const struct hf_tensor_row *const gpt2_layers[] = {gpt2_layer, NULL};
static const struct hf_tensor_row *const falcon_layers[] = {falcon_layer, NULL};

/* ---- families ---- */

#define DECODER(lists, rows)                                                                       \
    .base = "model.", .layers = "layers.", .keys = (lists), .model_tensors = llama_model,          \
    .layer_tensors = (rows), .embedding = "model.embed_tokens.weight", .head = "lm_head.weight",   \
    .activation_key = "hidden_act"
#define SILU      .activations = {"silu", "swish"}
#define GELU_TANH .activations = {"gelu_pytorch_tanh", "gelu_new"}

#define GEMMA3                                                                                     \
    .architecture = "gemma3", .layers = "layers.", .keys = gemma3_lists,                           \
    .model_tensors = gemma_model, .layer_tensors = gemma3_layers, .head = "lm_head.weight",        \
    .activation_key = "hidden_activation", GELU_TANH, .theta = 1000000.0, .head_dim = 256,         \
    .positions = 131072, .scalar = 256.0, .scalar_scale = true, .local_rope = true,                \
    .windows = HF_WINDOWS_ALTERNATE, .window_period = 6

static const char *const gemma3_vision[] = {"vision_tower.", "multi_modal_projector.",
                                            "model.vision_tower.", "model.multi_modal_projector.",
                                            NULL};

static const struct hf_family families[] = {
    {.model_type = "llama",
     .architecture = "llama",
     DECODER(llama_lists, llama_layers),
     SILU,
     .halves = true},
    {.model_type = "mistral",
     .architecture = "llama",
     DECODER(llama_lists, llama_layers),
     SILU,
     .halves = true,
     .windows = HF_WINDOWS_ALL},
    {.model_type = "mixtral",
     .theta = 1000000.0,
     .architecture = "llama",
     DECODER(mixtral_lists, mixtral_layers),
     SILU,
     .halves = true,
     .windows = HF_WINDOWS_ALL},
    {.model_type = "qwen2",
     .architecture = "qwen2",
     DECODER(llama_lists, llama_layers),
     SILU,
     .windows = HF_WINDOWS_LATE},
    {.model_type = "qwen3",
     .architecture = "qwen3",
     DECODER(llama_lists, qwen3_layers),
     SILU,
     .windows = HF_WINDOWS_LATE},
    {.model_type = "qwen2_moe",
     .architecture = "qwen2moe",
     DECODER(qwen2_moe_lists, qkv_layers),
     .sparse_tensors = qwen2_moe_layers,
     .dense_tensors = dense_layers,
     .dense = HF_DENSE_LISTED,
     SILU,
     .windows = HF_WINDOWS_LATE},
    {.model_type = "qwen3_moe",
     .architecture = "qwen3moe",
     DECODER(qwen3_moe_lists, qk_norm_layers),
     .sparse_tensors = sparse_layers,
     .dense_tensors = dense_layers,
     .dense = HF_DENSE_LISTED,
     SILU,
     .windows = HF_WINDOWS_LATE},
    {.model_type = "olmo2", .architecture = "olmo2", DECODER(llama_lists, olmo2_layers), SILU},
    {.model_type = "olmoe",
     .architecture = "olmoe",
     DECODER(olmoe_lists, qk_norm_layers),
     .sparse_tensors = sparse_layers,
     SILU},
    {.model_type = "deepseek_v2",
     .architecture = "deepseek2",
     DECODER(deepseek_v2_lists, latent_layers),
     .sparse_tensors = deepseek_v2_layers,
     .dense_tensors = dense_layers,
     .dense = HF_DENSE_LEADING,
     SILU,
     .latent = true},
    {.model_type = "deepseek_v3",
     .architecture = "deepseek2",
     DECODER(deepseek_v3_lists, latent_layers),
     .sparse_tensors = deepseek_v3_layers,
     .dense_tensors = dense_layers,
     .next_tensors = deepseek_next,
     .dense = HF_DENSE_LEADING,
     SILU,
     .latent = true,
     .sigmoid_routing = true},
    {.model_type = "phi3",
     .architecture = "phi3",
     DECODER(llama_lists, phi3_layers),
     SILU,
     .windows = HF_WINDOWS_ALL},
    {.model_type = "granite",
     .architecture = "granite",
     DECODER(granite_lists, llama_layers),
     SILU,
     .halves = true},
    {.model_type = "smollm3",
     .theta = 2000000.0,
     .architecture = "smollm3",
     DECODER(llama_lists, llama_layers),
     SILU,
     .halves = true,
     .windows = HF_WINDOWS_LATE,
     .unrotated_fourth = true},
    {.model_type = "gemma2",
     .architecture = "gemma2",
     .base = "model.",
     .layers = "layers.",
     .keys = gemma2_lists,
     .model_tensors = gemma_model,
     .layer_tensors = gemma2_layers,
     .embedding = "model.embed_tokens.weight",
     .head = "lm_head.weight",
     .activation_key = "hidden_activation",
     GELU_TANH,
     .scalar_scale = true,
     .windows = HF_WINDOWS_ALTERNATE,
     .window_period = 2},
    {.model_type = "gemma3_text",
     .base = "model.",
     .embedding = "model.embed_tokens.weight",
     GEMMA3},
    {.model_type = "gemma3", /* with a vision part, which is left alone */
     .config_object = "text_config",
     .ignored = gemma3_vision,
     .base = "language_model.model.",
     .other_base = "model.language_model.",
     .embedding = "language_model.model.embed_tokens.weight",
     GEMMA3},
    {.model_type = "glm4",
     .architecture = "glm4",
     DECODER(llama_lists, glm4_layers),
     SILU,
     .partial = 0.5},
    {.model_type = "gpt_oss",
     .theta = 150000.0,
     .architecture = "gpt-oss",
     DECODER(gpt_oss_lists, gpt_oss_layers),
     SILU,
     .own_activation = true,
     .yarn_exact = true,
     .windows = HF_WINDOWS_ALTERNATE,
     .window_period = 2},
    {.model_type = "stablelm",
     .architecture = "stablelm",
     DECODER(stablelm_lists, llama_layers),
     .qk_norm_tensors = stablelm_qk_norms,
     .qk_norm_key = "qk_layernorm",
     SILU,
     .partial = 0.25},
    {.model_type = "starcoder2",
     .architecture = "starcoder2",
     DECODER(starcoder2_lists, starcoder2_layers),
     GELU_TANH,
     .windows = HF_WINDOWS_ALL},
    {.model_type = "cohere",
     .theta = 500000.0,
     .architecture = "command-r",
     DECODER(cohere_lists, llama_layers),
     .qk_norm_tensors = qk_norms,
     .qk_norm_key = "use_qk_norm",
     SILU},
    {.model_type = "gpt_neox",
     .architecture = "gptneox",
     .base = "gpt_neox.",
     .layers = "layers.",
     .keys = gpt_neox_lists,
     .model_tensors = gpt_neox_model,
     .layer_tensors = gpt_neox_layers,
     .embedding = "gpt_neox.embed_in.weight",
     .head = "embed_out.weight",
     .activation_key = "hidden_act",
     .activations = {"gelu"},
     .theta_key = "rotary_emb_base",
     .partial_key = "rotary_pct",
     .partial = 0.25},
    {.model_type = "gpt2",
     .architecture = "gpt2",
     .base = "transformer.",
     .layers = "h.",
     .keys = gpt2_lists,
     .model_tensors = gpt2_model,
     .layer_tensors = gpt2_layers,
     .embedding = "transformer.wte.weight",
     .head = "lm_head.weight",
     .activation_key = "activation_function",
     GELU_TANH,
     .positions_key = "n_positions",
     .learned_positions = true},
    {.model_type = "falcon",
     .architecture = "falcon",
     .base = "transformer.",
     .layers = "h.",
     .keys = falcon_lists,
     .model_tensors = falcon_model,
     .layer_tensors = falcon_layers,
     .embedding = "transformer.word_embeddings.weight",
     .head = "lm_head.weight",
     .activation_key = "activation",
     .activations = {"gelu"},
     .falcon = true},
};

enum {
    FAMILY_COUNT = sizeof families / sizeof families[0]
};

const struct hf_family *hf_family_find(const char *model_type)
{
    for (uint32_t i = 0; i < FAMILY_COUNT; i++) {
        if (strcmp(families[i].model_type, model_type) == 0) {
            return &families[i];
        }
    }
    return NULL;
}

const char *hf_family_list(char *out, uint32_t out_bytes)
{
    uint32_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < FAMILY_COUNT && used < out_bytes; i++) {
        int written = snprintf(out + used, out_bytes - used, "%s%s", i > 0 ? ", " : "",
                               families[i].model_type);
        used += (uint32_t)written;
    }
    return out;
}
