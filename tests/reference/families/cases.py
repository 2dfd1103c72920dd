"""The cases of the parity suite: every family as the configurations in which it differs.

A case is a configuration class, its arguments and how the directory is written. The models have
two to four layers and odd sizes, so that no axis can be taken for another; windows and original
contexts are shorter than the longest prompt, so that they matter.
SPDX-License-Identifier: Apache-2.0
"""
from dataclasses import dataclass, field

# Model prompts, in tokens. Longer than every window and original context below.
PROMPTS = (1, 2, 17, 64, 300)


@dataclass
class Case:
    name: str  # family/variant, as a folder: family-variant
    config: str  # the configuration class without "Config"
    args: dict
    dtype: str = "float32"
    hub: bool = True  # config.json with the keys of published models, else as saved today
    shard: str = ""  # max_shard_size, or one file
    rename: str = ""  # a function of make.py on tensor names, for files as published
    equal_experts: bool = False  # two experts with the same router row and the same weights
    quantised: str = ""  # a method of quantised.py
    golden: bool = False  # kept in tests/golden/families
    prompts: tuple = PROMPTS
    drop: tuple = ()  # keys that config.json leaves to the class
    extra: dict = field(default_factory=dict)  # keys set in config.json at last

    @property
    def family(self):
        return self.name.split("-")[0]


def sizes(**changes):
    """The usual sizes in the usual words: five query heads of 12 over one, or what changes say."""
    base = dict(hidden_size=48, intermediate_size=72, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, max_position_embeddings=512)
    return {**base, **changes}


def rope(kind, theta=10000.0, **parameters):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **parameters))


LLAMA3 = rope("llama3", 50000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
LINEAR = rope("linear", factor=4.0)
YARN = rope("yarn", factor=4.0, original_max_position_embeddings=64)
YARN_TUNED = rope("yarn", factor=8.0, original_max_position_embeddings=32, beta_fast=16.0,
                  beta_slow=2.0, attention_factor=1.3)
DYNAMIC = rope("dynamic", factor=4.0)


def longrope(pairs):
    return rope("longrope", short_factor=[1.0 + 0.05 * i for i in range(pairs)],
                long_factor=[1.5 + 0.7 * i for i in range(pairs)],
                original_max_position_embeddings=64)


# Rows of whole blocks, for weights that are quantised afterwards.
BLOCKS = sizes(hidden_size=64, intermediate_size=96)


def llama():
    yield Case("llama-base", "Llama", sizes(rms_norm_eps=1e-5), golden=True, dtype="bfloat16")
    yield Case("llama-tied", "Llama", sizes(tie_word_embeddings=True), dtype="bfloat16",
               golden=True)
    yield Case("llama-odd", "Llama", sizes(hidden_size=60, num_attention_heads=5,
                                           num_key_value_heads=1, intermediate_size=97), hub=False)
    yield Case("llama-head_dim", "Llama", sizes(head_dim=20, num_hidden_layers=3), dtype="float16")
    yield Case("llama-every_head", "Llama", sizes(num_key_value_heads=4), hub=False)
    yield Case("llama-bias", "Llama", sizes(attention_bias=True, mlp_bias=True))
    yield Case("llama-llama3", "Llama", sizes(tie_word_embeddings=True, **LLAMA3), golden=True,
               dtype="bfloat16")
    yield Case("llama-llama3_saved", "Llama", sizes(**LLAMA3), hub=False)
    yield Case("llama-linear", "Llama", sizes(**LINEAR))
    yield Case("llama-linear_type", "Llama", sizes(**LINEAR),
               extra=dict(rope_scaling={"type": "linear", "factor": 4.0}))  # before rope_type
    yield Case("llama-yarn", "Llama", sizes(**YARN))
    yield Case("llama-yarn_tuned", "Llama", sizes(**YARN_TUNED), hub=False)
    yield Case("llama-dynamic", "Llama", sizes(**{**DYNAMIC, "max_position_embeddings": 64}),
               prompts=(1, 2, 17, 30))  # up to the trained context, where it changes nothing
    yield Case("llama-sharded", "Llama", sizes(num_hidden_layers=3), shard="60KB")
    yield Case("llama-sharded_bf16", "Llama", sizes(num_hidden_layers=4, tie_word_embeddings=True),
               dtype="bfloat16", shard="40KB", hub=False)
    yield Case("llama-frequencies", "Llama", sizes(), rename="with_frequencies")
    yield Case("llama-padded", "Llama", sizes(vocab_size=320), dtype="bfloat16")
    yield Case("llama-blocks", "Llama", BLOCKS)
    for method in ("gptq", "gptq_order", "gptq_v2", "gptq8", "awq", "packed", "packed_zeros", "packed8",
                   "int8", "float8", "fp8"):
        yield Case("llama-" + method, "Llama", BLOCKS, quantised=method, dtype="float16",
                   golden=method in ("gptq", "fp8"), prompts=(1, 2, 17, 64))
    yield Case("llama-gelu", "Llama", sizes(hidden_act="gelu"))
    yield Case("llama-relu", "Llama", sizes(hidden_act="relu"))
    yield Case("llama-gelu_tanh", "Llama", sizes(hidden_act="gelu_pytorch_tanh"), hub=False)


def mistral():
    yield Case("mistral-window", "Mistral", sizes(head_dim=16, sliding_window=24), golden=True,
               dtype="bfloat16")
    yield Case("mistral-no_window", "Mistral", sizes(head_dim=12, sliding_window=None), hub=False)
    yield Case("mistral-wide", "Mistral", sizes(head_dim=24, sliding_window=None,
                                                rope_parameters=dict(rope_type="default",
                                                                     rope_theta=1e6)),
               dtype="bfloat16", shard="50KB")


def mixtral():
    def experts(**changes):
        return sizes(head_dim=12, intermediate_size=28, num_local_experts=5, num_experts_per_tok=2,
                     sliding_window=None, **changes)
    yield Case("mixtral-base", "Mixtral", experts(), golden=True, dtype="float16")
    yield Case("mixtral-one", "Mixtral", {**experts(), "num_experts_per_tok": 1}, hub=False)
    yield Case("mixtral-default_theta", "Mixtral", experts(), drop=("rope_theta",))
    yield Case("mixtral-equal", "Mixtral", experts(), equal_experts=True)
    yield Case("mixtral-sharded", "Mixtral", experts(num_hidden_layers=3), shard="80KB",
               dtype="bfloat16")


def qwen2():
    yield Case("qwen2-base", "Qwen2", sizes(), golden=True, dtype="bfloat16")
    yield Case("qwen2-tied", "Qwen2", sizes(tie_word_embeddings=True), dtype="bfloat16", hub=False)
    yield Case("qwen2-padded", "Qwen2", sizes(vocab_size=320, tie_word_embeddings=True))
    yield Case("qwen2-yarn", "Qwen2", sizes(**YARN))
    yield Case("qwen2-window", "Qwen2", sizes(num_hidden_layers=4, use_sliding_window=True,
                                              sliding_window=20, max_window_layers=2))
    yield Case("qwen2-window_saved", "Qwen2", sizes(num_hidden_layers=3, use_sliding_window=True,
                                                    sliding_window=20, max_window_layers=1),
               hub=False)
    yield Case("qwen2-window_off", "Qwen2", sizes(use_sliding_window=False, sliding_window=20,
                                                  max_window_layers=1))


def qwen3():
    yield Case("qwen3-base", "Qwen3", sizes(head_dim=16), golden=True, dtype="bfloat16")
    yield Case("qwen3-tied", "Qwen3", sizes(head_dim=20, tie_word_embeddings=True),
               dtype="bfloat16", hub=False)
    yield Case("qwen3-yarn", "Qwen3", sizes(head_dim=16, **YARN))
    yield Case("qwen3-bias", "Qwen3", sizes(head_dim=16, attention_bias=True))


def qwen2_moe():
    def experts(**changes):
        return sizes(**{**dict(moe_intermediate_size=24, shared_expert_intermediate_size=40,
                               num_experts=6, num_experts_per_tok=2), **changes})
    yield Case("qwen2_moe-base", "Qwen2Moe", experts(), dtype="bfloat16")
    yield Case("qwen2_moe-normalised", "Qwen2Moe", experts(norm_topk_prob=True), hub=False)
    yield Case("qwen2_moe-equal", "Qwen2Moe", experts(), equal_experts=True)
    yield Case("qwen2_moe-mixed", "Qwen2Moe", experts(mlp_only_layers=[0]), golden=True,
               dtype="bfloat16")
    yield Case("qwen2_moe-every_second", "Qwen2Moe", experts(num_hidden_layers=4,
                                                             decoder_sparse_step=2,
                                                             mlp_only_layers=[3]), hub=False)


def qwen3_moe():
    def experts(**changes):
        return sizes(**{**dict(head_dim=16, moe_intermediate_size=24, num_experts=7,
                               num_experts_per_tok=3, norm_topk_prob=True), **changes})
    yield Case("qwen3_moe-base", "Qwen3Moe", experts(), dtype="bfloat16")
    yield Case("qwen3_moe-blocks", "Qwen3Moe", {**BLOCKS, **experts(
        hidden_size=64, moe_intermediate_size=32)})
    yield Case("qwen3_moe-raw", "Qwen3Moe", experts(norm_topk_prob=False), hub=False)
    yield Case("qwen3_moe-equal", "Qwen3Moe", experts(), equal_experts=True)
    yield Case("qwen3_moe-mixed", "Qwen3Moe", experts(decoder_sparse_step=2), golden=True,
               dtype="bfloat16")


def olmo2():
    yield Case("olmo2-base", "Olmo2", sizes(), golden=True, dtype="bfloat16")
    yield Case("olmo2-tied", "Olmo2", sizes(tie_word_embeddings=True, num_key_value_heads=4),
               dtype="bfloat16", hub=False)


def olmoe():
    def experts(**changes):
        return sizes(**{**dict(intermediate_size=20, num_experts=6, num_experts_per_tok=3,
                               num_key_value_heads=4), **changes})
    yield Case("olmoe-base", "Olmoe", experts(), golden=True, dtype="bfloat16")
    yield Case("olmoe-normalised", "Olmoe", experts(norm_topk_prob=True, num_key_value_heads=2),
               hub=False)


def phi3():
    long_prompts = (65, 100, 300)
    yield Case("phi3-base", "Phi3", sizes(), dtype="bfloat16")
    yield Case("phi3-window", "Phi3", sizes(sliding_window=20), hub=False)
    yield Case("phi3-long", "Phi3", sizes(original_max_position_embeddings=64, **longrope(6)),
               prompts=long_prompts, golden=True, dtype="bfloat16")
    yield Case("phi3-short", "Phi3", sizes(max_position_embeddings=64,
                                           original_max_position_embeddings=64, **longrope(6)),
               prompts=(1, 2, 17, 30))
    partial = longrope(6)
    partial["rope_parameters"]["partial_rotary_factor"] = 0.75
    yield Case("phi3-partial", "Phi3", sizes(hidden_size=64, tie_word_embeddings=True,
                                             original_max_position_embeddings=64, **partial),
               prompts=long_prompts)


def gemma2():
    def gemma(**changes):
        return sizes(**{**dict(head_dim=16, num_hidden_layers=2, sliding_window=24,
                               query_pre_attn_scalar=20, attn_logit_softcapping=5.0,
                               final_logit_softcapping=8.0), **changes})
    yield Case("gemma2-base", "Gemma2", gemma(), golden=True, dtype="bfloat16")
    yield Case("gemma2-saved", "Gemma2", gemma(num_hidden_layers=3), dtype="bfloat16", hub=False)
    yield Case("gemma2-published_caps", "Gemma2", gemma(attn_logit_softcapping=50.0,
                                                        final_logit_softcapping=30.0,
                                                        query_pre_attn_scalar=16))


def gemma3():
    def gemma(layers, **changes):
        full = changes.pop("full", {"rope_type": "default", "rope_theta": 1e6})
        return sizes(**{**dict(hidden_size=36, head_dim=16, num_hidden_layers=layers,
                               sliding_window=24, query_pre_attn_scalar=20,
                               rope_parameters={
                                   "sliding_attention": {"rope_type": "default",
                                                         "rope_theta": 10000.0},
                                   "full_attention": full}), **changes})
    yield Case("gemma3-base", "Gemma3Text", gemma(6), golden=True, dtype="bfloat16")
    yield Case("gemma3-default_theta", "Gemma3Text", gemma(6), drop=("rope_theta",
                                                                     "rope_local_base_freq"))
    yield Case("gemma3-saved", "Gemma3Text", gemma(6), hub=False)
    yield Case("gemma3-linear", "Gemma3Text",
               gemma(6, full={"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0}))


    yield Case("gemma3-vision", "Gemma3", dict(
        text_config={**gemma(6), "vocab_size": 300}, mm_tokens_per_image=4, image_token_index=290,
        boi_token_index=291, eoi_token_index=292,
        vision_config=dict(hidden_size=16, intermediate_size=20, num_hidden_layers=1,
                           num_attention_heads=2, image_size=28, patch_size=7)), hub=False)
    # What published configurations leave to the class, and the newer names of tensors.
    yield Case("gemma3-vision_defaults", "Gemma3", dict(
        text_config={**gemma(6, full={"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0}),
                     "hidden_size": 40, "head_dim": 256, "num_attention_heads": 8, "num_key_value_heads": 4,
                     "query_pre_attn_scalar": 256, "vocab_size": 300},
        mm_tokens_per_image=4, image_token_index=290, boi_token_index=291, eoi_token_index=292,
        vision_config=dict(hidden_size=16, intermediate_size=20, num_hidden_layers=1,
                           num_attention_heads=2, image_size=28, patch_size=7)),
        rename="with_newer_vision_names", dtype="bfloat16",
        drop=tuple("text_config." + key for key in (
            "head_dim", "num_attention_heads", "num_key_value_heads", "query_pre_attn_scalar",
            "rms_norm_eps", "max_position_embeddings", "hidden_activation", "rope_theta",
            "rope_local_base_freq", "sliding_window_pattern", "attn_logit_softcapping",
            "final_logit_softcapping")))


def granite():
    def granite_of(**changes):
        return sizes(embedding_multiplier=3.0, logits_scaling=5.0, residual_multiplier=0.3,
                     attention_multiplier=0.17, **changes)
    yield Case("granite-base", "Granite", granite_of(), golden=True, dtype="float16")
    yield Case("granite-tied", "Granite", granite_of(tie_word_embeddings=True), dtype="bfloat16",
               hub=False)
    yield Case("granite-bias", "Granite", granite_of(attention_bias=True, mlp_bias=True))


def smollm3():
    yield Case("smollm3-base", "SmolLM3", sizes(num_hidden_layers=4), dtype="bfloat16")
    yield Case("smollm3-default_theta", "SmolLM3", sizes(num_hidden_layers=4),
               drop=("rope_theta", "no_rope_layers", "no_rope_layer_interval"))
    yield Case("smollm3-untied", "SmolLM3", sizes(num_hidden_layers=4, tie_word_embeddings=False),
               hub=False)
    yield Case("smollm3-every_second", "SmolLM3", sizes(no_rope_layer_interval=2), golden=True,
               dtype="bfloat16")
    yield Case("smollm3-listed", "SmolLM3", sizes(num_hidden_layers=3, no_rope_layers=[0, 1, 1]),
               hub=False)


def glm4():
    def glm(**changes):
        rotary = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
        return sizes(**{**dict(head_dim=16, rope_parameters=rotary), **changes})
    yield Case("glm4-base", "Glm4", glm(), golden=True, dtype="bfloat16")
    yield Case("glm4-saved", "Glm4", glm(), dtype="bfloat16", hub=False)
    yield Case("glm4-no_bias", "Glm4", glm(attention_bias=False))


def stablelm():
    def stable(**changes):
        rotary = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25}
        return sizes(**{**dict(hidden_size=48, num_attention_heads=3, num_key_value_heads=1,
                               rope_parameters=rotary), **changes})
    yield Case("stablelm-base", "StableLm", stable(), golden=True, dtype="float16")
    yield Case("stablelm-bias", "StableLm", stable(use_qkv_bias=True), hub=False)
    yield Case("stablelm-parallel", "StableLm", stable(use_parallel_residual=True), golden=True,
               dtype="bfloat16")
    yield Case("stablelm-parallel_qk_norm", "StableLm", stable(use_parallel_residual=True,
                                                               qk_layernorm=True))
    yield Case("stablelm-qk_norm", "StableLm", stable(qk_layernorm=True))


def starcoder2():
    yield Case("starcoder2-base", "Starcoder2", sizes(), golden=True, dtype="bfloat16")
    yield Case("starcoder2-window", "Starcoder2", sizes(sliding_window=24,
                                                        tie_word_embeddings=False),
               dtype="bfloat16", hub=False)
    yield Case("starcoder2-no_bias", "Starcoder2", sizes(use_bias=False))


def cohere():
    yield Case("cohere-base", "Cohere", sizes(logit_scale=0.3), golden=True, dtype="bfloat16")
    yield Case("cohere-qk_norm", "Cohere", sizes(use_qk_norm=True, logit_scale=0.25),
               dtype="bfloat16")
    yield Case("cohere-default_theta", "Cohere", sizes(logit_scale=0.3), drop=("rope_theta",))
    yield Case("cohere-saved", "Cohere", sizes(num_key_value_heads=4), hub=False)


def gpt_neox():
    def neox(**changes):
        arguments = sizes(**{**dict(hidden_size=48, num_attention_heads=3,
                                       intermediate_size=80), **changes})
        del arguments["num_key_value_heads"]
        return arguments
    yield Case("gpt_neox-parallel", "GPTNeoX", neox(), golden=True, dtype="bfloat16")
    yield Case("gpt_neox-serial", "GPTNeoX", neox(use_parallel_residual=False),
               dtype="float16")
    yield Case("gpt_neox-rotary_all", "GPTNeoX",
               neox(rope_parameters={"rope_type": "default", "rope_theta": 20000.0,
                                     "partial_rotary_factor": 1.0}), hub=False)
    yield Case("gpt_neox-masks", "GPTNeoX", neox(), rename="with_neox_masks")


def gpt2():
    def gpt(**changes):
        return {**dict(n_embd=48, n_layer=2, n_head=4, n_positions=400), **changes}
    yield Case("gpt2-base", "GPT2", gpt(), golden=True, dtype="float16")
    yield Case("gpt2-published", "GPT2", gpt(n_layer=3), rename="without_transformer",
               dtype="bfloat16")
    yield Case("gpt2-saved", "GPT2", gpt(n_inner=80, n_embd=60, n_head=5), hub=False)
    yield Case("gpt2-untied", "GPT2", gpt(tie_word_embeddings=False))


def falcon():
    def falcon_of(**changes):
        return {**dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4,
                       max_position_embeddings=512), **changes}
    yield Case("falcon-multi_query", "Falcon", falcon_of(), golden=True, dtype="bfloat16")
    yield Case("falcon-new", "Falcon", falcon_of(new_decoder_architecture=True, num_kv_heads=2),
               golden=True, dtype="bfloat16")
    yield Case("falcon-one_norm", "Falcon", falcon_of(new_decoder_architecture=True, num_kv_heads=2,
                                                      num_ln_in_parallel_attn=1))
    yield Case("falcon-serial", "Falcon", falcon_of(parallel_attn=False, multi_query=False,
                                                    bias=True), hub=False)
    yield Case("falcon-alibi", "Falcon", falcon_of(alibi=True, multi_query=False,
                                                   parallel_attn=False, bias=True))


def gpt_oss():
    yield Case("gpt_oss-base", "GptOss", sizes(
        head_dim=16, intermediate_size=28, num_local_experts=4, num_experts_per_tok=2,
        sliding_window=24, **rope("yarn", 150000.0, factor=8.0, beta_fast=32.0, beta_slow=1.0,
                                  truncate=False, original_max_position_embeddings=64)),
        dtype="bfloat16", golden=True)
    yield Case("gpt_oss-saved", "GptOss", sizes(
        head_dim=16, intermediate_size=40, num_local_experts=6, num_experts_per_tok=3,
        num_hidden_layers=3, sliding_window=24, **rope("yarn", 150000.0, factor=8.0, truncate=False,
                                                       original_max_position_embeddings=64)),
        hub=False)
    yield Case("gpt_oss-mxfp4", "GptOss", sizes(  # all experts: rounding routes no token elsewhere
        hidden_size=64, head_dim=16, intermediate_size=96, num_local_experts=4,
        num_experts_per_tok=4, sliding_window=24), dtype="bfloat16", quantised="mxfp4")


def deepseek(**changes):
    """Latent vectors of 20, so that with 8 rotated values they are no whole registers."""
    return sizes(**{**dict(q_lora_rank=20, kv_lora_rank=20, qk_nope_head_dim=12, qk_rope_head_dim=8,
                           v_head_dim=10, n_routed_experts=6, num_experts_per_tok=2,
                           n_shared_experts=1, moe_intermediate_size=20, first_k_dense_replace=1,
                           head_dim=8, num_key_value_heads=4), **changes})


def deepseek_v2():
    yarn = rope("yarn", factor=8.0, original_max_position_embeddings=64, beta_fast=32.0,
                beta_slow=1.0, mscale=0.707, mscale_all_dim=0.707)
    yield Case("deepseek_v2-lite", "DeepseekV2", deepseek(
        q_lora_rank=None, kv_lora_rank=24, n_shared_experts=2, num_hidden_layers=3,
        topk_method="greedy"), dtype="bfloat16")
    yield Case("deepseek_v2-grouped", "DeepseekV2", deepseek(
        routed_scaling_factor=1.5, topk_method="group_limited_greedy", n_group=3, topk_group=2),
        hub=False)
    yield Case("deepseek_v2-yarn", "DeepseekV2", deepseek(
        q_lora_rank=None, n_routed_experts=4, intermediate_size=40, **yarn), golden=True,
        dtype="bfloat16")
    yield Case("deepseek_v2-blocks", "DeepseekV2", deepseek(
        hidden_size=64, intermediate_size=96, q_lora_rank=32, kv_lora_rank=32, qk_nope_head_dim=32,
        v_head_dim=32, moe_intermediate_size=32))


def deepseek_v3():
    def experts(**changes):
        return deepseek(**{**dict(intermediate_size=40, n_routed_experts=8, num_experts_per_tok=3,
                                  n_group=4, topk_group=2), **changes})
    yarn = rope("yarn", factor=4.0, original_max_position_embeddings=64, mscale=1.3,
                mscale_all_dim=0.9)
    yield Case("deepseek_v3-base", "DeepseekV3", experts(), golden=True, dtype="bfloat16")
    yield Case("deepseek_v3-yarn", "DeepseekV3", experts(norm_topk_prob=False, **yarn),
               dtype="bfloat16")
    yield Case("deepseek_v3-saved", "DeepseekV3", experts(q_lora_rank=None, n_group=1, topk_group=1,
                                                          first_k_dense_replace=0), hub=False)
    yield Case("deepseek_v3-halves", "DeepseekV3", experts(rope_interleave=False))
    yield Case("deepseek_v3-next", "DeepseekV3", experts(), rename="with_next_layer",
               dtype="bfloat16")


FAMILIES = (llama, mistral, mixtral, qwen2, qwen3, qwen2_moe, qwen3_moe, olmo2, olmoe, phi3, gemma2,
            gemma3, granite, smollm3, glm4, stablelm, starcoder2, cohere, gpt_neox, gpt2, falcon,
            gpt_oss, deepseek_v2, deepseek_v3)


def every_case():
    return [case for family in FAMILIES for case in family()]
