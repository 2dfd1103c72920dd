/* Reading of well-formed GGUF files: the sample, and every real file of the test data. Ill-formed
 * ones are in test_gguf_mutations.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "configs/limits.h"
#include "engine/formats/gguf.h"
#include "engine/formats/gguf_types.h"
#include "kernels/quant.h"
#include "tests/support/gguf_sample.h"

#include <math.h>

/* The sample, parsed. */
struct fixture {
    uint8_t *bytes;
    uint64_t byte_count;
    struct gguf file;
};

static int open_sample(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct gguf_writer writer;
    struct error err;
    gguf_writer_init(&writer);
    gguf_sample_build(&writer);
    fixture->bytes = gguf_writer_finish(&writer, &fixture->byte_count);
    gguf_writer_release(&writer);
    *state = fixture;
    return gguf_parse(&fixture->file, fixture->bytes, fixture->byte_count, "sample.gguf", &err);
}

static int close_sample(void **state)
{
    struct fixture *fixture = *state;
    gguf_close(&fixture->file);
    free(fixture->bytes);
    free(fixture);
    return 0;
}

static const struct gguf *sample(void **state)
{
    return &((struct fixture *)*state)->file;
}

static void counts_and_version_are_read(void **state)
{
    assert_int_equal(sample(state)->version, 3);
    assert_int_equal(sample(state)->alignment, 32);
    assert_int_equal(sample(state)->entry_count, 14);
    assert_int_equal(sample(state)->tensor_count, SAMPLE_COUNT);
}

static void version_2_reads_like_version_3(void **state)
{
    struct fixture *fixture = *state;
    struct error err;
    gguf_writer_patch_u32(fixture->bytes, 4, 2);
    assert_int_equal(gguf_sample_try(fixture->bytes, fixture->byte_count, &err), OK);
}

static void every_scalar_type_keeps_its_value(void **state)
{
    const struct gguf *file = sample(state);
    assert_int_equal(gguf_find(file, "t.uint8")->value.u, 0x88);
    assert_int_equal(gguf_find(file, "t.int8")->value.i, (int8_t)0x88);
    assert_int_equal(gguf_find(file, "t.uint16")->value.u, 0x8788);
    assert_int_equal(gguf_find(file, "t.int16")->value.i, (int16_t)0x8788);
    assert_int_equal(gguf_find(file, "t.uint32")->value.u, 4096);
    assert_int_equal(gguf_find(file, "t.int32")->value.i, (int32_t)0x85868788);
    assert_true(gguf_find(file, "t.uint64")->value.u == 0x8182838485868788u);
    assert_true(gguf_find(file, "t.int64")->value.i == (int64_t)0x8182838485868788u);
    assert_true(gguf_find(file, "t.float32")->value.f == 1.5);
    assert_true(gguf_find(file, "t.float64")->value.f == -2.5);
    assert_int_equal(gguf_find(file, "t.bool")->value.u, 1);
}

static void absent_names_are_not_found(void **state)
{
    const struct gguf *file = sample(state);
    assert_null(gguf_find(file, "t.uint"));
    assert_null(gguf_find(file, "t.uint88"));
    assert_null(gguf_find(file, ""));
    assert_null(gguf_find_tensor(file, "token_embd.weigh"));
    assert_null(gguf_find_tensor(file, "zzz"));
}

static void integers_of_any_width_are_taken_within_limits(void **state)
{
    const struct gguf *file = sample(state);
    struct error err;
    uint64_t wide = 0;
    uint32_t narrow = 0;
    assert_int_equal(gguf_get_u64(file, "t.uint64", true, 0, UINT64_MAX, &wide, &err), OK);
    assert_true(wide == 0x8182838485868788u);
    assert_int_equal(gguf_get_u32(file, "t.uint8", true, 0x88, 0x88, &narrow, &err), OK);
    assert_int_equal(narrow, 0x88);
    assert_int_equal(gguf_get_u32(file, "t.uint16", true, 0, UINT32_MAX, &narrow, &err), OK);
    assert_int_equal(narrow, 0x8788);
}

static void integers_out_of_limits_are_refused_with_key_value_and_limit(void **state)
{
    const struct gguf *file = sample(state);
    struct error err;
    uint32_t value = 77;
    assert_int_equal(gguf_get_u32(file, "t.uint32", true, 1, 4095, &value, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "sample.gguf: offset "));
    assert_non_null(strstr(err.message, "t.uint32 is 4096, limits 1 and 4095"));
    assert_int_equal(gguf_get_u32(file, "t.uint32", true, 4097, 9999, &value, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_u32(file, "t.uint64", true, 0, UINT32_MAX, &value, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_u32(file, "t.int8", true, 0, UINT32_MAX, &value, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "t.int8 is -120"));
    assert_int_equal(value, 77);
}

static void absent_key_is_an_error_only_where_required(void **state)
{
    const struct gguf *file = sample(state);
    struct error err;
    uint32_t u32 = 5;
    float f32 = 0.5f;
    bool flag = true;
    struct gguf_string string = {"x", 1};
    struct gguf_array array = {.element_count = 9};
    assert_int_equal(gguf_get_u32(file, "none", false, 0, 1, &u32, &err), OK);
    assert_int_equal(gguf_get_f32(file, "none", false, 0, 1, &f32, &err), OK);
    assert_int_equal(gguf_get_bool(file, "none", false, &flag, &err), OK);
    assert_int_equal(gguf_get_string(file, "none", false, &string, &err), OK);
    assert_int_equal(gguf_get_array(file, "none", false, GGUF_INT32, &array, &err), OK);
    assert_true(u32 == 5 && f32 == 0.5f && flag && string.byte_count == 1);
    assert_int_equal(array.element_count, 9);
    assert_int_equal(gguf_get_u32(file, "none", true, 0, 1, &u32, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "key none is missing"));
    assert_int_equal(gguf_get_f32(file, "none", true, 0, 1, &f32, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_bool(file, "none", true, &flag, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_string(file, "none", true, &string, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_array(file, "none", true, GGUF_INT32, &array, &err), ERR_FORMAT);
}

static void another_type_is_refused_by_name(void **state)
{
    const struct gguf *file = sample(state);
    struct error err;
    uint64_t u64 = 0;
    float f32 = 0.0f;
    bool flag = false;
    struct gguf_string string;
    struct gguf_array array;
    assert_int_equal(gguf_get_u64(file, "t.float32", true, 0, 9, &u64, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "key t.float32 has type float32, not an integer"));
    assert_int_equal(gguf_get_u64(file, "t.bool", true, 0, 9, &u64, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_u64(file, "t.int32s", true, 0, 9, &u64, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_f32(file, "t.uint32", true, 0, 9, &f32, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_bool(file, "t.uint8", true, &flag, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_string(file, "t.strings", true, &string, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_array(file, "t.uint8", true, GGUF_UINT8, &array, &err), ERR_FORMAT);
    assert_int_equal(gguf_get_array(file, "t.int32s", true, GGUF_UINT32, &array, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "an array of int32, not of uint32"));
}

static void floats_are_finite_and_within_limits(void **state)
{
    (void)state;
    const float values[] = {NAN, INFINITY, -INFINITY, -0.5f, 2.0f};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct gguf_writer writer;
        struct gguf file;
        struct error err;
        uint64_t byte_count = 0;
        gguf_writer_init(&writer);
        gguf_writer_add_f32(&writer, "f", values[i]);
        uint8_t *bytes = gguf_writer_finish(&writer, &byte_count);
        gguf_writer_release(&writer);
        float value = 0.25f;
        assert_int_equal(gguf_parse(&file, bytes, byte_count, "f.gguf", &err), OK);
        assert_int_equal(gguf_get_f32(&file, "f", true, 0.0f, 1.0f, &value, &err), ERR_FORMAT);
        assert_int_equal(gguf_get_f32(&file, "f", true, -INFINITY, INFINITY, &value, &err),
                         isfinite(values[i]) ? OK : ERR_FORMAT);
        gguf_close(&file);
        free(bytes);
    }
}

static void typed_access_gives_the_stored_values(void **state)
{
    const struct gguf *file = sample(state);
    struct error err;
    float f32 = 0.0f;
    bool flag = false;
    struct gguf_string string;
    struct gguf_array array;
    assert_int_equal(gguf_get_f32(file, "t.float32", true, 1.5f, 1.5f, &f32, &err), OK);
    assert_true(f32 == 1.5f);
    assert_int_equal(gguf_get_f32(file, "t.float64", true, -3.0f, 0.0f, &f32, &err), OK);
    assert_true(f32 == -2.5f);
    assert_int_equal(gguf_get_bool(file, "t.bool", true, &flag, &err), OK);
    assert_true(flag);
    assert_int_equal(gguf_get_string(file, "general.architecture", true, &string, &err), OK);
    assert_true(gguf_string_equal(string, "llama"));
    assert_false(gguf_string_equal(string, "llam"));
    assert_false(gguf_string_equal(string, "llamb"));
    assert_int_equal(gguf_get_array(file, "t.strings", true, GGUF_STRING, &array, &err), OK);
    assert_int_equal(array.element_count, 3);
    assert_true(gguf_string_equal(array.strings[0], "one"));
    assert_true(gguf_string_equal(array.strings[1], ""));
    assert_true(gguf_string_equal(array.strings[2], "three"));
    assert_int_equal(gguf_get_array(file, "t.int32s", true, GGUF_INT32, &array, &err), OK);
    assert_true(gguf_array_i64(&array, 0) == -1 && gguf_array_f64(&array, 0) == -1.0);
    assert_int_equal(gguf_array_u64(&array, 2), 7);
}

static void array_elements_of_every_width_are_read(void **state)
{
    (void)state;
    const uint64_t words[2] = {0x8182838485868788u, 5};
    const float floats[2] = {0.5f, -1.0f};
    const double doubles[2] = {0.125, 3.0};
    const struct {
        enum gguf_type type;
        const void *elements;
        int64_t first;
        double first_float;
    } cases[] = {
        {GGUF_UINT8, words, 0x88, 0x88},
        {GGUF_INT8, words, -120, -120},
        {GGUF_UINT16, words, 0x8788, 0x8788},
        {GGUF_INT16, words, (int16_t)0x8788, (int16_t)0x8788},
        {GGUF_UINT32, words, 0x85868788, 0x85868788},
        {GGUF_INT32, words, (int32_t)0x85868788, (int32_t)0x85868788},
        {GGUF_UINT64, words, (int64_t)0x8182838485868788u, 0x1.030507090b0d1p63},
        {GGUF_INT64, words, (int64_t)0x8182838485868788u, -0x1.f9f5f1ede9e5ep62},
        {GGUF_FLOAT32, floats, 0, 0.5},
        {GGUF_FLOAT64, doubles, 0, 0.125},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf_array array = {
            .type = cases[i].type, .element_count = 2, .bytes = cases[i].elements};
        double relative = gguf_array_f64(&array, 0) / cases[i].first_float - 1.0;
        assert_true(fabs(relative) < 1e-12);
        if (cases[i].type != GGUF_FLOAT32 && cases[i].type != GGUF_FLOAT64) {
            assert_true(gguf_array_i64(&array, 0) == cases[i].first);
        }
    }
}

static void tensors_have_their_shape_outermost_first(void **state)
{
    const struct gguf_tensor *tensor = gguf_find_tensor(sample(state), "token_embd.weight");
    assert_non_null(tensor);
    assert_int_equal(tensor->tensor.dim_count, 2);
    assert_int_equal(tensor->tensor.shape[0], 3);
    assert_int_equal(tensor->tensor.shape[1], 32);
    assert_int_equal(tensor_row_count(&tensor->tensor), 3);
    assert_int_equal(tensor->tensor.dtype, DTYPE_F32);
    assert_int_equal(tensor->byte_count, 3 * 32 * 4);
    assert_true(tensor->supported);
    assert_true(((const float *)tensor->tensor.data)[95] == 95.0f);
    tensor = gguf_find_tensor(sample(state), "blk.0.attn_q.weight");
    assert_int_equal(tensor->tensor.dtype, DTYPE_Q8_0);
    assert_int_equal(tensor->byte_count, 2 * 2 * 34);
    assert_string_equal(tensor->type_name, "q8_0");
    assert_int_equal(gguf_find_tensor(sample(state), "output_norm.weight")->tensor.dim_count, 1);
}

static void a_copied_file_is_the_same_file(void **state)
{
    struct fixture *fixture = *state;
    struct gguf_writer writer;
    uint64_t byte_count = 0;
    gguf_writer_init(&writer);
    gguf_writer_copy(&writer, &fixture->file);
    uint8_t *bytes = gguf_writer_finish(&writer, &byte_count);
    assert_int_equal(byte_count, fixture->byte_count);
    assert_memory_equal(bytes, fixture->bytes, byte_count);
    free(bytes);
    gguf_writer_release(&writer);
}

static void larger_alignment_moves_the_data(void **state)
{
    (void)state;
    struct gguf_writer writer;
    struct gguf file;
    struct error err;
    uint64_t byte_count = 0;
    gguf_writer_init(&writer);
    writer.alignment = 4096;
    gguf_writer_add_u32(&writer, "general.alignment", 4096);
    gguf_sample_build(&writer);
    uint8_t *bytes = gguf_writer_finish(&writer, &byte_count);
    assert_int_equal(gguf_parse(&file, bytes, byte_count, "a.gguf", &err), OK);
    assert_int_equal(file.alignment, 4096);
    assert_int_equal(file.tensors[SAMPLE_EMBEDDING].offset, 4096);
    assert_int_equal(file.tensors[SAMPLE_MATRIX].offset, 8192);
    assert_true(((const float *)file.tensors[SAMPLE_EMBEDDING].tensor.data)[9] == 9.0f);
    gguf_close(&file);
    free(bytes);
    gguf_writer_release(&writer);
}

static void type_table_agrees_with_the_kernels(void **state)
{
    (void)state;
    for (int i = 0; i < DTYPE_COUNT; i++) {
        const struct gguf_tensor_type *type = gguf_types_from_dtype((enum dtype)i);
        const struct quant_format *format = quant_format_get((enum dtype)i);
        assert_string_equal(type->name, format->name);
        assert_int_equal(type->block_values, format->block_values);
        assert_int_equal(type->block_bytes, format->block_bytes);
        assert_ptr_equal(gguf_types_find(type->ggml_type), type);
    }
}

static void unsupported_types_are_sized_and_named(void **state)
{
    (void)state;
    const struct {
        uint32_t ggml_type;
        const char *name;
        uint64_t bytes_of_256;
    } cases[] = {{15, "q8_K", 292}, {16, "iq2_xxs", 66}, {26, "i32", 1024}, {40, "nvfp4", 144}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf_writer writer;
        struct gguf file;
        struct error err;
        uint64_t byte_count = 0;
        gguf_writer_init(&writer);
        gguf_writer_add_raw_tensor(&writer, "t", cases[i].ggml_type, 1, (uint64_t[]){256}, NULL,
                                   cases[i].bytes_of_256);
        uint8_t *bytes = gguf_writer_finish(&writer, &byte_count);
        assert_int_equal(gguf_parse(&file, bytes, byte_count, "t.gguf", &err), OK);
        assert_false(file.tensors[0].supported);
        assert_string_equal(file.tensors[0].type_name, cases[i].name);
        assert_int_equal(file.tensors[0].byte_count, cases[i].bytes_of_256);
        gguf_close(&file);
        free(bytes);
        gguf_writer_release(&writer);
    }
}

static void messages_keep_the_end_of_a_long_path(void **state)
{
    (void)state;
    char path[1000];
    struct error err;
    struct gguf file;
    memset(path, 'a', sizeof path);
    memcpy(path + sizeof path - 12, "/model.gguf", 12);
    assert_int_equal(gguf_parse(&file, (const uint8_t *)"", 0, path, &err), ERR_FORMAT);
    assert_non_null(strstr(err.message, "/model.gguf: offset 0: "));
    assert_int_equal(strncmp(err.message, "...a", 4), 0);
}

static void closing_twice_or_unopened_is_harmless(void **state)
{
    (void)state;
    struct gguf file = {0};
    gguf_close(&file);
    gguf_close(&file);
}

/* ---- real files ---- */

static void open_real(struct gguf *file, const char *folder, const char *name)
{
    char path[4096];
    struct error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (gguf_open(file, path, &err) != OK) {
        fail_msg("%s", err.message);
    }
}

static void published_model_files_load(void **state)
{
    (void)state;
    const char *folder = test_data_folder();
    if (folder == NULL) {
        skip();
    }
    static const struct {
        const char *name;
        uint64_t tensor_count;
        const char *matrix_type;
    } cases[] = {
        {"models/stories260K/derived/stories260K-F16.gguf", 48, "f16"},
        {"models/stories260K/derived/stories260K-F32.gguf", 48, "f32"},
        {"models/stories260K/derived/stories260K-Q6_K-fallback.gguf", 48, "q8_0"},
        {"models/tinystories-656k/derived/tinystories-656k-BF16.gguf", 20, "bf16"},
        {"models/tinystories-656k/derived/tinystories-656k-F16.gguf", 20, "f16"},
        {"models/tinystories-656k/derived/tinystories-656k-F32.gguf", 20, "f32"},
        {"models/tinystories-656k/derived/tinystories-656k-IQ4_NL.gguf", 20, "iq4_nl"},
        {"models/tinystories-656k/derived/tinystories-656k-Q4_0.gguf", 20, "q4_0"},
        {"models/tinystories-656k/derived/tinystories-656k-Q4_1.gguf", 20, "q4_1"},
        {"models/tinystories-656k/derived/tinystories-656k-Q5_0.gguf", 20, "q5_0"},
        {"models/tinystories-656k/derived/tinystories-656k-Q5_1.gguf", 20, "q5_1"},
        {"models/tinystories-656k/derived/tinystories-656k-Q8_0.gguf", 20, "q8_0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf file;
        struct error err;
        uint32_t dim = 0;
        open_real(&file, folder, cases[i].name);
        bool stories = strstr(cases[i].name, "stories260K") != NULL;
        assert_int_equal(
            gguf_get_u32(&file, "llama.embedding_length", true, 1, LIMIT_MODEL_DIM, &dim, &err),
            OK);
        assert_int_equal(dim, stories ? 64 : 128);
        assert_int_equal(file.tensor_count, cases[i].tensor_count);
        const struct gguf_tensor *up = gguf_find_tensor(&file, "blk.1.ffn_up.weight");
        assert_string_equal(up->type_name, cases[i].matrix_type);
        assert_int_equal(up->tensor.shape[0], stories ? 172 : 384);
        assert_int_equal(up->tensor.shape[1], dim);
        assert_int_equal(up->byte_count,
                         up->tensor.shape[0] * quant_row_bytes(up->tensor.dtype, dim));
        gguf_close(&file);
    }
}

static void published_vocabularies_load(void **state)
{
    (void)state;
    const char *folder = test_data_folder();
    if (folder == NULL) {
        skip();
    }
    static const struct {
        const char *name;
        uint64_t token_count;
    } cases[] = {
        {"deepseek-llm", 102400}, {"falcon", 65024}, {"gpt-2", 50257}, {"gpt-neox", 50432},
        {"llama-spm", 32000},     {"mpt", 50432},    {"phi-3", 32064}, {"starcoder", 49152},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[256];
        struct gguf file;
        struct gguf_array tokens = {0};
        struct error err;
        snprintf(name, sizeof name, "tokenizers/ggml-vocab/ggml-vocab-%s.gguf", cases[i].name);
        open_real(&file, folder, name);
        assert_int_equal(file.tensor_count, 0);
        assert_int_equal(
            gguf_get_array(&file, "tokenizer.ggml.tokens", true, GGUF_STRING, &tokens, &err), OK);
        assert_int_equal(tokens.element_count, cases[i].token_count);
        gguf_close(&file);
    }
}

static void every_type_of_the_quantisation_vectors_is_known(void **state)
{
    (void)state;
    const char *folder = test_data_folder();
    if (folder == NULL) {
        skip();
    }
    struct gguf file;
    open_real(&file, folder, "conformance/ggml-quants/ggml-quant-vectors.gguf");
    assert_int_equal(file.tensor_count, 55);
    uint32_t supported_count = 0;
    for (uint64_t i = 0; i < file.tensor_count; i++) {
        const struct gguf_tensor *tensor = &file.tensors[i];
        if (memcmp(tensor->name.bytes, "q.", 2) == 0) {
            /* The file names each tensor for its type. */
            struct gguf_string suffix = {tensor->name.bytes + 2, tensor->name.byte_count - 2};
            assert_true(gguf_string_equal(suffix, tensor->type_name));
            supported_count += tensor->supported ? 1 : 0;
        }
    }
    assert_int_equal(supported_count, DTYPE_COUNT - 1); /* all but f32, which is "src" */
    gguf_close(&file);
}

#define SAMPLE_TEST(name) cmocka_unit_test_setup_teardown(name, open_sample, close_sample)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLE_TEST(counts_and_version_are_read),
        SAMPLE_TEST(version_2_reads_like_version_3),
        SAMPLE_TEST(every_scalar_type_keeps_its_value),
        SAMPLE_TEST(absent_names_are_not_found),
        SAMPLE_TEST(integers_of_any_width_are_taken_within_limits),
        SAMPLE_TEST(integers_out_of_limits_are_refused_with_key_value_and_limit),
        SAMPLE_TEST(absent_key_is_an_error_only_where_required),
        SAMPLE_TEST(another_type_is_refused_by_name),
        cmocka_unit_test(floats_are_finite_and_within_limits),
        SAMPLE_TEST(typed_access_gives_the_stored_values),
        cmocka_unit_test(array_elements_of_every_width_are_read),
        SAMPLE_TEST(tensors_have_their_shape_outermost_first),
        SAMPLE_TEST(a_copied_file_is_the_same_file),
        cmocka_unit_test(larger_alignment_moves_the_data),
        cmocka_unit_test(type_table_agrees_with_the_kernels),
        cmocka_unit_test(unsupported_types_are_sized_and_named),
        cmocka_unit_test(messages_keep_the_end_of_a_long_path),
        cmocka_unit_test(closing_twice_or_unopened_is_harmless),
        cmocka_unit_test(published_model_files_load),
        cmocka_unit_test(published_vocabularies_load),
        cmocka_unit_test(every_type_of_the_quantisation_vectors_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
