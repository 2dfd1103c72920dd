/* test_latent_params.c - the keys of DeepSeek's models: heads, routing, dense layers in front, and
 * layers behind that are not run. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/model.h"
#include "engine/rope_params.h"
#include "tests/support/model_fixture.h"
#include "tests/support/synth_family.h"

#include <math.h>

static void heads_are_those_of_the_cache_and_of_the_products(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "deepseek2");
    model_fixture_open_valid(&fixture);
    const struct model_params *params = &fixture.model.params;
    assert_int_equal(params->kv_head_count, 1);
    assert_int_equal(params->head_dim, SYNTH_KV_RANK + 8);
    assert_int_equal(params->latent.kv_rank, SYNTH_KV_RANK);
    assert_int_equal(params->latent.q_rank, SYNTH_Q_RANK);
    assert_int_equal(params->latent.still_dim, 8);
    assert_int_equal(params->latent.value_dim, SYNTH_VALUE_DIM);
    assert_int_equal(params->rotary_dim, 8);
    assert_true(params->attention_scale == 0.25f); /* of keys of 16 */
    model_fixture_finish(&fixture);
}

static void lengths_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *suffix;
        uint32_t value;
        const char *word;
        const char *other_word;
    } rows[] = {
        {"attention.kv_lora_rank", 0, "is 0", "1024"},
        {"attention.kv_lora_rank", 1020, "key_length", "1028"},
        {"attention.key_length", 16, "is 16", "40"},
        {"attention.value_length", 12, "is 12", "32"},
        {"attention.key_length_mla", 8, "8 values", "longer"},
        {"attention.value_length_mla", 1025, "1025", "1024"},
        {"attention.q_lora_rank", 41, "attn_q_a.weight", "[41, 64]"},
        {"rope.dimension_count", 6, "key_length", "38"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, "deepseek2");
        model_fixture_set_u32(&fixture, rows[i].suffix, rows[i].value);
        model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS(rows[i].word, rows[i].other_word));
    }
    struct model_fixture fixture;
    model_fixture_start(&fixture, "deepseek2");
    model_fixture_remove_key(&fixture, "attention.key_length");
    model_fixture_remove_key(&fixture, "attention.value_length");
    model_fixture_set_u32(&fixture, "attention.kv_lora_rank", 1020);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("kv_lora_rank", "1020", "1024"));
    static const char *const required[] = {"attention.kv_lora_rank", "rope.dimension_count",
                                           "attention.value_length_mla"};
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        model_fixture_start(&fixture, "deepseek2");
        model_fixture_remove_key(&fixture, required[i]);
        model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS(required[i], "missing"));
    }
}

static void routing_is_what_the_file_says(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "deepseek2");
    model_fixture_open_valid(&fixture);
    struct model_params params = fixture.model.params;
    assert_int_equal(params.expert_gating, EXPERT_GATING_SIGMOID);
    assert_int_equal(params.expert_group_count, 3);
    assert_int_equal(params.expert_groups_used, 2);
    assert_int_equal(params.expert_group_best, 2);
    assert_true(params.expert_scale == 1.5f && params.expert_normalize && params.expert_merit);
    assert_int_equal(params.shared_ffn_dim, 2 * 48);
    assert_false(params.shared_gated);
    model_fixture_finish(&fixture);

    /* As the second version: a softmax, groups by their best, no bias. */
    model_fixture_start(&fixture, "deepseek2");
    model_fixture_remove_key(&fixture, "expert_gating_func");
    gguf_writer_remove_tensor(&fixture.writer, "blk.1.exp_probs_b.bias");
    model_fixture_open_valid(&fixture);
    params = fixture.model.params;
    assert_int_equal(params.expert_gating, EXPERT_GATING_SOFTMAX);
    assert_int_equal(params.expert_group_best, 1);
    model_fixture_finish(&fixture);
}

static void groups_that_are_no_equal_parts_are_refused(void **state)
{
    (void)state;
    static const uint32_t rows[][3] = {{4, 2, 2}, {6, 3, 2}, {3, 0, 2}, {3, 1, 3}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, "deepseek2");
        model_fixture_set_u32(&fixture, "expert_group_count", rows[i][0]);
        model_fixture_set_u32(&fixture, "expert_group_used_count", rows[i][1]);
        model_fixture_set_u32(&fixture, "expert_used_count", rows[i][2]);
        model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                     WORDS("expert_group_count", "expert_group_used_count"));
    }
    struct model_fixture fixture;
    model_fixture_start(&fixture, "deepseek2");
    model_fixture_set_u32(&fixture, "expert_gating_func", 3);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("expert_gating_func is 3", "0 and 2"));
}

static void layers_have_an_ffn_or_experts(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "deepseek2");
    model_fixture_open_valid(&fixture);
    const struct model *model = &fixture.model;
    assert_true(model_layer_is_dense(&model->params, 0));
    assert_false(model_layer_is_dense(&model->params, 1));
    assert_non_null(model->layers[0].ffn_down.data);
    assert_null(model->layers[0].router.data);
    assert_null(model->layers[1].ffn_down.data);
    assert_non_null(model->layers[1].expert_merit_bias.data);
    assert_int_equal(model->params.ffn_dim, 160);
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "deepseek2");
    model_fixture_set_u32(&fixture, "leading_dense_block_count", 0);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("blk.0.ffn_gate_inp.weight"));
    model_fixture_start(&fixture, "deepseek2");
    model_fixture_set_u32(&fixture, "leading_dense_block_count", 2);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("blk.1.ffn_gate.weight"));
    model_fixture_start(&fixture, "deepseek2");
    model_fixture_set_u32(&fixture, "leading_dense_block_count", 3);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("leading_dense_block_count is 3"));
}

static void dense_layers_are_named_one_by_one(void **state)
{
    (void)state;
    struct model_fixture fixture;
    static const uint32_t three[] = {1, 0, 0};
    model_fixture_start(&fixture, "qwen3moe");
    gguf_writer_add_array(&fixture.writer, "sluice.dense_layers", GGUF_UINT32, three, 3);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                 WORDS("sluice.dense_layers has 3 values for 2 layers"));
    model_fixture_start(&fixture, "qwen3moe");
    gguf_writer_add_array(&fixture.writer, "sluice.dense_layers", GGUF_UINT32, three, 2);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("blk.0.ffn_gate.weight is missing"));
}

/* What they hold is not looked at. */
static void layers_that_guess_further_tokens_are_not_run(void **state)
{
    (void)state;
    static const uint64_t shape[] = {3, 5};
    struct model_fixture fixture;
    model_fixture_start(&fixture, "deepseek2");
    model_fixture_set_u32(&fixture, "block_count", 3);
    model_fixture_set_u32(&fixture, "nextn_predict_layers", 1);
    model_fixture_set_tensor(&fixture, "blk.2.nextn.eh_proj.weight", DTYPE_F32, 2, shape);
    model_fixture_open_valid(&fixture);
    assert_int_equal(fixture.model.params.layer_count, 2);
    assert_int_equal(fixture.model.params.next_layer_count, 1);
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "deepseek2");
    model_fixture_set_u32(&fixture, "block_count", 3);
    model_fixture_set_u32(&fixture, "nextn_predict_layers", 1);
    model_fixture_set_tensor(&fixture, "blk.3.nextn.eh_proj.weight", DTYPE_F32, 2, shape);
    model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED, WORDS("blk.3.nextn.eh_proj.weight"));
    model_fixture_start(&fixture, "deepseek2");
    model_fixture_set_u32(&fixture, "nextn_predict_layers", 2);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("nextn_predict_layers is 2"));
}

/* A tenth of mscale_all_dim: the scores' scale grows by its magnitude, twice; cos and sin stay. */
static void yarn_sharpens_whole_scores(void **state)
{
    (void)state;
    struct model_fixture fixture;
    double frequencies[4];
    double magnitude = 0.0;
    model_fixture_start(&fixture, "deepseek2");
    model_fixture_set_string(&fixture, "deepseek2.rope.scaling.type", "yarn");
    model_fixture_set_f32(&fixture, "rope.scaling.factor", 40.0f);
    model_fixture_set_u32(&fixture, "rope.scaling.original_context_length", 64);
    model_fixture_set_f32(&fixture, "rope.scaling.yarn_log_multiplier", 0.0707f);
    model_fixture_open_valid(&fixture);
    double mscale = 0.0707 * log(40.0) + 1.0;
    assert_true(fabs((double)fixture.model.params.attention_scale - 0.25 * mscale * mscale) < 1e-6);
    rope_params_frequencies(&fixture.model, LAYER_ROPE_SCALED, 64, frequencies, &magnitude);
    assert_true(fabs(magnitude - 1.0) < 1e-6);
    model_fixture_finish(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_those_of_the_cache_and_of_the_products),
        cmocka_unit_test(lengths_that_contradict_each_other_are_refused),
        cmocka_unit_test(routing_is_what_the_file_says),
        cmocka_unit_test(groups_that_are_no_equal_parts_are_refused),
        cmocka_unit_test(layers_have_an_ffn_or_experts),
        cmocka_unit_test(dense_layers_are_named_one_by_one),
        cmocka_unit_test(layers_that_guess_further_tokens_are_not_run),
        cmocka_unit_test(yarn_sharpens_whole_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
