/* Synthetic models: every architecture and weight type makes a file that parses, has the tensors
 * and numbers asked for, and is the same file each time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "kernels/quant.h"
#include "tests/support/reference_model.h"
#include "tests/support/synth_model.h"

#include <math.h>

/* A model in memory, parsed. */
struct made {
    uint8_t *bytes;
    uint64_t byte_count;
    struct gguf file;
};

static void make(struct made *made, const struct synth_options *options)
{
    struct error err = {0};
    made->bytes = synth_model_bytes(options, &made->byte_count);
    assert_non_null(made->bytes);
    if (gguf_parse(&made->file, made->bytes, made->byte_count, "made.gguf", &err) != OK) {
        fail_msg("%s", err.message);
    }
}

static void drop(struct made *made)
{
    gguf_close(&made->file);
    free(made->bytes);
}

static struct synth_options preset(const char *name)
{
    struct synth_options options;
    assert_true(synth_model_preset(&options, name));
    return options;
}

static const struct gguf_tensor *tensor_of(const struct made *made, const char *name)
{
    const struct gguf_tensor *tensor = gguf_find_tensor(&made->file, name);
    if (tensor == NULL) {
        fail_msg("no tensor %s", name);
    }
    return tensor;
}

static void assert_shape(const struct made *made, const char *name, uint64_t rows, uint64_t values)
{
    const struct tensor *tensor = &tensor_of(made, name)->tensor;
    assert_int_equal(tensor_row_count(tensor), rows);
    assert_int_equal(tensor_row_values(tensor), values);
}

static void architectures_have_their_own_tensors(void **state)
{
    (void)state;
    static const char *const names[] = {"llama", "qwen2", "qwen3"};
    for (int i = 0; i < 3; i++) {
        struct synth_options options = preset("micro");
        struct made made;
        options.arch = names[i];
        make(&made, &options);
        assert_int_equal(made.file.tensor_count, 2 + 2 * (9 + (i == 1 ? 3 : i == 2 ? 2 : 0)));
        assert_int_equal(gguf_find_tensor(&made.file, "blk.1.attn_q.bias") != NULL, i == 1);
        assert_int_equal(gguf_find_tensor(&made.file, "blk.1.attn_k_norm.weight") != NULL, i == 2);
        assert_shape(&made, "token_embd.weight", SYNTH_VOCAB_MIN, 64);
        assert_shape(&made, "blk.0.attn_k.weight", 32, 64);
        assert_shape(&made, "blk.0.ffn_down.weight", 64, 160);
        char key[64];
        uint32_t value = 0;
        struct error err;
        snprintf(key, sizeof key, "%s.attention.head_count_kv", names[i]);
        assert_int_equal(gguf_get_u32(&made.file, key, true, 1, 99, &value, &err), OK);
        assert_int_equal(value, 2);
        drop(&made);
    }
}

static void experts_have_their_own_tensors(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct synth_options options = preset("micro");
        struct made made;
        options.arch = i == 0 ? "qwen2moe" : "qwen3moe";
        options.dtype = DTYPE_Q8_0;
        options.expert_ffn_dim = 96;
        make(&made, &options);
        assert_int_equal(made.file.tensor_count, 2 + 2 * (10 + (i == 0 ? 3 + 4 : 2)));
        assert_shape(&made, "blk.1.ffn_gate_inp.weight", 6, 64);
        assert_int_equal(tensor_of(&made, "blk.1.ffn_gate_inp.weight")->tensor.dtype, DTYPE_F32);
        const struct tensor *down = &tensor_of(&made, "blk.0.ffn_down_exps.weight")->tensor;
        assert_int_equal(down->dtype, DTYPE_Q8_0);
        assert_int_equal(down->dim_count, 3);
        assert_int_equal(down->shape[0], 6);
        assert_int_equal(down->shape[1], 64);
        assert_int_equal(down->shape[2], 96);
        assert_int_equal(gguf_find_tensor(&made.file, "blk.0.attn_v.bias") != NULL, i == 0);
        assert_int_equal(gguf_find_tensor(&made.file, "blk.0.ffn_up_shexp.weight") != NULL, i == 0);
        assert_null(gguf_find_tensor(&made.file, "blk.0.ffn_up.weight"));
        drop(&made);
    }
}

static void routers_tie_where_asked_to(void **state)
{
    (void)state;
    struct synth_options options = preset("micro");
    struct made made;
    options.arch = "qwen3moe";
    for (int router = SYNTH_ROUTER_PLAIN; router <= SYNTH_ROUTER_PAIRS; router++) {
        options.router = (enum synth_router)router;
        make(&made, &options);
        const float *rows = tensor_of(&made, "blk.0.ffn_gate_inp.weight")->tensor.data;
        assert_int_equal(rows[0] == 0.0f, router == SYNTH_ROUTER_EQUAL);
        uint32_t same_as_second = 0;
        uint32_t same_as_third = 0;
        for (int i = 0; i < 64; i++) {
            same_as_second += rows[i] == rows[64 + i] ? 1 : 0;
            same_as_third += rows[i] == rows[128 + i] ? 1 : 0;
        }
        assert_int_equal(same_as_second == 64, router != SYNTH_ROUTER_PLAIN);
        assert_int_equal(same_as_third == 64, router == SYNTH_ROUTER_EQUAL);
        drop(&made);
    }
}

static void every_weight_type_is_the_same_model_up_to_rounding(void **state)
{
    (void)state;
    struct synth_options options = preset("tiny");
    struct made exact;
    float first[256];
    float second[256];
    options.layer_count = 1;
    options.dtype = DTYPE_F32;
    make(&exact, &options);
    const float *reference = tensor_of(&exact, "blk.0.attn_q.weight")->tensor.data;
    memcpy(first, reference, sizeof first);
    for (int i = 0; i < DTYPE_COUNT; i++) {
        struct made made;
        options.dtype = (enum dtype)i;
        make(&made, &options);
        const struct gguf_tensor *q = tensor_of(&made, "blk.0.attn_q.weight");
        assert_int_equal(q->tensor.dtype, i);
        quant_format_get(options.dtype)->dequantize(second, q->tensor.data, 256);
        double power = 0.0;
        double noise = 0.0;
        for (int v = 0; v < 256; v++) {
            power += (double)first[v] * (double)first[v];
            noise += pow((double)first[v] - (double)second[v], 2.0);
        }
        if (noise > 0.25 * power) {
            fail_msg("%s: noise %g of %g", quant_format_get(options.dtype)->name, noise, power);
        }
        drop(&made);
    }
    drop(&exact);
}

static void rows_that_do_not_fit_fall_back(void **state)
{
    (void)state;
    struct synth_options options = preset("micro"); /* rows of 64 and 160 */
    struct made made;
    options.dtype = DTYPE_Q4_K;
    options.output_dtype = DTYPE_Q6_K;
    make(&made, &options);
    assert_int_equal(tensor_of(&made, "blk.0.attn_q.weight")->tensor.dtype, DTYPE_Q5_0);
    assert_int_equal(tensor_of(&made, "token_embd.weight")->tensor.dtype, DTYPE_Q8_0);
    drop(&made);
    options.dtype = DTYPE_Q4_0;
    options.ffn_dim = 172;
    make(&made, &options);
    assert_int_equal(tensor_of(&made, "blk.0.ffn_down.weight")->tensor.dtype, DTYPE_F16);
    assert_int_equal(tensor_of(&made, "blk.0.ffn_up.weight")->tensor.dtype, DTYPE_Q4_0);
    drop(&made);
}

static void the_seed_decides_the_bytes(void **state)
{
    (void)state;
    struct synth_options options = preset("micro");
    struct made a;
    struct made b;
    struct made c;
    make(&a, &options);
    make(&b, &options);
    options.seed = 2;
    make(&c, &options);
    assert_int_equal(a.byte_count, b.byte_count);
    assert_memory_equal(a.bytes, b.bytes, a.byte_count);
    assert_int_equal(a.byte_count, c.byte_count);
    assert_memory_not_equal(a.bytes, c.bytes, a.byte_count);
    drop(&a);
    drop(&b);
    drop(&c);
}

static void weights_have_the_intended_spread(void **state)
{
    (void)state;
    struct synth_options options = preset("micro");
    struct made made;
    make(&made, &options);
    const float *weights = tensor_of(&made, "blk.0.ffn_up.weight")->tensor.data;
    double sum = 0.0;
    double squares = 0.0;
    for (int i = 0; i < 160 * 64; i++) {
        sum += (double)weights[i];
        squares += (double)weights[i] * (double)weights[i];
    }
    assert_true(fabs(sum / 10240.0) < 0.005);
    assert_true(fabs(sqrt(squares / 10240.0) * 8.0 - 1.0) < 0.03); /* 1 / sqrt(64) */
    const float *norm = tensor_of(&made, "output_norm.weight")->tensor.data;
    for (int i = 0; i < 64; i++) {
        assert_true(norm[i] > 0.5f && norm[i] < 1.5f);
    }
    drop(&made);
}

static void rope_scaling_is_written_as_asked(void **state)
{
    (void)state;
    struct synth_options options = preset("micro");
    struct made made;
    struct gguf_string type = {0};
    struct error err;
    float factor = 0.0f;
    options.rope = SYNTH_ROPE_YARN;
    make(&made, &options);
    assert_int_equal(gguf_get_string(&made.file, "llama.rope.scaling.type", true, &type, &err), OK);
    assert_true(gguf_string_equal(type, "yarn"));
    assert_int_equal(
        gguf_get_f32(&made.file, "llama.rope.scaling.factor", true, 4, 4, &factor, &err), OK);
    drop(&made);
    options.rope = SYNTH_ROPE_LLAMA3;
    make(&made, &options);
    assert_null(gguf_find(&made.file, "llama.rope.scaling.type"));
    assert_shape(&made, "rope_freqs.weight", 1, 8);
    const float *divisors = tensor_of(&made, "rope_freqs.weight")->tensor.data;
    assert_true(divisors[0] == 1.0f);               /* a wave of 6 tokens stays */
    assert_true(fabsf(divisors[7] - 4.0f) < 1e-5f); /* one of 20,000 is stretched whole */
    for (int i = 1; i < 8; i++) {
        assert_true(divisors[i] >= divisors[i - 1]);
    }
    drop(&made);
}

static uint32_t most_likely(const double *logits, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

/* Greedy output that repeats one token would hide most faults from a test that compares it. */
static void greedy_output_of_a_tied_model_varies(void **state)
{
    (void)state;
    enum {
        TOKENS = 16
    };
    struct synth_options options = preset("micro");
    struct made made;
    make(&made, &options);
    struct reference_model *model = reference_model_open(&made.file);
    double *logits = calloc((size_t)TOKENS * SYNTH_VOCAB_MIN, sizeof *logits);
    uint32_t ids[TOKENS] = {5, 7, 9, 11};
    uint32_t changes = 0;
    for (uint32_t i = 4; i < TOKENS; i++) {
        reference_model_run(model, ids, i, logits);
        ids[i] = most_likely(logits + (size_t)(i - 1) * SYNTH_VOCAB_MIN, SYNTH_VOCAB_MIN);
        changes += ids[i] != ids[i - 1] ? 1 : 0;
    }
    assert_in_range(changes, 8, TOKENS);
    free(logits);
    reference_model_close(model);
    drop(&made);
}

/* Every merge's two sides and their whole are tokens, and no token is there twice. */
static void check_merges(const struct gguf_array *tokens, const struct gguf_array *merges)
{
    struct gguf_writer writer; /* its parsed form is a sorted index that refuses duplicates */
    gguf_writer_init(&writer);
    for (uint64_t i = 0; i < tokens->element_count; i++) {
        char key[64];
        snprintf(key, sizeof key, "#%.*s", (int)tokens->strings[i].byte_count,
                 tokens->strings[i].bytes);
        gguf_writer_add_u32(&writer, key, (uint32_t)i);
    }
    uint64_t byte_count = 0;
    uint8_t *bytes = gguf_writer_finish(&writer, &byte_count);
    struct gguf index;
    struct error err = {0};
    if (gguf_parse(&index, bytes, byte_count, "tokens", &err) != OK) {
        fail_msg("%s", err.message);
    }
    for (uint64_t i = 0; i < merges->element_count; i++) {
        char left[64];
        char right[64];
        char whole[64];
        char rule[64];
        snprintf(rule, sizeof rule, "%.*s", (int)merges->strings[i].byte_count,
                 merges->strings[i].bytes);
        char *space = strchr(rule, ' ');
        assert_non_null(space);
        snprintf(left, sizeof left, "#%.*s", (int)(space - rule), rule);
        snprintf(right, sizeof right, "#%s", space + 1);
        snprintf(whole, sizeof whole, "%s%s", left, space + 1);
        assert_non_null(gguf_find(&index, left));
        assert_non_null(gguf_find(&index, right));
        assert_non_null(gguf_find(&index, whole));
    }
    gguf_close(&index);
    free(bytes);
    gguf_writer_release(&writer);
}

static void vocabulary_is_whole_and_without_duplicates(void **state)
{
    (void)state;
    struct synth_options options = preset("micro");
    struct made made;
    struct gguf_array tokens;
    struct gguf_array merges;
    struct error err;
    uint32_t eos = 0;
    options.vocab_count = 20000;
    make(&made, &options);
    assert_int_equal(
        gguf_get_array(&made.file, "tokenizer.ggml.tokens", true, GGUF_STRING, &tokens, &err), OK);
    assert_int_equal(
        gguf_get_array(&made.file, "tokenizer.ggml.merges", true, GGUF_STRING, &merges, &err), OK);
    assert_int_equal(tokens.element_count, 20000);
    assert_int_equal(merges.element_count, 20000 - 256 - SYNTH_CONTROL_COUNT);
    check_merges(&tokens, &merges);
    assert_int_equal(
        gguf_get_u32(&made.file, "tokenizer.ggml.eos_token_id", true, 0, 19999, &eos, &err), OK);
    assert_true(gguf_string_equal(tokens.strings[eos], "<|im_end|>"));
    drop(&made);
}

static void sentencepiece_vocabulary_has_scores_and_byte_tokens(void **state)
{
    (void)state;
    struct synth_options options = preset("micro");
    struct made made;
    struct gguf_array tokens;
    struct gguf_array scores;
    struct gguf_array types;
    struct error err;
    options.spm = true;
    make(&made, &options);
    const struct gguf *file = &made.file;
    assert_int_equal(
        gguf_get_array(file, "tokenizer.ggml.tokens", true, GGUF_STRING, &tokens, &err), OK);
    assert_int_equal(
        gguf_get_array(file, "tokenizer.ggml.scores", true, GGUF_FLOAT32, &scores, &err), OK);
    assert_int_equal(
        gguf_get_array(file, "tokenizer.ggml.token_type", true, GGUF_INT32, &types, &err), OK);
    assert_int_equal(tokens.element_count, SYNTH_VOCAB_MIN);
    assert_int_equal(scores.element_count, SYNTH_VOCAB_MIN);
    assert_int_equal(types.element_count, SYNTH_VOCAB_MIN);
    assert_true(gguf_string_equal(tokens.strings[1 + 0x41], "<0x41>"));
    assert_int_equal(gguf_array_i64(&types, 1 + 0x41), 6);
    drop(&made);
}

static void entries_and_tensors_of_a_model_can_be_changed(void **state)
{
    (void)state;
    struct synth_options options = preset("micro");
    struct gguf_writer writer;
    struct gguf file;
    struct error err;
    uint64_t byte_count = 0;
    gguf_writer_init(&writer);
    assert_true(synth_model_build(&writer, &options));
    assert_true(gguf_writer_remove(&writer, "llama.attention.head_count"));
    assert_false(gguf_writer_remove(&writer, "llama.attention.head_count"));
    gguf_writer_add_u32(&writer, "llama.attention.head_count", 0);
    assert_true(gguf_writer_remove_tensor(&writer, "blk.0.attn_k.weight"));
    assert_false(gguf_writer_remove_tensor(&writer, "blk.0.attn_k.weight"));
    uint8_t *bytes = gguf_writer_finish(&writer, &byte_count);
    assert_int_equal(gguf_parse(&file, bytes, byte_count, "changed.gguf", &err), OK);
    assert_null(gguf_find_tensor(&file, "blk.0.attn_k.weight"));
    assert_int_equal(gguf_find(&file, "llama.attention.head_count")->value.u, 0);
    struct made whole;
    make(&whole, &options);
    const struct gguf_tensor *moved = gguf_find_tensor(&file, "output_norm.weight");
    const struct gguf_tensor *kept = gguf_find_tensor(&whole.file, "output_norm.weight");
    assert_memory_equal(moved->tensor.data, kept->tensor.data, kept->byte_count);
    drop(&whole);
    gguf_close(&file);
    free(bytes);
    gguf_writer_release(&writer);
}

static void impossible_options_are_refused(void **state)
{
    (void)state;
    struct synth_options options = preset("micro");
    uint64_t byte_count = 0;
    options.kv_head_count = 3;
    assert_null(synth_model_bytes(&options, &byte_count));
    options = preset("micro");
    options.arch = "qwen2moe";
    options.expert_used_count = 7;
    assert_null(synth_model_bytes(&options, &byte_count));
    options.expert_used_count = 0;
    assert_null(synth_model_bytes(&options, &byte_count));
    options.expert_used_count = 1;
    options.shared_ffn_dim = 0;
    assert_null(synth_model_bytes(&options, &byte_count));
    options = preset("micro");
    options.arch = "gpt9";
    assert_null(synth_model_bytes(&options, &byte_count));
    options = preset("micro");
    options.vocab_count = SYNTH_VOCAB_MIN - 1;
    assert_null(synth_model_bytes(&options, &byte_count));
    assert_false(synth_model_preset(&options, "huge"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(architectures_have_their_own_tensors),
        cmocka_unit_test(experts_have_their_own_tensors),
        cmocka_unit_test(routers_tie_where_asked_to),
        cmocka_unit_test(every_weight_type_is_the_same_model_up_to_rounding),
        cmocka_unit_test(rows_that_do_not_fit_fall_back),
        cmocka_unit_test(the_seed_decides_the_bytes),
        cmocka_unit_test(weights_have_the_intended_spread),
        cmocka_unit_test(greedy_output_of_a_tied_model_varies),
        cmocka_unit_test(rope_scaling_is_written_as_asked),
        cmocka_unit_test(vocabulary_is_whole_and_without_duplicates),
        cmocka_unit_test(sentencepiece_vocabulary_has_scores_and_byte_tokens),
        cmocka_unit_test(entries_and_tensors_of_a_model_can_be_changed),
        cmocka_unit_test(impossible_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
