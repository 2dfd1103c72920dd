/* safetensors files: a well-formed one read through, and headers broken one way each. Every refusal
 * is one line that names the file and the thing at fault. Meant to run under the sanitizers, too.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "configs/limits.h"
#include "engine/formats/file_map.h"
#include "tests/support/safetensors_sample.h"

static void sample_reads_as_it_was_written(void **state)
{
    (void)state;
    struct safetensors file;
    struct error err;
    uint64_t byte_count = 0;
    uint8_t *bytes =
        safetensors_sample_join(safetensors_sample_header, SAMPLE_DATA_BYTES, &byte_count);
    assert_int_equal(safetensors_parse(&file, bytes, byte_count, "s.safetensors", &err), OK);
    assert_int_equal(file.tensor_count, 5);
    assert_string_equal(safetensors_metadata(&file, "format"), "pt");
    assert_null(safetensors_metadata(&file, "absent"));

    const struct safetensors_tensor *a = &file.tensors[0];
    assert_string_equal(a->name, "a");
    assert_true(a->supported);
    assert_int_equal(a->dtype, DTYPE_F32);
    assert_int_equal(a->dim_count, 2);
    assert_int_equal(a->shape[0], 2);
    assert_int_equal(a->shape[1], 3);
    assert_int_equal(a->byte_count, 24);
    assert_int_equal(a->data[23], 23);
    assert_string_equal(file.tensors[1].name, "b");
    assert_int_equal(file.tensors[1].dtype, DTYPE_BF16);
    assert_int_equal(file.tensors[1].data[0], 24);
    assert_string_equal(file.tensors[2].name, "empty");
    assert_int_equal(file.tensors[2].byte_count, 0);
    assert_string_equal(file.tensors[3].name, "scalar");
    assert_int_equal(file.tensors[3].dim_count, 0);
    assert_string_equal(file.tensors[4].dtype_name, "U8");
    assert_false(file.tensors[4].supported);
    safetensors_close(&file);
    safetensors_close(&file);
    free(bytes);
}

static void expect_refused(const uint8_t *bytes, uint64_t byte_count, const char *what)
{
    struct error err = {0};
    enum status status = safetensors_sample_try(bytes, byte_count, &err);
    if (status == OK) {
        fail_msg("accepted, though %s", what);
    }
    assert_int_equal(status, err.status);
    if (strncmp(err.message, "broken.safetensors: ", 20) != 0 ||
        strstr(err.message, what) == NULL || strchr(err.message, '\n') != NULL) {
        fail_msg("'%s' is not the message expected (%s)", err.message, what);
    }
}

/* A header in front of data_bytes of data. */
static void refuse(const char *header, uint64_t data_bytes, const char *what)
{
    uint64_t byte_count = 0;
    uint8_t *bytes = safetensors_sample_join(header, data_bytes, &byte_count);
    expect_refused(bytes, byte_count, what);
    free(bytes);
}

static void accept(const char *header, uint64_t data_bytes)
{
    uint64_t byte_count = 0;
    struct error err = {0};
    uint8_t *bytes = safetensors_sample_join(header, data_bytes, &byte_count);
    if (safetensors_sample_try(bytes, byte_count, &err) != OK) {
        fail_msg("refused: %s", err.message);
    }
    free(bytes);
}

/* One tensor "t" with these members. */
#define ONE(dtype, shape, offsets)                                                                 \
    "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

/* M-38 */
static void lengths_of_the_header_are_checked(void **state)
{
    (void)state;
    uint8_t bytes[64] = {0};
    expect_refused(bytes, 0, "0 bytes; a safetensors file starts with a length of 8");
    expect_refused(bytes, 7, "7 bytes; a safetensors file");
    expect_refused(bytes, 8, "not valid JSON: it is empty");
    expect_refused(bytes, 64, "not valid JSON: it is empty");
    bytes[0] = 57;
    expect_refused(bytes, 64, "a header of 57 bytes, but only 56 bytes are left");
    memset(bytes, 0xff, 8);
    expect_refused(bytes, 64, "a header of 18446744073709551615 bytes");
    memset(bytes, 0, 8);
    bytes[7] = 0x80;
    expect_refused(bytes, 64, "a header of 9223372036854775808 bytes");
    uint64_t long_bytes = (uint64_t)LIMIT_SAFETENSORS_HEADER + 1;
    uint8_t *long_file = malloc(8 + long_bytes);
    memset(long_file, ' ', 8 + long_bytes);
    memset(long_file, 0, 8);
    long_file[0] = 1;
    long_file[3] = 2;
    expect_refused(long_file, 8 + long_bytes, "33554433 bytes of JSON, limit 33554432");
    free(long_file);
}

/* M-39 */
static void the_header_is_one_json_object(void **state)
{
    (void)state;
    accept("{}", 0);
    refuse("[]", 0, "the JSON must be an object");
    refuse("\"t\"", 0, "not valid JSON");
    refuse("{", 0, "not valid JSON");
    refuse("{} {}", 0, "not valid JSON");
    refuse("{}x", 0, "not valid JSON");
    refuse("\xEF\xBB\xBF{}", 0, "not valid JSON");
    refuse("{\"\xff\":1}", 0, "not valid JSON");
    refuse("{\"a\nb\":1}", 0, "not valid JSON");
    refuse("{\"a\\u0000b\":1}", 0, "not valid JSON");
    refuse("{\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
           "\"t\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
           2, "duplicate object key");
    char deep[2 * LIMIT_JSON_DEPTH + 64] = "{\"t\":";
    memset(deep + 5, '[', LIMIT_JSON_DEPTH);
    refuse(deep, 0, "nests more than 128 levels deep");
}

static void names_are_printable_and_bounded(void **state)
{
    (void)state;
    char header[LIMIT_TENSOR_NAME + 128] = "{\"";
    memset(header + 2, 'n', LIMIT_TENSOR_NAME);
    const char *rest = "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    memcpy(header + 2 + LIMIT_TENSOR_NAME, rest, strlen(rest) + 1);
    accept(header, 1);
    header[2 + LIMIT_TENSOR_NAME] = 'n';
    memcpy(header + 3 + LIMIT_TENSOR_NAME, rest, strlen(rest) + 1);
    refuse(header, 1, "a tensor's name has 257 bytes, limits 1 and 256");
    refuse("{\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
           "a tensor's name has 0 bytes");
    refuse("{\"a\\nb\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
           "a tensor's name holds byte 0x0a at 1");
    refuse("{\"\xC3\xA4\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
           "a tensor's name holds byte 0xc3 at 0");
}

static void members_are_the_three_of_the_format(void **state)
{
    (void)state;
    accept(ONE("\"U8\"", "[1]", "[0,1]"), 1);
    refuse("{\"t\":1}", 1, "tensor t: not an object of a string dtype");
    refuse("{\"t\":{}}", 1, "tensor t: not an object of a string dtype");
    refuse(ONE("8", "[1]", "[0,1]"), 1, "tensor t: not an object of a string dtype");
    refuse(ONE("\"U8\"", "1", "[0,1]"), 1, "tensor t: not an object of a string dtype");
    refuse(ONE("\"U8\"", "[1]", "1"), 1, "tensor t: not an object of a string dtype");
    refuse(ONE("\"U8\"", "[1]", "[0,1],\"more\":1"), 1, "tensor t: not an object");
}

/* M-40 */
static void dtypes_and_shapes_are_checked(void **state)
{
    (void)state;
    refuse(ONE("\"F7\"", "[1]", "[0,1]"), 1, "tensor t: dtype \"F7\" is unknown");
    refuse(ONE("\"F\\n7\"", "[1]", "[0,1]"), 1, "tensor t: dtype");
    refuse(ONE("\"U8\"", "[-1]", "[0,1]"), 1, "tensor t: dimension 0 is no integer");
    refuse(ONE("\"U8\"", "[1,1.0]", "[0,1]"), 1, "tensor t: dimension 1 is no integer");
    refuse(ONE("\"U8\"", "[\"1\"]", "[0,1]"), 1, "tensor t: dimension 0 is no integer");
    refuse(ONE("\"U8\"", "[9223372036854775808]", "[0,1]"), 1, "not valid JSON");
    refuse(ONE("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, "has 9 dimensions, limit 8");
    accept(ONE("\"U8\"", "[1,1,1,1,1,1,1,1]", "[0,1]"), 1);
    refuse(ONE("\"U8\"", "[4294967296,4294967296]", "[0,0]"), 0, "does not fit 64 bits");
    refuse(ONE("\"U8\"", "[9223372036854775807,3]", "[0,1]"), 1, "does not fit 64 bits");
    /* Fits until it is multiplied by the bits of a value. */
    refuse(ONE("\"F64\"", "[288230376151711745]", "[0,8]"), 8, "do not take the 8 bytes");
}

/* M-41 */
static void offsets_cover_the_data_exactly(void **state)
{
    (void)state;
    refuse(ONE("\"U8\"", "[1]", "[1,0]"), 1, "tensor t: data_offsets 1 to 0");
    refuse(ONE("\"U8\"", "[2]", "[0,2]"), 1, "data_offsets 0 to 2, but the file has 1 bytes");
    refuse(ONE("\"U8\"", "[1]", "[-1,0]"), 1, "data_offsets are not two integers");
    refuse(ONE("\"U8\"", "[1]", "[0]"), 1, "data_offsets are not two integers");
    refuse(ONE("\"U8\"", "[1]", "[0,1,2]"), 1, "data_offsets are not two integers");
    refuse(ONE("\"U8\"", "[1]", "[0.0,1.0]"), 1, "data_offsets are not two integers");
    refuse(ONE("\"U8\"", "[1]", "[0,1]"), 2, "2 bytes of data, of which tensors take 1");
    refuse(ONE("\"U8\"", "[1]", "[1,2]"), 2, "tensor t starts at 1 of the data, behind 0");
    refuse("{}", 1, "1 bytes of data, of which tensors take 0");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
           "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
           3, "tensor b starts at 1 of the data, before 2, where a ends");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
           "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
           2, "tensor b starts at 0 of the data, before 2, where a ends");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
           "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]}}",
           5, "tensor b starts at 3 of the data, behind 2, where a ends");
}

/* M-42 */
static void byte_counts_are_those_of_shape_and_dtype(void **state)
{
    (void)state;
    refuse(ONE("\"F32\"", "[2,3]", "[0,23]"), 23, "6 values of F32 do not take the 23 bytes");
    refuse(ONE("\"F32\"", "[]", "[0,0]"), 0, "1 values of F32 do not take the 0 bytes");
    refuse(ONE("\"U8\"", "[0]", "[0,1]"), 1, "0 values of U8 do not take the 1 bytes");
    accept(ONE("\"F4\"", "[2]", "[0,1]"), 1);
    refuse(ONE("\"F4\"", "[3]", "[0,1]"), 1, "3 values of F4 do not take the 1 bytes");
}

/* M-43 */
static void metadata_is_an_object_of_strings(void **state)
{
    (void)state;
    accept("{\"__metadata__\":{}}", 0);
    refuse("{\"__metadata__\":[]}", 0, "__metadata__ is no object");
    refuse("{\"__metadata__\":{\"a\":1}}", 0, "__metadata__ holds values that are no strings");
    uint64_t entry_count = LIMIT_MODEL_JSON_NODES / 2 + 1;
    char *header = malloc(entry_count * 13 + 64);
    size_t used = (size_t)snprintf(header, 32, "{\"__metadata__\":{");
    for (uint64_t i = 0; i < entry_count; i++) {
        used += (size_t)snprintf(header + used, 32, "%s\"%07llu\":\"\"", i > 0 ? "," : "",
                                 (unsigned long long)i);
    }
    memcpy(header + used, "}}", 3);
    refuse(header, 0, "the JSON holds more than 2097152 values");
    free(header);
}

static void every_truncation_and_extension_is_refused(void **state)
{
    (void)state;
    uint64_t byte_count = 0;
    uint8_t *bytes =
        safetensors_sample_join(safetensors_sample_header, SAMPLE_DATA_BYTES + 1, &byte_count);
    struct error err;
    assert_int_equal(safetensors_sample_try(bytes, byte_count - 1, &err), OK);
    for (uint64_t cut = 0; cut < byte_count - 1; cut++) {
        expect_refused(bytes, cut, "");
    }
    expect_refused(bytes, byte_count, "40 bytes of data, of which tensors take 39");
    free(bytes);
}

/* Whatever the damage: refused in one line, or accepted and read through within bounds. */
static void flipped_bits_never_do_harm(void **state)
{
    (void)state;
    uint64_t byte_count = 0;
    uint8_t *bytes =
        safetensors_sample_join(safetensors_sample_header, SAMPLE_DATA_BYTES, &byte_count);
    for (uint64_t bit = 0; bit < 8 * (byte_count - SAMPLE_DATA_BYTES); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct error err = {0};
        if (safetensors_sample_try(bytes, byte_count, &err) != OK) {
            expect_refused(bytes, byte_count, "");
        }
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(bytes);
}

static void the_trained_model_of_the_test_data_is_read(void **state)
{
    (void)state;
    const char *data = test_data_folder();
    if (data == NULL) {
        skip();
    }
    char path[4096];
    snprintf(path, sizeof path, "%s/models/tinystories-656k/model.safetensors", data);
    const uint8_t *bytes = NULL;
    uint64_t byte_count = 0;
    struct safetensors file;
    struct error err;
    assert_int_equal(file_map_open(path, &bytes, &byte_count, &err), OK);
    assert_int_equal(safetensors_parse(&file, bytes, byte_count, path, &err), OK);
    assert_int_equal(file.tensor_count, 20);
    uint64_t value_count = 0;
    for (uint64_t i = 0; i < file.tensor_count; i++) {
        value_count += file.tensors[i].byte_count / sizeof(float);
    }
    assert_int_equal(value_count, 656000);
    assert_string_equal(safetensors_metadata(&file, "model.embed_tokens.weight"), "lm_head.weight");
    safetensors_close(&file);
    file_map_close(bytes, byte_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sample_reads_as_it_was_written),
        cmocka_unit_test(lengths_of_the_header_are_checked),
        cmocka_unit_test(the_header_is_one_json_object),
        cmocka_unit_test(names_are_printable_and_bounded),
        cmocka_unit_test(members_are_the_three_of_the_format),
        cmocka_unit_test(dtypes_and_shapes_are_checked),
        cmocka_unit_test(offsets_cover_the_data_exactly),
        cmocka_unit_test(byte_counts_are_those_of_shape_and_dtype),
        cmocka_unit_test(metadata_is_an_object_of_strings),
        cmocka_unit_test(every_truncation_and_extension_is_refused),
        cmocka_unit_test(flipped_bits_never_do_harm),
        cmocka_unit_test(the_trained_model_of_the_test_data_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
