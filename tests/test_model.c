/* A small valid file is built, one hyper-parameter is changed, and the model must either open with
 * the right numbers or be refused with one line that names key, value, limit and file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/rope_params.h"
#include "tests/support/model_fixture.h"

#include <math.h>

static void hyper_parameters_are_those_of_the_file(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "qwen3");
    model_fixture_open_valid(&fixture);
    const struct model_params *params = &fixture.model.params;
    const struct synth_options *options = &fixture.options;
    assert_int_equal(params->layer_count, options->layer_count);
    assert_int_equal(params->dim, options->dim);
    assert_int_equal(params->head_count, options->head_count);
    assert_int_equal(params->kv_head_count, options->kv_head_count);
    assert_int_equal(params->head_dim, options->head_dim);
    assert_int_equal(params->ffn_dim, options->ffn_dim);
    assert_int_equal(params->vocab_count, options->vocab_count);
    assert_int_equal(params->context_tokens, options->context);
    assert_true(params->norm_epsilon == options->norm_epsilon);
    assert_true(params->rope_theta == options->rope_theta);
    assert_int_equal(params->activation, ACTIVATION_SILU);
    model_fixture_finish(&fixture);
}

static void absent_optional_keys_take_defaults(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    const char *const optional[] = {
        "attention.head_count_kv", "attention.key_length", "attention.value_length",
        "rope.dimension_count",    "rope.freq_base",       "rope.scaling.type",
        "rope.scaling.factor",     "vocab_size",
    };
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        model_fixture_remove_key(&fixture, optional[i]);
    }
    model_fixture_parse(&fixture);
    struct model_params params;
    assert_int_equal(model_read_params(&params, &fixture.file, &fixture.err), OK);
    assert_int_equal(params.kv_head_count, fixture.options.head_count);
    assert_int_equal(params.head_dim, fixture.options.dim / fixture.options.head_count);
    assert_int_equal(params.rotary_dim, params.head_dim);
    assert_true(params.rope_theta == 10000.0f);
    assert_int_equal(params.rope_scaling, ROPE_SCALING_NONE);
    assert_true(params.rope_factor == 1.0f);
    assert_true(params.rope_attention_factor == 1.0f);
    model_fixture_finish(&fixture);
}

/* M-28 */
static void a_number_out_of_range_is_refused_by_key_value_and_limit(void **state)
{
    (void)state;
    const struct {
        const char *suffix;
        uint32_t value;
        const char *word;
        const char *other_word;
    } rows[] = {
        {"block_count", 0, "0", "1024"},
        {"block_count", 1000000, "1000000", "1024"},
        {"embedding_length", 0, "0", "131072"},
        {"embedding_length", 131073, "131073", "131072"},
        {"embedding_length", UINT32_MAX, "4294967295", "131072"},
        {"feed_forward_length", 0, "0", "131072"},
        {"feed_forward_length", 131073, "131073", "131072"},
        {"context_length", 0, "0", "16777216"},
        {"context_length", 2147483648u, "2147483648", "16777216"},
        {"attention.head_count", 0, "0", "1024"},
        {"attention.head_count", 1025, "1025", "1024"},
        {"attention.head_count_kv", 0, "0", "1"},
        {"attention.head_count_kv", 1000, "1000", ""},
        {"attention.key_length", 0, "0", "1024"},
        {"attention.key_length", 1025, "1025", "1024"},
        {"attention.value_length", 0, "0", "1024"},
        {"rope.dimension_count", 0, "0", ""},
        {"rope.dimension_count", 1, "1", ""},
        {"rope.dimension_count", 3, "3", "even"},
        {"rope.dimension_count", 1000, "1000", ""},
        {"rope.scaling.original_context_length", 0, "0", "16777216"},
        {"vocab_size", 7, "7", "rows"},
        {"expert_used_count", 2, "2", "0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, "llama");
        model_fixture_set_u32(&fixture, rows[i].suffix, rows[i].value);
        char key[128];
        snprintf(key, sizeof key, "llama.%s", rows[i].suffix);
        model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                     WORDS(key, rows[i].word, rows[i].other_word));
    }
}

static void a_real_out_of_range_is_refused_by_key(void **state)
{
    (void)state;
    const struct {
        const char *suffix;
        float value;
    } rows[] = {
        {"attention.layer_norm_rms_epsilon", -1e-5f},
        {"attention.layer_norm_rms_epsilon", 2.0f},
        {"attention.layer_norm_rms_epsilon", NAN},
        {"attention.layer_norm_rms_epsilon", INFINITY},
        {"rope.freq_base", 0.0f},
        {"rope.freq_base", 1.0f},
        {"rope.freq_base", -10000.0f},
        {"rope.freq_base", INFINITY},
        {"rope.scaling.factor", -1.0f},
        {"rope.scaling.factor", 1e9f},
        {"rope.scaling.factor", NAN},
        {"rope.scale_linear", -2.0f},
        {"rope.scaling.attn_factor", -1.0f},
        {"rope.scaling.attn_factor", INFINITY},
        {"rope.scaling.yarn_ext_factor", 1.5f},
        {"rope.scaling.yarn_beta_fast", 1.0f},
        {"rope.scaling.yarn_beta_fast", NAN},
        {"rope.scaling.yarn_beta_slow", 0.0f},
        {"rope.scaling.yarn_beta_slow", 33.0f},
        {"rope.scaling.yarn_log_multiplier", -0.5f},
        {"rope.scaling.yarn_attn_factor", -0.5f},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, "qwen2");
        model_fixture_set_string(&fixture, "qwen2.rope.scaling.type", "yarn");
        model_fixture_set_f32(&fixture, rows[i].suffix, rows[i].value);
        const char *word = strstr(rows[i].suffix, "beta_slow") ? "yarn_beta_slow" : rows[i].suffix;
        model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("qwen2.", word));
    }
}

static void a_required_key_that_is_absent_is_named(void **state)
{
    (void)state;
    const char *const required[] = {
        "block_count",    "embedding_length",     "feed_forward_length",
        "context_length", "attention.head_count", "attention.layer_norm_rms_epsilon",
    };
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, "qwen3");
        model_fixture_remove_key(&fixture, required[i]);
        model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("qwen3.", required[i]));
    }
}

static void a_key_of_another_type_is_named(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    gguf_writer_remove(&fixture.writer, "llama.block_count");
    gguf_writer_add_string(&fixture.writer, "llama.block_count", "2");
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("llama.block_count"));
}

/* M-28 */
static void head_counts_that_do_not_divide_are_refused(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    model_fixture_remove_key(&fixture, "attention.key_length");
    model_fixture_remove_key(&fixture, "attention.value_length");
    model_fixture_remove_key(&fixture, "rope.dimension_count");
    model_fixture_set_u32(&fixture, "attention.head_count", 7);
    model_fixture_set_u32(&fixture, "attention.head_count_kv", 7);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                 WORDS("embedding_length", "attention.head_count 7"));

    model_fixture_start(&fixture, "llama");
    model_fixture_set_u32(&fixture, "attention.head_count", 4);
    model_fixture_set_u32(&fixture, "attention.head_count_kv", 3);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("attention.head_count_kv is 3", "4"));

    model_fixture_start(&fixture, "llama");
    model_fixture_set_u32(&fixture, "attention.key_length", 16);
    model_fixture_set_u32(&fixture, "attention.value_length", 8);
    model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED,
                                 WORDS("attention.value_length is 8", "16"));
}

static void the_numbers_of_experts_are_those_of_the_file(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "qwen2moe");
    model_fixture_remove_key(&fixture, "feed_forward_length"); /* says nothing of the experts */
    model_fixture_open_valid(&fixture);
    const struct model_params *params = &fixture.model.params;
    assert_int_equal(params->expert_count, fixture.options.expert_count);
    assert_int_equal(params->expert_used_count, fixture.options.expert_used_count);
    assert_int_equal(params->expert_ffn_dim, fixture.options.expert_ffn_dim);
    assert_int_equal(params->shared_ffn_dim, fixture.options.shared_ffn_dim);
    assert_int_equal(params->ffn_dim, 0);
    model_fixture_finish(&fixture);

    /* Without lengths of their own the experts of a row are as long as one dense layer. */
    model_fixture_start(&fixture, "qwen2moe");
    model_fixture_remove_key(&fixture, "expert_feed_forward_length");
    model_fixture_remove_key(&fixture, "expert_shared_feed_forward_length");
    model_fixture_parse(&fixture);
    struct model_params read;
    assert_int_equal(model_read_params(&read, &fixture.file, &fixture.err), OK);
    assert_int_equal(read.expert_ffn_dim, fixture.options.ffn_dim / 2);
    assert_int_equal(read.shared_ffn_dim, fixture.options.ffn_dim);
    model_fixture_finish(&fixture);
}

/* M-28 */
static void numbers_of_experts_out_of_range_are_refused(void **state)
{
    (void)state;
    const struct {
        const char *suffix;
        uint32_t value;
        const char *word;
        const char *other_word;
    } rows[] = {
        {"expert_count", 0, "is 0", "1024"},
        {"expert_count", 1025, "1025", "1024"},
        {"expert_count", 1, "expert_used_count is 2", "1 and 1"},
        {"expert_used_count", 0, "is 0", "1 and 6"},
        {"expert_used_count", 7, "is 7", "1 and 6"},
        {"expert_feed_forward_length", 0, "is 0", "131072"},
        {"expert_feed_forward_length", 131073, "131073", "131072"},
        {"expert_shared_feed_forward_length", 0, "is 0", "131072"},
        {"expert_shared_feed_forward_length", UINT32_MAX, "4294967295", "131072"},
        {"expert_gating_func", 2, "is 2", "0 and 1"},
        {"expert_group_count", 4, "is 4", "0 and 1"},
        {"leading_dense_block_count", 1, "is 1", "0 and 0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, "qwen2moe");
        model_fixture_set_u32(&fixture, rows[i].suffix, rows[i].value);
        model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                     WORDS("qwen2moe.", rows[i].word, rows[i].other_word));
    }
    struct model_fixture fixture;
    model_fixture_start(&fixture, "qwen3moe");
    model_fixture_set_u32(&fixture, "expert_count", 100);
    model_fixture_set_u32(&fixture, "expert_used_count", 65);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                 WORDS("qwen3moe.expert_used_count is 65", "1 and 64"));
    model_fixture_start(&fixture, "qwen3moe");
    model_fixture_set_f32(&fixture, "expert_weights_scale", 2.5f);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                 WORDS("qwen3moe.expert_weights_scale is 2.5"));
    model_fixture_start(&fixture, "qwen3moe");
    model_fixture_set_u32(&fixture, "expert_gating_func", 1); /* softmax, which it is */
    model_fixture_set_f32(&fixture, "expert_weights_scale", 1.0f);
    model_fixture_open_valid(&fixture);
    model_fixture_finish(&fixture);
}

static void numbers_of_experts_that_are_absent_are_named(void **state)
{
    (void)state;
    static const char *const required[] = {"expert_count", "expert_used_count",
                                           "expert_feed_forward_length",
                                           "expert_shared_feed_forward_length"};
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, "qwen2moe");
        model_fixture_remove_key(&fixture, "feed_forward_length");
        model_fixture_remove_key(&fixture, required[i]);
        model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("qwen2moe.", required[i]));
    }
}

static void experts_are_refused_by_count(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "qwen2");
    model_fixture_set_u32(&fixture, "expert_count", 8);
    model_fixture_set_u32(&fixture, "expert_used_count", 2);
    model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED, WORDS("qwen2.expert_count is 8"));
}

/* M-31 */
static void a_part_of_a_split_model_is_refused_by_count(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    gguf_writer_add_scalar(&fixture.writer, "split.count", GGUF_UINT16, &(uint16_t){3});
    /* Parts behind the first do not even say what they are. */
    gguf_writer_remove(&fixture.writer, "general.architecture");
    model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED, WORDS("split.count is 3"));

    model_fixture_start(&fixture, "llama");
    gguf_writer_add_scalar(&fixture.writer, "split.count", GGUF_UINT16, &(uint16_t){1});
    model_fixture_open_valid(&fixture);
    model_fixture_finish(&fixture);
}

/* M-32 */
static void a_vocabulary_of_another_length_is_refused(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    gguf_writer_remove(&fixture.writer, "tokenizer.ggml.tokens");
    struct gguf_string tokens[3] = {{"a", 1}, {"b", 1}, {"c", 1}};
    gguf_writer_add_strings(&fixture.writer, "tokenizer.ggml.tokens", tokens, 3);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                 WORDS("tokenizer.ggml.tokens has 3", "token_embd.weight"));
}

static void assert_close(double value, double expected)
{
    if (fabs(value - expected) > 1e-12 * fabs(expected)) {
        fail_msg("%.17g, expected %.17g", value, expected);
    }
}

static void unscaled_angles_fall_by_powers_of_theta(void **state)
{
    (void)state;
    struct model model = {.params = {.rotary_dim = 8,
                                     .rope_theta = 10000.0f,
                                     .rope_factor = 4.0f,
                                     .rope_attention_factor = 1.0f}};
    double out[4];
    double magnitude = 0.0;
    rope_params_frequencies(&model, LAYER_ROPE_SCALED, 0, out, &magnitude);
    assert_close(out[0], 1.0);
    assert_close(out[1], 0.1);
    assert_close(out[2], 0.01);
    assert_close(out[3], 0.001);
    assert_close(magnitude, 1.0);
}

static void linear_scaling_divides_every_angle(void **state)
{
    (void)state;
    struct model model = {.params = {.rotary_dim = 8,
                                     .rope_theta = 10000.0f,
                                     .rope_scaling = ROPE_SCALING_LINEAR,
                                     .rope_factor = 4.0f,
                                     .rope_attention_factor = 1.0f}};
    double out[4];
    double magnitude = 0.0;
    rope_params_frequencies(&model, LAYER_ROPE_SCALED, 0, out, &magnitude);
    assert_close(out[0], 0.25);
    assert_close(out[3], 0.00025);
    assert_close(magnitude, 1.0);
}

/* Values worked out apart from this program, by the formulas of the YaRN paper's authors. */
static void yarn_keeps_fast_pairs_and_divides_slow_ones(void **state)
{
    (void)state;
    struct model model = {.params = {.rotary_dim = 128,
                                     .rope_theta = 1e6f,
                                     .rope_scaling = ROPE_SCALING_YARN,
                                     .rope_factor = 4.0f,
                                     .rope_original_tokens = 32768,
                                     .rope_attention_factor = 1.0f,
                                     .yarn_extrapolation = 1.0f,
                                     .yarn_beta_fast = 32.0f,
                                     .yarn_beta_slow = 1.0f}};
    const struct {
        uint32_t pair;
        double angle;
    } rows[] = {
        {0, 1.0},
        {10, 0.11547819846894582},
        {23, 0.006978305848598663},
        {24, 0.005375321490790102},
        {30, 0.001064360981247002},
        {36, 0.0001798411558739542},
        {39, 6.490394320837029e-05},
        {40, 4.445698525097307e-05},
        {63, 3.102344401879299e-07},
    };
    double out[64];
    double magnitude = 0.0;
    rope_params_frequencies(&model, LAYER_ROPE_SCALED, 0, out, &magnitude);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_close(out[rows[i].pair], rows[i].angle);
    }
    assert_close(magnitude, 1.138629436111989);

    model.params.rope_attention_factor = 0.5f;
    rope_params_frequencies(&model, LAYER_ROPE_SCALED, 0, out, &magnitude);
    assert_close(magnitude, 0.5 * 1.138629436111989);
    model.params.yarn_log_multiplier = 1.0f;
    rope_params_frequencies(&model, LAYER_ROPE_SCALED, 0, out, &magnitude);
    assert_close(magnitude, 0.5);
    model.params.yarn_extrapolation = 0.0f;
    rope_params_frequencies(&model, LAYER_ROPE_SCALED, 0, out, &magnitude);
    assert_close(out[0], 0.25);
    assert_close(magnitude, 0.5);
}

static void the_rope_factors_of_a_file_divide_their_pairs(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    uint32_t pairs = fixture.options.head_dim / 2;
    float *factors = calloc(pairs, sizeof *factors);
    assert_non_null(factors);
    for (uint32_t i = 0; i < pairs; i++) {
        factors[i] = 1.0f + (float)i;
    }
    gguf_writer_remove_tensor(&fixture.writer, "rope_freqs.weight");
    gguf_writer_add_tensor(&fixture.writer, "rope_freqs.weight", DTYPE_F32, 1, (uint64_t[]){pairs},
                           factors);
    model_fixture_open_valid(&fixture);
    assert_int_equal(fixture.model.params.rope_scaling, ROPE_SCALING_LLAMA3);
    double *out = calloc(pairs, sizeof *out);
    assert_non_null(out);
    double magnitude = 0.0;
    rope_params_frequencies(&fixture.model, LAYER_ROPE_SCALED, 0, out, &magnitude);
    for (uint32_t i = 0; i < pairs; i++) {
        double plain = pow(fixture.options.rope_theta, -2.0 * i / fixture.options.head_dim);
        assert_close(out[i], plain / (1.0 + i));
    }
    free(out);
    model_fixture_finish(&fixture);

    const float bad[] = {0.0f, -1.0f, NAN, INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        model_fixture_start(&fixture, "llama");
        factors[1] = bad[i];
        gguf_writer_add_tensor(&fixture.writer, "rope_freqs.weight", DTYPE_F32, 1,
                               (uint64_t[]){pairs}, factors);
        model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("rope_freqs.weight", "index 1"));
    }
    free(factors);
}

static void rope_scaling_is_read_as_llama_cpp_writes_it(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "qwen2");
    model_fixture_set_string(&fixture, "qwen2.rope.scaling.type", "yarn");
    model_fixture_set_f32(&fixture, "rope.scaling.factor", 4.0f);
    model_fixture_set_u32(&fixture, "rope.scaling.original_context_length", 128);
    model_fixture_set_u32(&fixture, "context_length", 128);
    model_fixture_open_valid(&fixture);
    assert_int_equal(fixture.model.params.rope_scaling, ROPE_SCALING_YARN);
    assert_int_equal(fixture.model.params.rope_original_tokens, 128);
    assert_int_equal(fixture.model.params.context_tokens, 512);
    assert_true(fixture.model.params.yarn_beta_fast == 32.0f);
    assert_true(fixture.model.params.yarn_beta_slow == 1.0f);
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "llama"); /* the older key, and no type: linear */
    model_fixture_set_f32(&fixture, "rope.scale_linear", 8.0f);
    model_fixture_open_valid(&fixture);
    assert_int_equal(fixture.model.params.rope_scaling, ROPE_SCALING_LINEAR);
    assert_true(fixture.model.params.rope_factor == 8.0f);
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "llama"); /* converters write 0 for no scaling */
    model_fixture_set_f32(&fixture, "rope.scaling.factor", 0.0f);
    model_fixture_open_valid(&fixture);
    assert_int_equal(fixture.model.params.rope_scaling, ROPE_SCALING_NONE);
    model_fixture_finish(&fixture);

    static const char *const unknown[] = {"su", "", "yarn\n"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        model_fixture_start(&fixture, "llama");
        model_fixture_set_string(&fixture, "llama.rope.scaling.type", unknown[i]);
        model_fixture_expect_refusal(
            &fixture, ERR_UNSUPPORTED,
            WORDS("llama.rope.scaling.type", "none, linear, yarn, longrope, dynamic"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hyper_parameters_are_those_of_the_file),
        cmocka_unit_test(absent_optional_keys_take_defaults),
        cmocka_unit_test(a_number_out_of_range_is_refused_by_key_value_and_limit),
        cmocka_unit_test(a_real_out_of_range_is_refused_by_key),
        cmocka_unit_test(a_required_key_that_is_absent_is_named),
        cmocka_unit_test(a_key_of_another_type_is_named),
        cmocka_unit_test(head_counts_that_do_not_divide_are_refused),
        cmocka_unit_test(the_numbers_of_experts_are_those_of_the_file),
        cmocka_unit_test(numbers_of_experts_out_of_range_are_refused),
        cmocka_unit_test(numbers_of_experts_that_are_absent_are_named),
        cmocka_unit_test(experts_are_refused_by_count),
        cmocka_unit_test(a_part_of_a_split_model_is_refused_by_count),
        cmocka_unit_test(a_vocabulary_of_another_length_is_refused),
        cmocka_unit_test(unscaled_angles_fall_by_powers_of_theta),
        cmocka_unit_test(linear_scaling_divides_every_angle),
        cmocka_unit_test(yarn_keeps_fast_pairs_and_divides_slow_ones),
        cmocka_unit_test(the_rope_factors_of_a_file_divide_their_pairs),
        cmocka_unit_test(rope_scaling_is_read_as_llama_cpp_writes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
