/* A small valid file of each family is built, one tensor is changed, and the model must either bind
 * it or be refused with one line that names it. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/weights.h"
#include "kernels/quant.h"
#include "tests/support/model_fixture.h"
#include "tests/support/synth_family.h"

#include <math.h>

static void every_family_opens_with_its_own_flags(void **state)
{
    (void)state;
    const struct {
        const char *arch;
        enum rope_style style;
        bool bias;
        bool norm;
        bool experts;
        bool shared;
        bool normalize;
    } rows[] = {
        {"llama", ROPE_NEIGHBOURS, false, false, false, false, false},
        {"qwen2", ROPE_HALVES, true, false, false, false, false},
        {"qwen3", ROPE_HALVES, false, true, false, false, false},
        {"qwen2moe", ROPE_HALVES, true, false, true, true, false},
        {"qwen3moe", ROPE_HALVES, false, true, true, false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, rows[i].arch);
        model_fixture_open_valid(&fixture);
        const struct model_params *params = &fixture.model.params;
        const struct model_layer *last = &fixture.model.layers[params->layer_count - 1];
        assert_string_equal(params->architecture, rows[i].arch);
        assert_int_equal(params->rope_style, rows[i].style);
        assert_int_equal(params->qkv_bias, rows[i].bias);
        assert_int_equal(params->qk_norm, rows[i].norm);
        assert_int_equal(last->q_bias.data != NULL, rows[i].bias);
        assert_int_equal(last->v_bias.data != NULL, rows[i].bias);
        assert_int_equal(last->q_norm.data != NULL, rows[i].norm);
        assert_int_equal(last->k_norm.data != NULL, rows[i].norm);
        assert_int_equal(params->expert_count, rows[i].experts ? 6 : 0);
        assert_int_equal(params->expert_normalize, rows[i].normalize);
        assert_int_equal(last->router.data != NULL, rows[i].experts);
        assert_int_equal(last->expert_gate != NULL, rows[i].experts);
        assert_int_equal(last->shared_down.data != NULL, rows[i].shared);
        assert_int_equal(last->ffn_up.data != NULL, !rows[i].experts);
        model_fixture_finish(&fixture);
    }
}

static void every_tensor_is_bound_to_the_bytes_of_its_name(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "qwen2");
    model_fixture_open_valid(&fixture);
    const struct model_layer *layer = &fixture.model.layers[1];
    const struct {
        const char *name;
        const struct tensor *bound;
    } rows[] = {
        {"token_embd.weight", &fixture.model.embedding},
        {"output_norm.weight", &fixture.model.output_norm},
        {"blk.1.attn_norm.weight", &layer->attention_norm},
        {"blk.1.attn_q.weight", &layer->q},
        {"blk.1.attn_k.weight", &layer->k},
        {"blk.1.attn_v.weight", &layer->v},
        {"blk.1.attn_q.bias", &layer->q_bias},
        {"blk.1.attn_k.bias", &layer->k_bias},
        {"blk.1.attn_v.bias", &layer->v_bias},
        {"blk.1.attn_output.weight", &layer->attention_output},
        {"blk.1.ffn_norm.weight", &layer->ffn_norm},
        {"blk.1.ffn_gate.weight", &layer->ffn_gate},
        {"blk.1.ffn_up.weight", &layer->ffn_up},
        {"blk.1.ffn_down.weight", &layer->ffn_down},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct gguf_tensor *stored = gguf_find_tensor(&fixture.file, rows[i].name);
        assert_non_null(stored);
        assert_ptr_equal(stored->tensor.data, rows[i].bound->data);
    }
    uint64_t byte_count = 0;
    uint64_t value_count = 0;
    for (uint64_t i = 0; i < fixture.file.tensor_count; i++) {
        const struct tensor *tensor = &fixture.file.tensors[i].tensor;
        byte_count += fixture.file.tensors[i].byte_count;
        value_count += tensor_row_count(tensor) * tensor_row_values(tensor);
    }
    assert_int_equal(fixture.model.weight_bytes, byte_count);
    assert_int_equal(fixture.model.parameter_count, value_count);
    model_fixture_finish(&fixture);
}

/* Every expert is a matrix of its own, which lies behind the one before. */
static void experts_are_bound_one_by_one(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "qwen2moe");
    model_fixture_open_valid(&fixture);
    const struct model_layer *layer = &fixture.model.layers[1];
    const struct synth_options *options = &fixture.options;
    const struct {
        const char *name;
        const struct tensor *bound;
        uint64_t matrices;
        uint64_t rows;
        uint64_t values;
    } rows[] = {
        {"blk.1.ffn_gate_inp.weight", &layer->router, 1, options->expert_count, options->dim},
        {"blk.1.ffn_gate_exps.weight", layer->expert_gate, options->expert_count,
         options->expert_ffn_dim, options->dim},
        {"blk.1.ffn_up_exps.weight", layer->expert_up, options->expert_count,
         options->expert_ffn_dim, options->dim},
        {"blk.1.ffn_down_exps.weight", layer->expert_down, options->expert_count, options->dim,
         options->expert_ffn_dim},
        {"blk.1.ffn_gate_shexp.weight", &layer->shared_gate, 1, options->shared_ffn_dim,
         options->dim},
        {"blk.1.ffn_up_shexp.weight", &layer->shared_up, 1, options->shared_ffn_dim, options->dim},
        {"blk.1.ffn_down_shexp.weight", &layer->shared_down, 1, options->dim,
         options->shared_ffn_dim},
        {"blk.1.ffn_gate_inp_shexp.weight", &layer->shared_share, 1, 1, options->dim},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct gguf_tensor *stored = gguf_find_tensor(&fixture.file, rows[i].name);
        assert_non_null(stored);
        const float *bytes = stored->tensor.data;
        for (uint64_t m = 0; m < rows[i].matrices; m++) {
            const struct tensor *matrix = &rows[i].bound[m];
            assert_ptr_equal(matrix->data, bytes + m * rows[i].rows * rows[i].values);
            assert_int_equal(matrix->dim_count, 2);
            assert_int_equal(matrix->shape[0], rows[i].rows);
            assert_int_equal(matrix->shape[1], rows[i].values);
        }
    }
    uint64_t byte_count = 0;
    for (uint64_t i = 0; i < fixture.file.tensor_count; i++) {
        byte_count += fixture.file.tensors[i].byte_count;
    }
    assert_int_equal(fixture.model.weight_bytes, byte_count);
    assert_int_equal(fixture.model.parameter_count * sizeof(float), byte_count);
    uint32_t each_layer = 9 + 1 + 3 * options->expert_count + 4;
    assert_int_equal(model_fixture_imports(), 2 + options->layer_count * each_layer);
    model_fixture_finish(&fixture);
}

/* The same matrix with its one row told. */
static void the_share_of_the_shared_expert_may_be_a_matrix(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "qwen2moe");
    model_fixture_set_tensor(&fixture, "blk.0.ffn_gate_inp_shexp.weight", DTYPE_F16, 2,
                             (uint64_t[]){1, fixture.options.dim});
    model_fixture_open_valid(&fixture);
    assert_int_equal(fixture.model.layers[0].shared_share.dim_count, 2);
    model_fixture_finish(&fixture);
}

static void experts_of_another_shape_are_named_with_both_shapes(void **state)
{
    (void)state;
    const struct {
        const char *name;
        uint32_t dim_count;
        uint64_t shape[3];
        const char *found;
        const char *expected;
    } rows[] = {
        {"blk.0.ffn_gate_exps.weight", 3, {5, 48, 64}, "[5, 48, 64]", "[6, 48, 64]"},
        {"blk.1.ffn_up_exps.weight", 3, {6, 64, 48}, "[6, 64, 48]", "[6, 48, 64]"},
        {"blk.1.ffn_down_exps.weight", 3, {6, 64, 49}, "[6, 64, 49]", "[6, 64, 48]"},
        {"blk.1.ffn_down_exps.weight", 2, {384, 48}, "[384, 48]", "[6, 64, 48]"},
        {"blk.0.ffn_gate_inp.weight", 2, {7, 64}, "[7, 64]", "[6, 64]"},
        {"blk.0.ffn_gate_inp_shexp.weight", 1, {63}, "[63]", "[1, 64]"},
        {"blk.0.ffn_gate_inp_shexp.weight", 2, {2, 64}, "[2, 64]", "[1, 64]"},
        {"blk.0.ffn_up_shexp.weight", 2, {81, 64}, "[81, 64]", "[80, 64]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, "qwen2moe");
        model_fixture_set_tensor(&fixture, rows[i].name, DTYPE_F32, rows[i].dim_count,
                                 rows[i].shape);
        model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                     WORDS(rows[i].name, rows[i].found, rows[i].expected));
    }
}

/* A dense layer in a mixture, experts in a dense model, a shared expert where there is none. */
static void parts_of_another_kind_of_model_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        const char *name;
    } rows[] = {
        {"llama", "blk.0.ffn_gate_inp.weight"},
        {"qwen2", "blk.0.ffn_gate_exps.weight"},
        {"qwen2moe", "blk.1.ffn_gate.weight"},
        {"qwen3moe", "blk.0.ffn_up.bias"},
        {"qwen3moe", "blk.1.ffn_up_shexp.weight"},
        {"qwen2moe", "blk.0.attn_q_norm.weight"},
        {"qwen2moe", "blk.0.ffn_gate_exps.bias"},
        {"qwen3moe", "blk.0.exp_probs_b.bias"},
        {"olmo2", "blk.0.attn_norm.weight"},
        {"llama", "blk.1.post_ffw_norm.weight"},
        {"phi3", "blk.0.ffn_gate.weight"},
        {"gpt2", "blk.0.attn_q.weight"},
        {"starcoder2", "blk.0.ffn_gate.bias"},
        {"command-r", "blk.0.ffn_norm.weight"},
        {"command-r", "blk.1.attn_norm.bias"},
        {"llama", "position_embd.weight"},
        {"qwen2", "output_norm.bias"},
        {"gptneox", "blk.0.attn_norm_2.weight"},
        {"qwen3moe", "blk.0.ffn_gate_inp.bias"},
        {"llama", "blk.0.attn_sinks.weight"},
        {"gpt-oss", "blk.0.ffn_norm.weight"},
        {"gpt-oss", "blk.0.post_ffw_norm.weight"},
        {"gemma2", "blk.0.attn_q_norm.weight"},
        {"llama", "output.bias"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, rows[i].arch);
        model_fixture_set_tensor(&fixture, rows[i].name, DTYPE_F32, 1, (uint64_t[]){64});
        model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED,
                                     WORDS("nothing in a", rows[i].arch, rows[i].name));
    }
}

static void embedding_serves_as_output_when_tied(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    if (gguf_writer_find_tensor(&fixture.writer, "output.weight") == NULL) {
        uint64_t shape[] = {fixture.options.vocab_count, fixture.options.dim};
        gguf_writer_add_tensor(&fixture.writer, "output.weight", DTYPE_F32, 2, shape, NULL);
    }
    model_fixture_open_valid(&fixture);
    assert_ptr_not_equal(fixture.model.output.data, fixture.model.embedding.data);
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "llama");
    gguf_writer_remove_tensor(&fixture.writer, "output.weight");
    model_fixture_open_valid(&fixture);
    assert_ptr_equal(fixture.model.output.data, fixture.model.embedding.data);
    model_fixture_finish(&fixture);
}

/* M-27 */
static void an_unknown_architecture_is_refused_with_the_known_ones(void **state)
{
    (void)state;
    char *huge = malloc(1048577);
    assert_non_null(huge);
    memset(huge, 'x', 1048576);
    huge[1048576] = '\0';
    const char *const names[] = {"gpt5", "", "llama2", "lla", "a\nb", huge};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, "llama");
        model_fixture_set_string(&fixture, "general.architecture", names[i]);
        model_fixture_expect_refusal(
            &fixture, ERR_UNSUPPORTED,
            WORDS("general.architecture", "llama, qwen2, qwen3, qwen2moe, qwen3moe", "falcon"));
    }
    free(huge);

    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    gguf_writer_remove(&fixture.writer, "general.architecture");
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("general.architecture"));
}

/* Biases that only some files of a family have, norms that some models of it have, and the output
 * matrix when it is tied. */
static bool is_required(const char *arch, const char *name)
{
    bool qkv_bias = strstr(name, "attn_q.bias") || strstr(name, "attn_k.bias") ||
                    strstr(name, "attn_v.bias") || strstr(name, "attn_qkv.bias");
    bool own =
        strncmp(arch, "qwen2", 5) == 0 || strcmp(arch, "gpt2") == 0 || strcmp(arch, "gpt-oss") == 0;
    bool other_bias = strstr(name, "attn_output.bias") || strstr(name, "ffn_up.bias") ||
                      strstr(name, "ffn_down.bias");
    bool layout = strstr(name, ".attn_norm_2.") != NULL;
    return strcmp(name, "output.weight") != 0 && !other_bias && !layout && (!qkv_bias || own);
}

/* M-29: missing. */
static void every_required_tensor_is_missed_by_name(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < synth_family_count; i++) {
        const char *arch = synth_family_rows[i].arch;
        struct model_fixture fixture;
        model_fixture_start(&fixture, arch);
        uint64_t tensor_count = fixture.writer.tensor_count;
        model_fixture_finish(&fixture);
        for (uint64_t t = 0; t < tensor_count; t++) {
            model_fixture_start(&fixture, arch);
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)fixture.writer.tensors[t].name_bytes,
                     fixture.writer.tensors[t].name);
            gguf_writer_remove_tensor(&fixture.writer, name);
            if (strcmp(arch, "command-r") == 0 && strcmp(name, "blk.0.attn_q_norm.weight") == 0) {
                model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED,
                                             WORDS("blk.0.attn_k_norm.weight", "nothing"));
                continue;
            }
            if (!is_required(arch, name)) {
                model_fixture_open_valid(&fixture);
                model_fixture_finish(&fixture);
                continue;
            }
            bool layout = strcmp(name, "blk.0.attn_qkv.weight") == 0;
            model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                         layout ? WORDS("blk.0.attn_q.weight", "missing")
                                                : WORDS(name, "missing"));
        }
    }
}

/* The tensors of one layer by head, made into the one that earlier files have; and their keys. */
static void store_heads_in_one(struct model_fixture *fixture, uint32_t layer, float *fused)
{
    enum {
        HEADS = 4,
        STILL = 8,
        VALUES = SYNTH_VALUE_DIM,
        RANK = SYNTH_KV_RANK
    };
    char names[3][32];
    static const char *const parts[] = {"attn_k_b.weight", "attn_v_b.weight", "attn_kv_b.weight"};
    for (uint32_t i = 0; i < 3; i++) {
        snprintf(names[i], sizeof names[i], "blk.%u.%s", layer, parts[i]);
    }
    const struct gguf *file = &fixture->file;
    const float *keys = gguf_find_tensor(file, names[0])->tensor.data;
    const float *values = gguf_find_tensor(file, names[1])->tensor.data;
    for (uint32_t h = 0; h < HEADS; h++) {
        float *head = fused + (size_t)h * (STILL + VALUES) * RANK;
        for (uint32_t i = 0; i < STILL * RANK; i++) {
            head[i] = keys[(h * RANK + i % RANK) * STILL + i / RANK];
        }
        memcpy(head + (size_t)STILL * RANK, values + (size_t)h * VALUES * RANK,
               sizeof(float) * VALUES * RANK);
    }
    gguf_writer_remove_tensor(&fixture->writer, names[0]);
    gguf_writer_remove_tensor(&fixture->writer, names[1]);
    const uint64_t rows = HEADS;
    const uint64_t shape[2] = {rows * (STILL + VALUES), RANK};
    gguf_writer_add_tensor(&fixture->writer, names[2], DTYPE_F32, 2, shape, fused);
}

/* Files of both ages bind the same numbers. */
static void heads_of_latent_attention_are_bound_from_either_layout(void **state)
{
    (void)state;
    struct model_fixture newer;
    struct model_fixture older;
    static float fused[2][4 * (8 + SYNTH_VALUE_DIM) * SYNTH_KV_RANK];
    model_fixture_start(&newer, "deepseek2");
    model_fixture_open_valid(&newer);
    model_fixture_start(&older, "deepseek2");
    model_fixture_parse(&older);
    for (uint32_t i = 0; i < 2; i++) {
        store_heads_in_one(&older, i, fused[i]);
    }
    gguf_close(&older.file);
    free(older.bytes);
    model_fixture_remove_key(&older, "attention.key_length_mla");
    model_fixture_remove_key(&older, "attention.value_length_mla");
    model_fixture_set_u32(&older, "attention.key_length", 16);
    model_fixture_set_u32(&older, "attention.value_length", SYNTH_VALUE_DIM);
    model_fixture_set_u32(&older, "attention.head_count_kv", 4);
    model_fixture_open_valid(&older);
    assert_memory_equal(&newer.model.params.dim, &older.model.params.dim, 5 * sizeof(uint32_t));
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t h = 0; h < 4; h++) {
            const struct model_layer *a = &newer.model.layers[i];
            const struct model_layer *b = &older.model.layers[i];
            assert_int_equal(b->key_turned[h].shape[0], SYNTH_KV_RANK);
            assert_int_equal(b->value_up[h].shape[0], SYNTH_VALUE_DIM);
            assert_memory_equal(a->key_turned[h].data, b->key_turned[h].data,
                                sizeof(float) * 8 * SYNTH_KV_RANK);
            assert_memory_equal(a->value_up[h].data, b->value_up[h].data,
                                sizeof(float) * SYNTH_VALUE_DIM * SYNTH_KV_RANK);
        }
    }
    struct weights_memory memory = weights_measure(&older.file, &older.model.params, PRECISION_F32);
    assert_int_equal(memory.packed_bytes, 2 * sizeof(float) * 4 * 8 * SYNTH_KV_RANK);
    model_fixture_finish(&older);
    model_fixture_finish(&newer);
}

/* Slices of what lies in the file, at row boundaries, whatever the weight type. */
static void fused_tensors_are_bound_as_their_rows(void **state)
{
    (void)state;
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_Q8_0, DTYPE_Q4_K};
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, "phi3");
        const uint64_t dim = 256;
        const uint64_t q_rows = 64;
        const uint64_t kv_rows = 32;
        model_fixture_set_u32(&fixture, "embedding_length", (uint32_t)dim);
        model_fixture_set_tensor(&fixture, "token_embd.weight", DTYPE_F32, 2,
                                 (uint64_t[]){fixture.options.vocab_count, dim});
        model_fixture_set_tensor(&fixture, "output_norm.weight", DTYPE_F32, 1, &dim);
        for (uint32_t layer = 0; layer < fixture.options.layer_count; layer++) {
            static const char *const vectors[] = {"attn_norm.weight", "ffn_norm.weight"};
            const struct {
                const char *name;
                uint64_t shape[2];
            } matrices[] = {{"attn_qkv.weight", {q_rows + 2 * kv_rows, dim}},
                            {"attn_output.weight", {dim, q_rows}},
                            {"ffn_up.weight", {2ull * fixture.options.ffn_dim, dim}},
                            {"ffn_down.weight", {dim, fixture.options.ffn_dim}}};
            char name[64];
            for (size_t j = 0; j < 2; j++) {
                snprintf(name, sizeof name, "blk.%u.%s", layer, vectors[j]);
                model_fixture_set_tensor(&fixture, name, DTYPE_F32, 1, &dim);
            }
            for (size_t j = 0; j < 4; j++) {
                snprintf(name, sizeof name, "blk.%u.%s", layer, matrices[j].name);
                model_fixture_set_tensor(&fixture, name, j % 2 == 0 ? dtypes[i] : DTYPE_F32, 2,
                                         matrices[j].shape);
            }
        }
        model_fixture_open_valid(&fixture);
        const struct model_layer *layer = &fixture.model.layers[1];
        const struct gguf_tensor *qkv = gguf_find_tensor(&fixture.file, "blk.1.attn_qkv.weight");
        const struct gguf_tensor *up = gguf_find_tensor(&fixture.file, "blk.1.ffn_up.weight");
        const uint64_t row_bytes = qkv->byte_count / (q_rows + 2 * kv_rows);
        const uint8_t *bytes = qkv->tensor.data;
        assert_ptr_equal(layer->q.data, bytes);
        assert_ptr_equal(layer->k.data, bytes + q_rows * row_bytes);
        assert_ptr_equal(layer->v.data, bytes + (q_rows + kv_rows) * row_bytes);
        assert_int_equal(layer->q.shape[0], q_rows);
        assert_int_equal(layer->v.shape[0], kv_rows);
        assert_int_equal(layer->v.shape[1], dim);
        assert_ptr_equal(layer->ffn_gate.data, up->tensor.data);
        assert_ptr_equal(layer->ffn_up.data, (const uint8_t *)up->tensor.data + up->byte_count / 2);
        assert_int_equal(layer->ffn_up.shape[0], fixture.options.ffn_dim);
        assert_int_equal(layer->ffn_up.dtype, dtypes[i]);
        model_fixture_finish(&fixture);
    }
}

static void a_fused_bias_of_half_precision_is_converted_in_parts(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "gpt2");
    static const uint16_t halves[128] = {[0] = 0x3c00, [64] = 0x4000, [127] = 0x4200};
    uint64_t value_count = 128; /* 4 heads of 16, twice 2 */
    gguf_writer_remove_tensor(&fixture.writer, "blk.1.attn_qkv.bias");
    gguf_writer_add_tensor(&fixture.writer, "blk.1.attn_qkv.bias", DTYPE_F16, 1, &value_count,
                           halves);
    model_fixture_open_valid(&fixture);
    const struct model_layer *layer = &fixture.model.layers[1];
    assert_int_equal(layer->k_bias.dtype, DTYPE_F32);
    assert_int_equal(layer->k_bias.shape[0], 32);
    assert_true(((const float *)layer->q_bias.data)[0] == 1.0f);
    assert_true(((const float *)layer->k_bias.data)[0] == 2.0f);
    assert_true(((const float *)layer->v_bias.data)[31] == 3.0f);
    model_fixture_finish(&fixture);
}

/* Puts the experts of every layer into tensors of their own. */
static void set_experts_apart(struct model_fixture *fixture, uint32_t expert_count)
{
    static const char *const parts[] = {"gate", "up", "down"};
    uint64_t dim = fixture->options.dim;
    uint64_t ffn_dim = fixture->options.ffn_dim;
    model_fixture_set_u32(fixture, "expert_count", expert_count);
    model_fixture_set_u32(fixture, "expert_used_count", 2);
    for (uint32_t i = 0; i < fixture->options.layer_count * 3; i++) {
        char name[64];
        uint64_t shape[] = {i % 3 == 2 ? dim : ffn_dim, i % 3 == 2 ? ffn_dim : dim};
        snprintf(name, sizeof name, "blk.%u.ffn_%s.weight", i / 3, parts[i % 3]);
        gguf_writer_remove_tensor(&fixture->writer, name);
        for (uint32_t expert = 0; expert < expert_count; expert++) {
            snprintf(name, sizeof name, "blk.%u.ffn_%s.%u.weight", i / 3, parts[i % 3], expert);
            model_fixture_set_tensor(fixture, name, DTYPE_F32, 2, shape);
        }
        snprintf(name, sizeof name, "blk.%u.ffn_gate_inp.weight", i / 3);
        model_fixture_set_tensor(fixture, name, DTYPE_F32, 2, (uint64_t[]){expert_count, dim});
    }
}

/* Norms of each head's own, which some models of two families have. */
static void norms_of_each_head_are_bound_where_they_are(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "command-r");
    model_fixture_open_valid(&fixture);
    const struct model_layer *layer = &fixture.model.layers[1];
    assert_int_equal(fixture.model.params.qk_norm, QK_NORM_EACH);
    assert_int_equal(layer->q_norm.shape[0], fixture.options.head_count);
    assert_int_equal(layer->k_norm.shape[0], fixture.options.kv_head_count);
    assert_int_equal(layer->k_norm.shape[1], fixture.options.head_dim);
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "stablelm");
    model_fixture_open_valid(&fixture);
    assert_int_equal(fixture.model.params.qk_norm, QK_NORM_NONE);
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "command-r");
    model_fixture_set_tensor(&fixture, "blk.1.attn_k_norm.weight", DTYPE_F32, 1,
                             (uint64_t[]){fixture.options.head_dim});
    model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                 WORDS("blk.1.attn_k_norm.weight", "[16]", "[2, 16]"));
}

/* Biases of experts are matrices, one row an expert, but f32 for every kernel like other biases. */
static void biases_of_experts_are_converted(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "gpt-oss");
    uint64_t shape[] = {fixture.options.expert_count, fixture.options.dim};
    uint16_t *halves = calloc(shape[0] * shape[1], sizeof *halves);
    assert_non_null(halves);
    halves[shape[0] * shape[1] - 1] = 0x4200;
    gguf_writer_remove_tensor(&fixture.writer, "blk.1.ffn_down_exps.bias");
    gguf_writer_add_tensor(&fixture.writer, "blk.1.ffn_down_exps.bias", DTYPE_F16, 2, shape,
                           halves);
    model_fixture_open_valid(&fixture);
    const struct tensor *bias = &fixture.model.layers[1].expert_down_bias;
    assert_int_equal(bias->dtype, DTYPE_F32);
    assert_true(((const float *)bias->data)[shape[0] * shape[1] - 1] == 3.0f);
    model_fixture_finish(&fixture);
    free(halves);

    model_fixture_start(&fixture, "gpt-oss");
    model_fixture_set_tensor(
        &fixture, "blk.0.ffn_up_exps.bias", DTYPE_F32, 2,
        (uint64_t[]){fixture.options.expert_count + 1, fixture.options.expert_ffn_dim});
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("blk.0.ffn_up_exps.bias", "[7, 48]"));
    model_fixture_start(&fixture, "gpt-oss");
    model_fixture_set_tensor(&fixture, "blk.0.ffn_down_exps.bias", DTYPE_Q8_0, 2, shape);
    model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED,
                                 WORDS("blk.0.ffn_down_exps.bias", "q8_0"));
}

static void experts_may_have_a_tensor_each(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    set_experts_apart(&fixture, 11);
    model_fixture_open_valid(&fixture);
    assert_true(fixture.model.params.experts_apart);
    assert_true(fixture.model.params.expert_normalize);
    assert_int_equal(fixture.model.params.expert_ffn_dim, fixture.options.ffn_dim);
    const struct model_layer *layer = &fixture.model.layers[1];
    for (uint32_t i = 0; i < 11; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.1.ffn_down.%u.weight", i);
        const struct gguf_tensor *stored = gguf_find_tensor(&fixture.file, name);
        assert_ptr_equal(layer->expert_down[i].data, stored->tensor.data);
        assert_int_equal(layer->expert_down[i].shape[1], fixture.options.ffn_dim);
    }
    model_fixture_finish(&fixture);

    model_fixture_start(&fixture, "llama");
    set_experts_apart(&fixture, 4);
    gguf_writer_remove_tensor(&fixture.writer, "blk.1.ffn_up.3.weight");
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("blk.1.ffn_up.3.weight", "missing"));

    model_fixture_start(&fixture, "llama");
    set_experts_apart(&fixture, 4);
    model_fixture_set_tensor(&fixture, "blk.0.ffn_gate.2.weight", DTYPE_F16, 2,
                             (uint64_t[]){fixture.options.ffn_dim, fixture.options.dim});
    model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED,
                                 WORDS("blk.0.ffn_gate.2.weight", "f16", "f32"));

    static const char *const strangers[] = {"blk.0.ffn_gate.4.weight", "blk.0.ffn_gate.03.weight",
                                            "blk.0.ffn_gate..weight", "blk.0.ffn_up_exps.weight",
                                            "blk.0.ffn_up.99999999999.weight"};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        model_fixture_start(&fixture, "llama");
        set_experts_apart(&fixture, 4);
        model_fixture_set_tensor(&fixture, strangers[i], DTYPE_F32, 1, (uint64_t[]){64});
        model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED,
                                     WORDS("nothing in a", strangers[i]));
    }
}

/* Counts a weight that each of two layers has, or the one of the output. */
static void add_memory(struct weights_memory *memory, const struct tensor *weight,
                       uint64_t layer_count)
{
    if (weight->data != NULL) {
        uint64_t input_bytes = backend_input_bytes(weight, PRECISION_AUTO);
        memory->packed_bytes += layer_count * backend_packed_bytes(weight, PRECISION_AUTO);
        memory->input_bytes = input_bytes > memory->input_bytes ? input_bytes : memory->input_bytes;
    }
}

/* What the plan says the backend will take is for what it is asked to pack: pieces. */
static void memory_is_that_of_the_pieces(void **state)
{
    (void)state;
    static const char *const archs[] = {"llama", "qwen2moe", "phi3", "gpt2", "gemma3"};
    for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++) {
        struct synth_options options;
        assert_true(synth_model_preset(&options, "micro"));
        options.arch = archs[i];
        options.dim = 256;
        options.head_dim = 20; /* 80 rows of q, 40 of k: no panels of 32 */
        options.ffn_dim = 272;
        options.dtype = DTYPE_Q8_0;
        options.output_dtype = DTYPE_Q8_0;
        uint64_t byte_count = 0;
        uint8_t *bytes = synth_model_bytes(&options, &byte_count);
        struct gguf file;
        struct error err;
        struct model model;
        struct backend *be = NULL;
        assert_int_equal(gguf_parse(&file, bytes, byte_count, "synthetic", &err), OK);
        assert_int_equal(
            backend_open(&be, &(struct backend_options){.name = "cpu", .thread_count = 1}, &err),
            OK);
        assert_int_equal(model_open(&model, &file, be, NULL, &err), OK);
        const struct model_layer *layer = model.layers;
        const struct tensor *const pieces[] = {
            &layer->q,
            &layer->k,
            &layer->v,
            &layer->attention_output,
            &layer->ffn_gate,
            &layer->ffn_up,
            &layer->ffn_down,
            &layer->shared_gate,
            &layer->shared_up,
            &layer->shared_down,
            &layer->shared_share,
            &layer->router,
        };
        struct weights_memory expected = {0};
        add_memory(&expected, &model.output, 1);
        for (size_t j = 0; j < sizeof pieces / sizeof pieces[0]; j++) {
            add_memory(&expected, pieces[j], 2);
        }
        for (uint32_t j = 0; j < model.params.expert_count; j++) {
            add_memory(&expected, &layer->expert_gate[j], 2);
            add_memory(&expected, &layer->expert_up[j], 2);
            add_memory(&expected, &layer->expert_down[j], 2);
        }
        struct weights_memory memory = weights_measure(&file, &model.params, PRECISION_AUTO);
        assert_true(expected.packed_bytes > 0);
        assert_int_equal(memory.packed_bytes, expected.packed_bytes);
        assert_int_equal(expected.input_bytes, 256 * 576); /* of 272 values no block format is */
        assert_int_equal(memory.input_bytes, expected.input_bytes);
        memory = weights_measure(&file, &model.params, PRECISION_F32);
        assert_int_equal(memory.packed_bytes + memory.input_bytes, 0);
        model_close(&model);
        backend_close(be);
        gguf_close(&file);
        free(bytes);
    }
}

/* M-29: wrong shape. */
static void a_wrong_shape_is_named_with_both_shapes(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    uint32_t dim = fixture.options.dim;
    uint32_t ffn_dim = fixture.options.ffn_dim;
    char expected[64];
    snprintf(expected, sizeof expected, "[%u, %u]", ffn_dim, dim);
    char found[64];
    snprintf(found, sizeof found, "[%u, %u]", ffn_dim + 1, dim);
    model_fixture_set_tensor(&fixture, "blk.1.ffn_up.weight", DTYPE_F32, 2,
                             (uint64_t[]){ffn_dim + 1, dim});
    model_fixture_expect_refusal(&fixture, ERR_FORMAT,
                                 WORDS("blk.1.ffn_up.weight", expected, found));

    model_fixture_start(&fixture, "llama");
    snprintf(found, sizeof found, "[%u]", dim * ffn_dim);
    model_fixture_set_tensor(&fixture, "blk.0.ffn_down.weight", DTYPE_F32, 1,
                             (uint64_t[]){(uint64_t)dim * ffn_dim});
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("blk.0.ffn_down.weight", found));

    model_fixture_start(&fixture, "llama");
    model_fixture_set_tensor(&fixture, "output_norm.weight", DTYPE_F32, 2, (uint64_t[]){1, dim});
    snprintf(found, sizeof found, "[1, %u]", dim);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("output_norm.weight", found));

    model_fixture_start(&fixture, "llama");
    model_fixture_set_u32(&fixture, "feed_forward_length", ffn_dim + 1);
    model_fixture_expect_refusal(&fixture, ERR_FORMAT, WORDS("blk.0.ffn_gate.weight", "shape"));
}

static void a_type_we_cannot_compute_with_is_named(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    /* iq2_xs, ggml type 17: 256 values in 74 bytes. */
    gguf_writer_remove_tensor(&fixture.writer, "blk.0.attn_q.weight");
    gguf_writer_add_raw_tensor(&fixture.writer, "blk.0.attn_q.weight", 17, 2, (uint64_t[]){256, 1},
                               NULL, 74);
    model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED, WORDS("blk.0.attn_q.weight", "iq2_xs"));
}

/* M-29: wrong type for its role. */
static void a_quantised_norm_is_refused(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    model_fixture_set_tensor(&fixture, "blk.1.ffn_norm.weight", DTYPE_Q8_0, 1,
                             (uint64_t[]){fixture.options.dim});
    model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED, WORDS("blk.1.ffn_norm.weight", "q8_0"));
}

/* M-29: one too many. */
static void a_tensor_without_a_use_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "blk.0.attn_q_norm.weight", /* Qwen 3 has it; a llama with it is no llama */
        "blk.2.attn_norm.weight",   /* beyond the last layer */
        "blk.01.attn_norm.weight",  "blk..attn_norm.weight", "blk.0", "output.bias", "mystery",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct model_fixture fixture;
        model_fixture_start(&fixture, "llama");
        model_fixture_set_tensor(&fixture, names[i], DTYPE_F32, 1, (uint64_t[]){64});
        model_fixture_expect_refusal(&fixture, ERR_UNSUPPORTED,
                                     WORDS("nothing in a llama model", names[i]));
    }
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    model_fixture_set_tensor(&fixture, "blk.1.attn_rot_embd.weight", DTYPE_F32, 1,
                             (uint64_t[]){64});
    model_fixture_open_valid(&fixture);
    model_fixture_finish(&fixture);
}

static void optional_biases_are_bound_where_present(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    uint32_t dim = fixture.options.dim;
    model_fixture_set_tensor(&fixture, "blk.0.attn_output.bias", DTYPE_F32, 1, (uint64_t[]){dim});
    model_fixture_set_tensor(&fixture, "blk.1.ffn_down.bias", DTYPE_F32, 1, (uint64_t[]){dim});
    model_fixture_open_valid(&fixture);
    assert_non_null(fixture.model.layers[0].attention_output_bias.data);
    assert_null(fixture.model.layers[1].attention_output_bias.data);
    assert_non_null(fixture.model.layers[1].ffn_down_bias.data);
    assert_null(fixture.model.layers[0].ffn_down_bias.data);
    model_fixture_finish(&fixture);
}

static void norms_and_biases_in_half_precision_become_f32(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "qwen2");
    uint32_t dim = fixture.options.dim;
    uint32_t q_width = fixture.options.head_count * fixture.options.head_dim;
    uint64_t norm_shape[] = {dim};
    uint64_t bias_shape[] = {q_width};
    uint16_t *halves = calloc(dim + q_width, sizeof *halves);
    assert_non_null(halves);
    for (uint32_t i = 0; i < dim; i++) {
        halves[i] = quant_f32_to_f16(1.0f + (float)i / 64.0f);
    }
    for (uint32_t i = 0; i < q_width; i++) {
        halves[dim + i] = quant_f32_to_bf16((float)i - 8.0f);
    }
    gguf_writer_remove_tensor(&fixture.writer, "blk.0.attn_norm.weight");
    gguf_writer_add_tensor(&fixture.writer, "blk.0.attn_norm.weight", DTYPE_F16, 1, norm_shape,
                           halves);
    gguf_writer_remove_tensor(&fixture.writer, "blk.1.attn_q.bias");
    gguf_writer_add_tensor(&fixture.writer, "blk.1.attn_q.bias", DTYPE_BF16, 1, bias_shape,
                           halves + dim);
    model_fixture_open_valid(&fixture);
    const struct tensor *norm = &fixture.model.layers[0].attention_norm;
    const struct tensor *bias = &fixture.model.layers[1].q_bias;
    assert_int_equal(norm->dtype, DTYPE_F32);
    assert_int_equal(bias->dtype, DTYPE_F32);
    for (uint32_t i = 0; i < dim; i++) {
        assert_true(((const float *)norm->data)[i] == quant_f16_to_f32(halves[i]));
    }
    for (uint32_t i = 0; i < q_width; i++) {
        assert_true(((const float *)bias->data)[i] == quant_bf16_to_f32(halves[dim + i]));
    }
    free(halves);
    model_fixture_finish(&fixture);
}

/* M-30. What becomes of such logits is tested in test_sampler.c. */
static void weights_that_are_not_numbers_still_load(void **state)
{
    (void)state;
    struct model_fixture fixture;
    model_fixture_start(&fixture, "llama");
    uint32_t dim = fixture.options.dim;
    float *values = calloc(dim, sizeof *values);
    assert_non_null(values);
    values[0] = NAN;
    values[1] = INFINITY;
    gguf_writer_remove_tensor(&fixture.writer, "output_norm.weight");
    gguf_writer_add_tensor(&fixture.writer, "output_norm.weight", DTYPE_F32, 1, (uint64_t[]){dim},
                           values);
    model_fixture_open_valid(&fixture);
    free(values);
    model_fixture_finish(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_opens_with_its_own_flags),
        cmocka_unit_test(every_tensor_is_bound_to_the_bytes_of_its_name),
        cmocka_unit_test(experts_are_bound_one_by_one),
        cmocka_unit_test(the_share_of_the_shared_expert_may_be_a_matrix),
        cmocka_unit_test(experts_of_another_shape_are_named_with_both_shapes),
        cmocka_unit_test(parts_of_another_kind_of_model_are_refused),
        cmocka_unit_test(embedding_serves_as_output_when_tied),
        cmocka_unit_test(an_unknown_architecture_is_refused_with_the_known_ones),
        cmocka_unit_test(every_required_tensor_is_missed_by_name),
        cmocka_unit_test(heads_of_latent_attention_are_bound_from_either_layout),
        cmocka_unit_test(fused_tensors_are_bound_as_their_rows),
        cmocka_unit_test(a_fused_bias_of_half_precision_is_converted_in_parts),
        cmocka_unit_test(experts_may_have_a_tensor_each),
        cmocka_unit_test(norms_of_each_head_are_bound_where_they_are),
        cmocka_unit_test(biases_of_experts_are_converted),
        cmocka_unit_test(memory_is_that_of_the_pieces),
        cmocka_unit_test(a_wrong_shape_is_named_with_both_shapes),
        cmocka_unit_test(a_type_we_cannot_compute_with_is_named),
        cmocka_unit_test(a_quantised_norm_is_refused),
        cmocka_unit_test(a_tensor_without_a_use_is_refused),
        cmocka_unit_test(optional_biases_are_bound_where_present),
        cmocka_unit_test(norms_and_biases_in_half_precision_become_f32),
        cmocka_unit_test(weights_that_are_not_numbers_still_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
