/* How layers are put together, as the family implies it and the file's keys say it: windows,
 * rotations, scales, residuals. And keys of what nothing here computes, which are refused by name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/layer_params.h"
#include "engine/rope_params.h"
#include "tests/support/model_fixture.h"

#include <math.h>

enum {
    LAYERS_MAX = 12
};

/* The layers of a family whose model has so many, without any tensors. */
static void assign(struct model *model, struct model_layer *layers, const struct gguf *file)
{
    struct error err;
    model->layers = layers;
    if (layer_params_assign(model, file, &err) != OK) {
        fail_msg("%s", err.message);
    }
}

static void read_layers(struct model_fixture *fixture, struct model *model,
                        struct model_layer *layers, uint32_t layer_count)
{
    model_fixture_set_u32(fixture, "block_count", layer_count);
    model_fixture_parse(fixture);
    memset(model, 0, sizeof *model);
    memset(layers, 0, LAYERS_MAX * sizeof *layers);
    if (model_read_params(&model->params, &fixture->file, &fixture->err) != OK) {
        fail_msg("%s", fixture->err.message);
    }
    assign(model, layers, &fixture->file);
}

static void windows_alternate_by_the_familys_period(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        const char *windowed; /* a letter a layer: w has the window, - not */
        const char *rotated;  /* s by the scaled angles, p by plain ones, - not at all */
    } rows[] = {
        {"llama", "wwww", "ssss"},
        {"phi3", "wwww", "ssss"},
        {"starcoder2", "wwww", "ssss"},
        {"gemma2", "w-w-w", "sssss"},
        {"gemma3", "wwwww-ww", "pppppspp"},
        {"olmo2", "www-www-", "pppsppps"},
        {"gpt-oss", "w-w-", "ssss"},
        {"smollm3", "--------", "sss-sss-"},
        {"gpt2", "--", "--"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model_fixture fixture;
        struct model model;
        struct model_layer layers[LAYERS_MAX];
        bool has_window = strchr(rows[i].windowed, 'w') != NULL;
        model_fixture_start(&fixture, rows[i].arch);
        if (has_window) {
            model_fixture_set_u32(&fixture, "attention.sliding_window", 40);
        }
        uint32_t layer_count = (uint32_t)strlen(rows[i].windowed);
        read_layers(&fixture, &model, layers, layer_count);
        for (uint32_t j = 0; j < layer_count; j++) {
            char rope = rows[i].rotated[j];
            enum layer_rope expected = rope == '-'   ? LAYER_ROPE_NONE
                                       : rope == 'p' ? LAYER_ROPE_PLAIN
                                                     : LAYER_ROPE_SCALED;
            assert_int_equal(layers[j].window, rows[i].windowed[j] == 'w' ? 40 : 0);
            assert_int_equal(layers[j].rope, expected);
        }
        model_fixture_finish(&fixture);
    }
}

static void files_may_name_the_windows_layer_by_layer(void **state)
{
    (void)state;
    struct model_fixture fixture;
    struct model model;
    struct model_layer layers[LAYERS_MAX];
    static const uint32_t windows[] = {0, 16, 0, 8};
    model_fixture_start(&fixture, "qwen2");
    gguf_writer_add_array(&fixture.writer, "sluice.layer_windows", GGUF_UINT32, windows, 4);
    read_layers(&fixture, &model, layers, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(layers[i].window, windows[i]);
        assert_int_equal(layers[i].rope, LAYER_ROPE_SCALED);
    }
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture,
                        "gemma3"); /* layers with a window rotate by angles of their own */
    gguf_writer_add_array(&fixture.writer, "sluice.layer_windows", GGUF_UINT32, windows, 4);
    read_layers(&fixture, &model, layers, 4);
    assert_int_equal(layers[0].rope, LAYER_ROPE_SCALED);
    assert_int_equal(layers[1].rope, LAYER_ROPE_PLAIN);
    model_fixture_finish(&fixture);

    static const uint8_t pattern[] = {1, 0, 0, 1};
    model_fixture_start(&fixture, "olmo2");
    model_fixture_set_u32(&fixture, "attention.sliding_window", 32);
    gguf_writer_add_array(&fixture.writer, "olmo2.attention.sliding_window_pattern", GGUF_BOOL,
                          pattern, 4);
    read_layers(&fixture, &model, layers, 4);
    assert_int_equal(layers[0].window, 32);
    assert_int_equal(layers[1].window, 0);
    assert_int_equal(layers[3].window, 32);
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "gemma3");
    model_fixture_set_u32(&fixture, "attention.sliding_window_pattern", 2);
    read_layers(&fixture, &model, layers, 4);
    assert_int_equal(layers[1].window, 0);
    assert_int_equal(layers[2].window, 24);
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "qwen2");
    gguf_writer_add_array(&fixture.writer, "sluice.layer_windows", GGUF_UINT32, windows, 3);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                 WORDS("sluice.layer_windows has 3", "2 layers"));
}

static void layers_without_rotation_may_be_named_one_by_one(void **state)
{
    (void)state;
    static const uint32_t unrotated[] = {1, 0, 1, 0, 0};
    struct model_layer layers[LAYERS_MAX];
    struct model model;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "smollm3");
    gguf_writer_add_array(&fixture.writer, "sluice.unrotated_layers", GGUF_UINT32, unrotated, 5);
    read_layers(&fixture, &model, layers, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(layers[i].rope, unrotated[i] != 0 ? LAYER_ROPE_NONE : LAYER_ROPE_SCALED);
    }
    model_fixture_finish(&fixture);
    model_fixture_start(&fixture, "smollm3");
    gguf_writer_add_array(&fixture.writer, "sluice.unrotated_layers", GGUF_UINT32, unrotated, 5);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                 WORDS("sluice.unrotated_layers has 5", "2 layers"));
}

static void the_activation_of_a_file_wins_over_the_familys(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    model_fixture_set_string(&fixture, "sluice.activation", "gelu_tanh");
    model_fixture_open_valid(&fixture);
    assert_int_equal(fixture.model.params.activation, ACTIVATION_GELU_TANH);
    model_fixture_finish(&fixture);
    model_fixture_start(&fixture, "llama");
    model_fixture_set_string(&fixture, "sluice.activation", "mish");
    model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED,
                                 WORDS("sluice.activation is \"mish\"", "gelu_tanh"));
}

static void the_rotation_of_a_checkpoint_wins_over_the_familys(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    gguf_writer_add_scalar(&fixture.writer, "sluice.rope.halves", GGUF_BOOL, &(uint8_t){1});
    model_fixture_open_valid(&fixture);
    assert_int_equal(fixture.model.params.rope_style, ROPE_HALVES);
    model_fixture_finish(&fixture);
}

static void scales_are_the_familys_or_the_files(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "granite");
    model_fixture_open_valid(&fixture);
    const struct model_params *params = &fixture.model.params;
    assert_true(params->embedding_scale == 0.5f);
    assert_true(params->residual_scale == 0.5f);
    assert_true(params->attention_scale == 0.5f);
    assert_true(params->logit_scale == 0.25f); /* the file's 4 divides */
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "command-r");
    model_fixture_open_valid(&fixture);
    assert_true(fixture.model.params.logit_scale == 0.25f); /* and here multiplies */
    assert_true(fixture.model.params.parallel);
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "gemma2");
    model_fixture_open_valid(&fixture);
    assert_true(fixture.model.params.embedding_scale == 8.0f);  /* dim is 64 */
    assert_true(fixture.model.params.attention_scale == 0.25f); /* a head is 16 */
    assert_true(fixture.model.params.attention_softcap == 2.0f);
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "gemma2"); /* of 46 layers, heads count by the model's width */
    model_fixture_set_u32(&fixture, "block_count", 46);
    model_fixture_set_u32(&fixture, "embedding_length", 256);
    model_fixture_remove_key(&fixture, "attn_logit_softcapping");
    model_fixture_remove_key(&fixture, "final_logit_softcapping");
    model_fixture_parse(&fixture);
    struct model_params read;
    assert_int_equal(model_read_params(&read, &fixture.file, &fixture.err), OK);
    assert_true(read.attention_scale == 0.125f);
    assert_true(read.attention_softcap == 50.0f);
    assert_true(read.logit_softcap == 30.0f);
    model_fixture_finish(&fixture);
}

static void layers_may_be_parallel_where_the_family_leaves_it_open(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "gptneox");
    gguf_writer_add_scalar(&fixture.writer, "gptneox.use_parallel_residual", GGUF_BOOL,
                           &(uint8_t){0});
    model_fixture_open_valid(&fixture);
    assert_false(fixture.model.params.parallel);
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "stablelm"); /* then one norm serves both */
    gguf_writer_add_scalar(&fixture.writer, "stablelm.use_parallel_residual", GGUF_BOOL,
                           &(uint8_t){1});
    model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED, WORDS("blk.0.ffn_norm", "nothing"));

    model_fixture_start(&fixture, "llama");
    gguf_writer_add_scalar(&fixture.writer, "llama.use_parallel_residual", GGUF_BOOL,
                           &(uint8_t){1});
    model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED,
                                 WORDS("llama.use_parallel_residual is true"));
}

static void what_nothing_computes_is_refused_by_key(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        const char *suffix;
        uint32_t value;
    } counts[] = {
        {"qwen2", "attention.sliding_window", 4096},
        {"granite", "attention.sliding_window", 1},
        {"llama", "leading_dense_block_count", 1},
        {"llama", "interleave_moe_layer_step", 2},
        {"qwen3", "nextn_predict_layers", 1},
        {"qwen3", "full_attention_interval", 4},
        {"llama", "attention.kv_lora_rank", 512},
        {"llama", "attention.shared_kv_layers", 2},
        {"gemma3", "attention.key_length_swa", 8},
        {"gemma3", "embedding_length_per_layer_input", 256},
        {"gemma3", "rope.dimension_count_swa", 4},
        {"llama", "attention.temperature_length", 8192},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, counts[i].arch);
        model_fixture_set_u32(&fixture, counts[i].suffix, counts[i].value);
        model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS(counts[i].arch, counts[i].suffix));
    }
    static const struct {
        const char *arch;
        const char *suffix;
        float value;
    } reals[] = {
        {"olmoe", "attention.clamp_kqv", 8.0f},
        {"falcon", "attention.max_alibi_bias", 8.0f},
        {"llama", "attention.temperature_scale", 0.1f},
        {"llama", "router_logit_softcapping", 30.0f},
        {"gemma2", "attn_logit_softcapping", -1.0f},
        {"gemma2", "final_logit_softcapping", NAN},
        {"granite", "residual_scale", INFINITY},
        {"gpt2", "attention.layer_norm_epsilon", 2.0f},
        {"gemma3", "rope.freq_base_swa", 1.0f},
    };
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, reals[i].arch);
        model_fixture_set_f32(&fixture, reals[i].suffix, reals[i].value);
        model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS(reals[i].arch, reals[i].suffix));
    }
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    gguf_writer_add_scalar(&fixture.writer, "llama.attention.causal", GGUF_BOOL, &(uint8_t){0});
    model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED, WORDS("llama.attention.causal"));
    model_fixture_start(&fixture, "olmoe");
    model_fixture_set_f32(&fixture, "residual_scale", 0.5f);
    model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED, WORDS("olmoe.residual_scale is 0.5"));
    model_fixture_start(&fixture, "gpt2");
    model_fixture_remove_key(&fixture, "attention.layer_norm_epsilon");
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("gpt2.attention.layer_norm_epsilon"));
}

static void add_factors(struct model_fixture *fixture, const char *name, float value)
{
    uint64_t pair_count = 6; /* phi3 among the synthetic models rotates 12 values of a head */
    float factors[6];
    for (size_t i = 0; i < 6; i++) {
        factors[i] = value;
    }
    gguf_writer_add_tensor(&fixture->writer, name, DTYPE_F32, 1, &pair_count, factors);
}

static void long_rope_is_chosen_by_the_longest_request(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "phi3");
    add_factors(&fixture, "rope_factors_short.weight", 2.0f);
    add_factors(&fixture, "rope_factors_long.weight", 8.0f);
    model_fixture_set_u32(&fixture, "rope.scaling.original_context_length", 64);
    model_fixture_set_f32(&fixture, "rope.scaling.attn_factor", 1.25f);
    model_fixture_open_valid(&fixture);
    double out[6];
    double magnitude = 0.0;
    rope_params_frequencies(&fixture.model, LAYER_ROPE_SCALED, 64, out, &magnitude);
    assert_true(out[0] == 0.5 && magnitude == 1.25);
    rope_params_frequencies(&fixture.model, LAYER_ROPE_SCALED, 65, out, &magnitude);
    assert_true(out[0] == 0.125 && magnitude == 1.25);
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "phi3");
    add_factors(&fixture, "rope_factors_long.weight", 8.0f);
    model_fixture_set_u32(&fixture, "rope.scaling.original_context_length", 64);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("rope_factors_short.weight"));

    model_fixture_start(&fixture, "phi3");
    model_fixture_set_string(&fixture, "phi3.rope.scaling.type", "longrope");
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("rope_factors_short.weight"));

    model_fixture_start(&fixture, "phi3");
    add_factors(&fixture, "rope_factors_short.weight", 2.0f);
    add_factors(&fixture, "rope_factors_long.weight", 8.0f);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                 WORDS("phi3.rope.scaling.original_context_length"));

    model_fixture_start(&fixture, "phi3");
    add_factors(&fixture, "rope_factors_short.weight", 2.0f);
    add_factors(&fixture, "rope_factors_long.weight", -8.0f);
    model_fixture_set_u32(&fixture, "rope.scaling.original_context_length", 64);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                 WORDS("rope_factors_long.weight", "index 0"));
}

static void layers_with_a_window_may_have_plain_angles(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "gemma3");
    model_fixture_set_f32(&fixture, "rope.freq_base", 1e6f);
    model_fixture_set_string(&fixture, "gemma3.rope.scaling.type", "linear");
    model_fixture_set_f32(&fixture, "rope.scaling.factor", 8.0f);
    model_fixture_open_valid(&fixture);
    double out[8];
    double magnitude = 0.0;
    rope_params_frequencies(&fixture.model, LAYER_ROPE_SCALED, 0, out, &magnitude);
    assert_true(out[0] == 0.125);
    rope_params_frequencies(&fixture.model, LAYER_ROPE_PLAIN, 0, out, &magnitude);
    assert_true(out[0] == 1.0 && magnitude == 1.0);
    assert_true(fabs(out[4] - 0.01) < 1e-12); /* half way, of base 10000 */
    model_fixture_finish(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_alternate_by_the_familys_period),
        cmocka_unit_test(files_may_name_the_windows_layer_by_layer),
        cmocka_unit_test(layers_without_rotation_may_be_named_one_by_one),
        cmocka_unit_test(the_activation_of_a_file_wins_over_the_familys),
        cmocka_unit_test(the_rotation_of_a_checkpoint_wins_over_the_familys),
        cmocka_unit_test(scales_are_the_familys_or_the_files),
        cmocka_unit_test(layers_may_be_parallel_where_the_family_leaves_it_open),
        cmocka_unit_test(what_nothing_computes_is_refused_by_key),
        cmocka_unit_test(long_rope_is_chosen_by_the_longest_request),
        cmocka_unit_test(layers_with_a_window_may_have_plain_angles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
