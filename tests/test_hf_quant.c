/* Quantised Hugging Face directories: of every layout each value is that of the public definition,
 * scale * (code - zero) in float64, and of the type that holds it; what does not fit is refused by
 * name. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/formats/hf_model.h"
#include "engine/quantize.h"
#include "kernels/quant.h"
#include "tests/support/hf_folder.h"

#include <math.h>
#include <unistd.h>

enum {
    ROWS = 64,
    VALUES = 128,
    GROUP = 32,
    MATRIX = ROWS * VALUES,
    TENSORS_MAX = 24,
};

#define MODULE "model.layers.0.self_attn.q_proj"
#define CONFIG(quantization)                                                                       \
    "{\"model_type\":\"llama\",\"hidden_size\":128,\"num_hidden_layers\":1,"                       \
    "\"num_attention_heads\":2,\"head_dim\":32,\"vocab_size\":8,\"intermediate_size\":6,"          \
    "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-6,\"num_key_value_heads\":1,"              \
    "\"eos_token_id\":0,\"quantization_config\":{" quantization "}}"

/* One matrix as its definition has it. */
struct meant {
    int code[ROWS][VALUES];
    int group_of[VALUES];
    int zero[ROWS][VALUES]; /* [row][group] */
    float scale[ROWS][VALUES];
    double value[ROWS][VALUES];
};

struct fixture {
    struct hf_folder folder;
    struct meant meant;
    struct hf_folder_tensor tensors[TENSORS_MAX];
    uint32_t tensor_count;
    uint64_t random;
    void *memory[TENSORS_MAX];
    uint32_t memory_count;
};

static uint32_t draw(struct fixture *fixture, uint32_t below)
{
    fixture->random = fixture->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(fixture->random >> 33) % below;
}

static void *keep(struct fixture *fixture, size_t count, size_t item_bytes)
{
    void *memory = calloc(count, item_bytes);
    assert_non_null(memory);
    assert_true(fixture->memory_count < TENSORS_MAX);
    fixture->memory[fixture->memory_count++] = memory;
    return memory;
}

static uint64_t item_bytes_of(const char *dtype)
{
    bool four = strcmp(dtype, "F32") == 0 || strcmp(dtype, "I32") == 0;
    bool one = strcmp(dtype, "I8") == 0 || strcmp(dtype, "F8_E4M3") == 0;
    return four ? 4 : one ? 1 : strcmp(dtype, "F16") == 0 ? 2 : 8;
}

/* values 0: a vector. */
static void add(struct fixture *fixture, const char *name, const char *dtype, uint64_t rows,
                uint64_t values, const void *bytes)
{
    assert_true(fixture->tensor_count < TENSORS_MAX);
    fixture->tensors[fixture->tensor_count++] = (struct hf_folder_tensor){
        name,           dtype, values > 0 ? 2 : 1,
        {rows, values}, bytes, rows * (values > 0 ? values : 1) * item_bytes_of(dtype)};
}

static void add_floats(struct fixture *fixture, const char *name, uint64_t rows, uint64_t values)
{
    uint64_t count = rows * (values > 0 ? values : 1);
    add(fixture, name, "F32", rows, values, keep(fixture, count, sizeof(float)));
}

/* All of a llama of one layer but its q_proj. */
static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    hf_folder_make(&fixture->folder);
    add_floats(fixture, "model.embed_tokens.weight", 8, VALUES);
    add_floats(fixture, "model.norm.weight", VALUES, 0);
    add_floats(fixture, "model.layers.0.input_layernorm.weight", VALUES, 0);
    add_floats(fixture, "model.layers.0.post_attention_layernorm.weight", VALUES, 0);
    add_floats(fixture, "model.layers.0.self_attn.k_proj.weight", 32, VALUES);
    add_floats(fixture, "model.layers.0.self_attn.v_proj.weight", 32, VALUES);
    add_floats(fixture, "model.layers.0.self_attn.o_proj.weight", VALUES, ROWS);
    add_floats(fixture, "model.layers.0.mlp.gate_proj.weight", 6, VALUES);
    add_floats(fixture, "model.layers.0.mlp.up_proj.weight", 6, VALUES);
    add_floats(fixture, "model.layers.0.mlp.down_proj.weight", VALUES, 6);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < fixture->memory_count; i++) {
        free(fixture->memory[i]);
    }
    hf_folder_drop(&fixture->folder);
    free(fixture);
    return 0;
}

/* ---- what is meant ---- */

/* Codes from code_low, of `bits`; zeros from zero_low to zero_high; scales of f16, or of f32. */
static void invent(struct fixture *fixture, int code_low, int bits, int zero_low, int zero_high,
                   int group, bool f16_scales)
{
    struct meant *meant = &fixture->meant;
    for (int r = 0; r < ROWS; r++) {
        for (int g = 0; g < VALUES; g++) {
            float scale = 0.001f + (float)draw(fixture, 1000) * 3.1e-5f;
            meant->zero[r][g] = zero_low + (int)draw(fixture, (uint32_t)(zero_high - zero_low + 1));
            meant->scale[r][g] = f16_scales ? quant_f16_to_f32(quant_f32_to_f16(scale)) : scale;
        }
        for (int i = 0; i < VALUES; i++) {
            meant->code[r][i] = code_low + (int)draw(fixture, 1u << bits);
        }
    }
    for (int i = 0; i < VALUES; i++) {
        meant->group_of[i] = i / group;
    }
}

static void settle(struct fixture *fixture)
{
    struct meant *meant = &fixture->meant;
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < VALUES; i++) {
            int g = meant->group_of[i];
            meant->value[r][i] =
                (double)meant->scale[r][g] * (double)(meant->code[r][i] - meant->zero[r][g]);
        }
    }
}

/* Sets `bits` bits of a number at a word of a table. */
static void put(uint32_t *words, int word, int index, int bits, int value)
{
    words[word] |= ((uint32_t)value & ((1u << bits) - 1)) << (index * bits);
}

/* f16 [groups, ROWS], or f32 [ROWS, groups]. */
static void add_scales(struct fixture *fixture, const char *name, int groups, bool across)
{
    uint8_t *bytes = keep(fixture, (size_t)ROWS * (size_t)groups, sizeof(float));
    for (int r = 0; r < ROWS; r++) {
        for (int g = 0; g < groups; g++) {
            float scale = fixture->meant.scale[r][g];
            uint16_t half = quant_f32_to_f16(scale);
            if (across) {
                memcpy(bytes + 2 * ((size_t)g * ROWS + (size_t)r), &half, 2);
            } else {
                memcpy(bytes + 4 * ((size_t)r * (size_t)groups + (size_t)g), &scale, 4);
            }
        }
    }
    add(fixture, name, across ? "F16" : "F32", (uint64_t)(across ? groups : ROWS),
        (uint64_t)(across ? ROWS : groups), bytes);
}

/* As AutoGPTQ packs: the words run along inputs; zeros less one, word by word. */
static void add_gptq(struct fixture *fixture, int bits, int group, bool less_one)
{
    int per_word = 32 / bits;
    int groups = VALUES / group;
    uint32_t *codes = keep(fixture, MATRIX, 1);
    uint32_t *zeros = keep(fixture, MATRIX, 1);
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < VALUES; i++) {
            put(codes, i / per_word * ROWS + r, i % per_word, bits, fixture->meant.code[r][i]);
        }
        for (int g = 0; g < groups; g++) {
            put(zeros, (g * ROWS + r) / per_word, r % per_word, bits, fixture->meant.zero[r][g]);
        }
    }
    for (uint64_t i = 0; less_one && i < MATRIX / 4; i++) {
        zeros[i] -= bits == 4 ? 0x11111111u : 0x01010101u;
    }
    add(fixture, MODULE ".qweight", "I32", (uint64_t)(VALUES / per_word), ROWS, codes);
    add(fixture, MODULE ".qzeros", "I32", (uint64_t)groups, (uint64_t)(ROWS / per_word), zeros);
    add_scales(fixture, MODULE ".scales", groups, true);
}

static void add_order(struct fixture *fixture, const char *name)
{
    int32_t *order = keep(fixture, VALUES, sizeof *order);
    for (int i = 0; i < VALUES; i++) {
        order[i] = fixture->meant.group_of[i];
    }
    add(fixture, name, "I32", VALUES, 0, order);
}

/* As AutoAWQ packs: words run along outputs, whose order in a word is 0 2 4 6 1 3 5 7. */
static void add_awq(struct fixture *fixture, int group)
{
    static const int order[8] = {0, 2, 4, 6, 1, 3, 5, 7};
    int groups = VALUES / group;
    uint32_t *codes = keep(fixture, MATRIX, 1);
    uint32_t *zeros = keep(fixture, MATRIX, 1);
    for (int word = 0; word < ROWS / 8; word++) {
        for (int k = 0; k < 8; k++) {
            int row = word * 8 + order[k];
            for (int i = 0; i < VALUES; i++) {
                put(codes, i * ROWS / 8 + word, k, 4, fixture->meant.code[row][i]);
            }
            for (int g = 0; g < groups; g++) {
                put(zeros, g * ROWS / 8 + word, k, 4, fixture->meant.zero[row][g]);
            }
        }
    }
    add(fixture, MODULE ".qweight", "I32", VALUES, ROWS / 8, codes);
    add(fixture, MODULE ".qzeros", "I32", (uint64_t)groups, ROWS / 8, zeros);
    add_scales(fixture, MODULE ".scales", groups, true);
}

/* As compressed-tensors packs: codes along inputs, zeros along outputs. */
static void add_packed(struct fixture *fixture, int bits, int groups, bool zeros_too)
{
    static const int64_t shape[2] = {ROWS, VALUES};
    int per_word = 32 / bits;
    uint32_t *codes = keep(fixture, MATRIX, 1);
    uint32_t *zeros = keep(fixture, MATRIX, 1);
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < VALUES; i++) {
            put(codes, (r * VALUES + i) / per_word, i % per_word, bits, fixture->meant.code[r][i]);
        }
        for (int g = 0; g < groups; g++) {
            put(zeros, r / per_word * groups + g, r % per_word, bits, fixture->meant.zero[r][g]);
        }
    }
    add(fixture, MODULE ".weight_packed", "I32", ROWS, (uint64_t)(VALUES / per_word), codes);
    add(fixture, MODULE ".weight_shape", "I64", 2, 0, shape);
    add_scales(fixture, MODULE ".weight_scale", groups, false);
    if (zeros_too) {
        add(fixture, MODULE ".weight_zero_point", "I32", (uint64_t)(ROWS / per_word),
            (uint64_t)groups, zeros);
    }
}

static void add_bytes(struct fixture *fixture, int groups, bool zeros_too)
{
    int8_t *codes = keep(fixture, MATRIX, 1);
    int8_t *zeros = keep(fixture, MATRIX, 1);
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < VALUES; i++) {
            codes[r * VALUES + i] = (int8_t)fixture->meant.code[r][i];
        }
        for (int g = 0; g < groups; g++) {
            zeros[r * groups + g] = (int8_t)fixture->meant.zero[r][g];
        }
    }
    add(fixture, MODULE ".weight", "I8", ROWS, VALUES, codes);
    add_scales(fixture, MODULE ".weight_scale", groups, false);
    if (zeros_too) {
        add(fixture, MODULE ".weight_zero_point", "I8", ROWS, (uint64_t)groups, zeros);
    }
}

/* ---- what comes of it ---- */

static void write_model(struct fixture *fixture, const char *config)
{
    hf_folder_write(&fixture->folder, "config.json", config, strlen(config));
    hf_folder_write_tensors(&fixture->folder, "model.safetensors", fixture->tensors,
                            fixture->tensor_count);
}

static void expect_matrix(struct fixture *fixture, const char *config, enum dtype dtype)
{
    struct gguf file;
    struct error err = {0};
    write_model(fixture, config);
    if (hf_model_open(&file, fixture->folder.path, &err) != OK) {
        fail_msg("refused: %s", err.message);
    }
    const struct gguf_tensor *found = gguf_find_tensor(&file, "blk.0.attn_q.weight");
    assert_non_null(found);
    assert_string_equal(quant_format_get(found->tensor.dtype)->name, quant_format_get(dtype)->name);
    assert_int_equal(found->tensor.shape[0], ROWS);
    assert_int_equal(found->tensor.shape[1], VALUES);
    float *values = calloc(MATRIX, sizeof *values);
    assert_non_null(values);
    quant_format_get(dtype)->dequantize(values, found->tensor.data, MATRIX);
    for (int i = 0; i < MATRIX; i++) {
        float expected = (float)fixture->meant.value[i / VALUES][i % VALUES];
        if (values[i] != expected) {
            fail_msg("value %d of row %d is %.9g, not %.9g", i % VALUES, i / VALUES,
                     (double)values[i], (double)expected);
        }
    }
    free(values);
    gguf_close(&file);
}

static void expect_refused(struct fixture *fixture, const char *config, const char *what)
{
    struct gguf file;
    struct error err = {0};
    write_model(fixture, config);
    if (hf_model_open(&file, fixture->folder.path, &err) == OK) {
        fail_msg("accepted, though %s", what);
    }
    if (strncmp(err.message, fixture->folder.path, strlen(fixture->folder.path)) != 0 ||
        strstr(err.message, what) == NULL) {
        fail_msg("'%s' is not the message expected (%s)", err.message, what);
    }
}

#define GPTQ(more)       CONFIG("\"quant_method\":\"gptq\"," more)
#define AWQ              CONFIG("\"quant_method\":\"awq\",\"bits\":4,\"group_size\":64,\"version\":\"gemm\"")
#define COMPRESSED(more) CONFIG("\"quant_method\":\"compressed-tensors\"," more)
#define WEIGHTS(more)                                                                              \
    COMPRESSED("\"format\":\"mixed-precision\",\"config_groups\":{\"group_0\":{\"weights\":{" more \
               "}}}")
#define FP8 CONFIG("\"quant_method\":\"fp8\",\"fmt\":\"e4m3\",\"weight_block_size\":[48,32]")

static void gptq_symmetric_is_q4_0(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, 0, 4, 8, 8, GROUP, true);
    settle(fixture);
    add_gptq(fixture, 4, GROUP, true);
    add_order(fixture, MODULE ".g_idx");
    expect_matrix(fixture, GPTQ("\"bits\":4,\"group_size\":32"), DTYPE_Q4_0);
}

/* Zeros of 0 too, which borrow from their neighbours where one is taken from a word. */
static void gptq_with_zeros_is_q5_0(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, 0, 4, 0, 15, GROUP, true);
    settle(fixture);
    add_gptq(fixture, 4, GROUP, true);
    expect_matrix(fixture, GPTQ("\"bits\":4,\"group_size\":32"), DTYPE_Q5_0);
}

static void gptq_v2_stores_the_zeros_that_are_meant(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, 0, 4, 0, 15, 64, true);
    settle(fixture);
    add_gptq(fixture, 4, 64, false);
    expect_matrix(fixture, GPTQ("\"bits\":4,\"group_size\":64,\"checkpoint_format\":\"gptq_v2\""),
                  DTYPE_Q5_0);
}

/* Columns in the order of their importance: no block has one scale. */
static void gptq_in_another_order_is_f32(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, 0, 4, 8, 8, GROUP, true);
    for (int i = 0; i < VALUES; i++) {
        fixture->meant.group_of[i] = i * 29 % VALUES / GROUP;
    }
    settle(fixture);
    add_gptq(fixture, 4, GROUP, true);
    add_order(fixture, MODULE ".g_idx");
    expect_matrix(fixture, GPTQ("\"bits\":4,\"group_size\":32,\"desc_act\":true"), DTYPE_F32);
}

static void gptq_of_8_bits_is_q8_0(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, 0, 8, 128, 128, VALUES, true);
    settle(fixture);
    add_gptq(fixture, 8, VALUES, true);
    expect_matrix(fixture, GPTQ("\"bits\":8,\"group_size\":-1"), DTYPE_Q8_0);
}

static void gptq_of_8_bits_with_zeros_is_f32(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, 0, 8, 0, 255, GROUP, true);
    settle(fixture);
    add_gptq(fixture, 8, GROUP, true);
    expect_matrix(fixture, GPTQ("\"bits\":8,\"group_size\":32"), DTYPE_F32);
}

/* A group of 16 has no type of blocks. */
static void a_group_shorter_than_a_block_is_f32(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, 0, 4, 8, 8, 16, true);
    settle(fixture);
    add_gptq(fixture, 4, 16, true);
    expect_matrix(fixture, GPTQ("\"bits\":4,\"group_size\":16"), DTYPE_F32);
}

static void awq_is_q5_0(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, 0, 4, 0, 15, 64, true);
    settle(fixture);
    add_awq(fixture, 64);
    expect_matrix(fixture, AWQ, DTYPE_Q5_0);
}

static void packed_symmetric_is_q4_0(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, 0, 4, 8, 8, GROUP, true);
    settle(fixture);
    add_packed(fixture, 4, VALUES / GROUP, false);
    expect_matrix(fixture, COMPRESSED("\"format\":\"pack-quantized\""), DTYPE_Q4_0);
}

/* Scales that f16 would round. */
static void packed_with_finer_scales_is_f32(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, 0, 4, 8, 8, GROUP, false);
    settle(fixture);
    add_packed(fixture, 4, VALUES / GROUP, false);
    expect_matrix(fixture, COMPRESSED("\"format\":\"pack-quantized\""), DTYPE_F32);
}

static void packed_with_zeros_is_q5_0(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, 0, 4, 0, 15, 64, true);
    settle(fixture);
    add_packed(fixture, 4, VALUES / 64, true);
    expect_matrix(fixture, WEIGHTS("\"num_bits\":4,\"type\":\"int\",\"symmetric\":false"),
                  DTYPE_Q5_0);
}

static void packed_in_another_order_is_f32(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, 0, 4, 8, 8, GROUP, true);
    for (int i = 0; i < VALUES; i++) {
        fixture->meant.group_of[i] = i * 29 % VALUES / GROUP;
    }
    settle(fixture);
    add_packed(fixture, 4, VALUES / GROUP, false);
    add_order(fixture, MODULE ".weight_g_idx");
    expect_matrix(fixture, COMPRESSED("\"format\":\"pack-quantized\""), DTYPE_F32);
}

static void packed_of_8_bits_by_channel_is_q8_0(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, 0, 8, 128, 128, VALUES, true);
    settle(fixture);
    add_packed(fixture, 8, 1, false);
    expect_matrix(fixture, WEIGHTS("\"num_bits\":8,\"strategy\":\"channel\""), DTYPE_Q8_0);
}

static void bytes_are_q8_0(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, -128, 8, 0, 0, VALUES, true);
    settle(fixture);
    add_bytes(fixture, 1, false);
    add_floats(fixture, MODULE ".input_scale", 1, 0); /* of activations: left aside */
    expect_matrix(fixture, COMPRESSED("\"format\":\"int-quantized\""), DTYPE_Q8_0);
}

static void bytes_with_zeros_are_f32(void **state)
{
    struct fixture *fixture = *state;
    invent(fixture, -128, 8, -5, 9, GROUP, true);
    settle(fixture);
    add_bytes(fixture, VALUES / GROUP, true);
    expect_matrix(fixture, COMPRESSED("\"format\":\"int-quantized\""), DTYPE_F32);
}

/* ---- e4m3 ---- */

/* By the definition of the format: sign, 4 bits of exponent with bias 7, 3 of mantissa. */
static double meant_by_e4m3(int code)
{
    double mantissa = (double)(code & 7) / 8.0;
    int exponent = code >> 3 & 15;
    double magnitude = exponent == 0 ? ldexp(mantissa, -6) : ldexp(1.0 + mantissa, exponent - 7);
    return code & 128 ? -magnitude : magnitude;
}

/* Scales of blocks of block_rows by block_values, each a power of two or anything. */
static void add_e4m3(struct fixture *fixture, const char *scale_name, int block_rows,
                     int block_values, bool powers)
{
    int scale_rows = (ROWS + block_rows - 1) / block_rows;
    int groups = (VALUES + block_values - 1) / block_values;
    uint8_t *codes = keep(fixture, MATRIX, 1);
    float *scales = keep(fixture, MATRIX, sizeof *scales);
    for (int i = 0; i < scale_rows * groups; i++) {
        scales[i] = powers ? ldexpf(1.0f, -(int)draw(fixture, 12))
                           : 0.001f + (float)draw(fixture, 1000) * 3.1e-5f;
    }
    for (int i = 0; i < MATRIX; i++) {
        int code = (int)draw(fixture, 256);
        code = (code & 127) == 127 ? 0 : code;
        codes[i] = (uint8_t)code;
        int scale = i / VALUES / block_rows * groups + i % VALUES / block_values;
        fixture->meant.value[i / VALUES][i % VALUES] = (double)scales[scale] * meant_by_e4m3(code);
    }
    add(fixture, MODULE ".weight", "F8_E4M3", ROWS, VALUES, codes);
    add(fixture, scale_name, "F32", (uint64_t)scale_rows, (uint64_t)groups, scales);
}

/* The last block of rows is cut. */
static void e4m3_by_block_is_the_nearest_f32(void **state)
{
    struct fixture *fixture = *state;
    add_e4m3(fixture, MODULE ".weight_scale_inv", 48, 32, false);
    expect_matrix(fixture, FP8, DTYPE_F32);
}

static void e4m3_by_powers_of_two_is_bf16(void **state)
{
    struct fixture *fixture = *state;
    add_e4m3(fixture, MODULE ".weight_scale_inv", 48, 32, true);
    expect_matrix(fixture, FP8, DTYPE_BF16);
}

static void e4m3_by_row_or_tensor_is_read_too(void **state)
{
    struct fixture *fixture = *state;
    uint32_t tensor_count = fixture->tensor_count;
    add_e4m3(fixture, MODULE ".weight_scale", 1, VALUES, false);
    expect_matrix(fixture, COMPRESSED("\"format\":\"float-quantized\""), DTYPE_F32);
    fixture->tensor_count = tensor_count;
    add_e4m3(fixture, MODULE ".weight_scale", ROWS, VALUES, false);
    expect_matrix(fixture, COMPRESSED("\"format\":\"naive-quantized\""), DTYPE_F32);
}

/* ---- what is refused ---- */

static void configurations_are_checked(void **state)
{
    struct fixture *fixture = *state;
    expect_refused(fixture, CONFIG("\"bits\":4"), "quantization_config.quant_method is missing");
    expect_refused(fixture, CONFIG("\"quant_method\":\"bitsandbytes\""),
                   "quant_method is \"bitsandbytes\"; it must be fp8");
    expect_refused(fixture, GPTQ("\"bits\":3,\"group_size\":32"), "bits is 3; supported are 4");
    expect_refused(fixture, GPTQ("\"bits\":4"), "group_size is missing");
    expect_refused(fixture, GPTQ("\"bits\":4,\"group_size\":0"), "group_size is 0, limits 1");
    expect_refused(fixture, GPTQ("\"bits\":4,\"group_size\":32,\"checkpoint_format\":\"marlin\""),
                   "checkpoint_format is \"marlin\"; it must be gptq");
    expect_refused(fixture, GPTQ("\"bits\":4,\"group_size\":32,\"dynamic\":{\"+:q\":{}}"),
                   "settings of single modules");
    expect_refused(fixture,
                   CONFIG("\"quant_method\":\"awq\",\"bits\":4,\"group_size\":64,"
                          "\"version\":\"gemv\""),
                   "version is \"gemv\"; it must be gemm");
    expect_refused(fixture, COMPRESSED("\"format\":\"nvfp4-pack-quantized\""),
                   "format is \"nvfp4-pack-quantized\"; it must be pack-quantized");
    expect_refused(fixture, WEIGHTS("\"num_bits\":2"), "num_bits is 2; supported are 4 and 8");
    expect_refused(fixture, WEIGHTS("\"num_bits\":4,\"type\":\"float\""), "type is \"float\"");
    expect_refused(fixture, COMPRESSED("\"transform_config\":{\"config_groups\":{}}"),
                   "transform_config must be empty: it changes the weights");
    expect_refused(fixture, CONFIG("\"quant_method\":\"fp8\",\"fmt\":\"e5m2\""),
                   "fmt is \"e5m2\"; it must be e4m3");
    expect_refused(fixture, CONFIG("\"quant_method\":\"fp8\",\"weight_block_size\":[0,1]"),
                   "weight_block_size is no pair");
}

static void parts_have_to_go_together(void **state)
{
    static const char *const gptq = GPTQ("\"bits\":4,\"group_size\":32");
    struct fixture *fixture = *state;
    invent(fixture, 0, 4, 8, 8, GROUP, true);
    uint32_t tensor_count = fixture->tensor_count;
    add_gptq(fixture, 4, GROUP, true);
    fixture->tensor_count--;
    expect_refused(fixture, gptq, MODULE ".qweight has no " MODULE ".scales beside it");
    fixture->tensor_count++;
    struct hf_folder_tensor *scales = &fixture->tensors[fixture->tensor_count - 1];
    scales->shape[0] = ROWS;
    scales->shape[1] = VALUES / GROUP;
    expect_refused(fixture, gptq, ".scales has not a scale for every group of every output");
    scales->shape[0] = VALUES / GROUP;
    scales->shape[1] = ROWS;
    fixture->meant.group_of[7] = VALUES / GROUP;
    add_order(fixture, MODULE ".g_idx");
    expect_refused(fixture, gptq, ".g_idx names a group that has no scales");
    fixture->tensors[fixture->tensor_count - 1].shape[0] = VALUES / 2;
    fixture->tensors[fixture->tensor_count - 1].byte_count /= 2;
    expect_refused(fixture, gptq, ".g_idx is no vector of I32 with a group for every value");
    expect_refused(fixture, FP8, "tensor " MODULE ".weight is missing; every llama model has it");
    fixture->tensor_count = tensor_count;
    add_e4m3(fixture, MODULE ".weight_scale_inv", 16, 32, true);
    expect_refused(fixture, FP8, ".weight_scale_inv has not the shape that its matrix demands");
}

/* The file has the rows of queries as public ones do: the halves of a head of 32 in turns. */
static void the_command_reads_such_directories(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    struct error err = {0};
    struct quantize_totals totals;
    invent(fixture, 0, 4, 8, 8, GROUP, true);
    settle(fixture);
    add_gptq(fixture, 4, GROUP, true);
    write_model(fixture, GPTQ("\"bits\":4,\"group_size\":32"));
    snprintf(path, sizeof path, "%s/out.gguf", fixture->folder.path);
    const struct quantize_options options = {.output = path, .type_name = "f32", .thread_count = 1};
    if (quantize_run(fixture->folder.path, &options, &totals, &err) != OK) {
        fail_msg("refused: %s", err.message);
    }
    struct gguf file;
    assert_int_equal(gguf_open(&file, path, &err), OK);
    const struct gguf_tensor *found = gguf_find_tensor(&file, "blk.0.attn_q.weight");
    assert_non_null(found);
    for (int i = 0; i < MATRIX; i++) {
        int row = i / VALUES;
        int stored = row / 32 * 32 + row % 2 * 16 + row % 32 / 2;
        float expected = (float)fixture->meant.value[stored][i % VALUES];
        assert_true(((const float *)found->tensor.data)[i] == expected);
    }
    gguf_close(&file);
}

#define MODEL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MODEL_TEST(gptq_symmetric_is_q4_0),
        MODEL_TEST(gptq_with_zeros_is_q5_0),
        MODEL_TEST(gptq_v2_stores_the_zeros_that_are_meant),
        MODEL_TEST(gptq_in_another_order_is_f32),
        MODEL_TEST(gptq_of_8_bits_is_q8_0),
        MODEL_TEST(gptq_of_8_bits_with_zeros_is_f32),
        MODEL_TEST(a_group_shorter_than_a_block_is_f32),
        MODEL_TEST(awq_is_q5_0),
        MODEL_TEST(packed_symmetric_is_q4_0),
        MODEL_TEST(packed_with_finer_scales_is_f32),
        MODEL_TEST(packed_with_zeros_is_q5_0),
        MODEL_TEST(packed_in_another_order_is_f32),
        MODEL_TEST(packed_of_8_bits_by_channel_is_q8_0),
        MODEL_TEST(bytes_are_q8_0),
        MODEL_TEST(bytes_with_zeros_are_f32),
        MODEL_TEST(e4m3_by_block_is_the_nearest_f32),
        MODEL_TEST(e4m3_by_powers_of_two_is_bf16),
        MODEL_TEST(e4m3_by_row_or_tensor_is_read_too),
        MODEL_TEST(configurations_are_checked),
        MODEL_TEST(parts_have_to_go_together),
        MODEL_TEST(the_command_reads_such_directories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
