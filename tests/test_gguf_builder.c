/* A gguf made of parts: what is set is found, messages know no offsets, and whatever goes wrong,
 * nothing is lost (the sanitizer build watches).
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/formats/gguf.h"
#include "engine/formats/gguf_builder.h"

#include <sys/mman.h>

static void entries_are_found_as_they_were_set(void **state)
{
    (void)state;
    struct gguf_builder builder;
    struct gguf file;
    struct error err;
    gguf_builder_init(&builder, "models/tiny");
    gguf_builder_set_string(&builder, "general.architecture", "llama");
    gguf_builder_set_bytes(&builder, "t.bytes", (struct gguf_string){"a\0b", 3});
    gguf_builder_set_u32(&builder, "t.u32", 4096);
    gguf_builder_set_u64(&builder, "t.u64", UINT64_C(1) << 40);
    gguf_builder_set_f32(&builder, "t.f32", 1.5f);
    gguf_builder_set_bool(&builder, "t.bool", true);
    assert_int_equal(gguf_builder_find(&builder, "t.u32")->value.u, 4096);
    assert_null(gguf_builder_find(&builder, "t.u3"));
    assert_int_equal(gguf_builder_finish(&builder, &file, &err), OK);

    uint32_t narrow = 0;
    uint64_t wide = 0;
    float number = 0;
    bool flag = false;
    struct gguf_string string = {0};
    assert_int_equal(gguf_get_u32(&file, "t.u32", true, 0, 4096, &narrow, &err), OK);
    assert_int_equal(narrow, 4096);
    assert_int_equal(gguf_get_u64(&file, "t.u64", true, 0, UINT64_MAX, &wide, &err), OK);
    assert_true(wide == UINT64_C(1) << 40);
    assert_int_equal(gguf_get_f32(&file, "t.f32", true, 0, 2, &number, &err), OK);
    assert_true(number == 1.5f);
    assert_int_equal(gguf_get_bool(&file, "t.bool", true, &flag, &err), OK);
    assert_true(flag);
    assert_int_equal(gguf_get_string(&file, "general.architecture", true, &string, &err), OK);
    assert_true(gguf_string_equal(string, "llama"));
    assert_int_equal(gguf_get_string(&file, "t.bytes", true, &string, &err), OK);
    assert_int_equal(string.byte_count, 3);
    assert_memory_equal(string.bytes, "a\0b", 3);
    gguf_close(&file);
}

static void arrays_keep_their_values_when_the_originals_are_gone(void **state)
{
    (void)state;
    struct gguf_builder builder;
    struct gguf file;
    struct error err;
    char token[] = "token";
    struct gguf_string strings[] = {{token, 5}, {"", 0}, {"x\0y", 3}};
    uint32_t u32s[] = {1, UINT32_MAX};
    int32_t i32s[] = {-1, 7, INT32_MIN};
    float f32s[] = {-0.5f};
    bool bools[] = {true, false};
    gguf_builder_init(&builder, "models/tiny");
    gguf_builder_set_strings(&builder, "a.strings", strings, 3);
    gguf_builder_set_strings(&builder, "a.none", NULL, 0);
    gguf_builder_set_u32s(&builder, "a.u32", u32s, 2);
    gguf_builder_set_i32s(&builder, "a.i32", i32s, 3);
    gguf_builder_set_f32s(&builder, "a.f32", f32s, 1);
    gguf_builder_set_bools(&builder, "a.bool", bools, 2);
    token[0] = '?';
    u32s[0] = 99;
    assert_int_equal(gguf_builder_finish(&builder, &file, &err), OK);

    struct gguf_array array;
    assert_int_equal(gguf_get_array(&file, "a.strings", true, GGUF_STRING, &array, &err), OK);
    assert_int_equal(array.element_count, 3);
    assert_true(gguf_string_equal(array.strings[0], "token"));
    assert_int_equal(array.strings[1].byte_count, 0);
    assert_memory_equal(array.strings[2].bytes, "x\0y", 3);
    assert_int_equal(gguf_get_array(&file, "a.none", true, GGUF_STRING, &array, &err), OK);
    assert_int_equal(array.element_count, 0);
    assert_int_equal(gguf_get_array(&file, "a.u32", true, GGUF_UINT32, &array, &err), OK);
    assert_int_equal(gguf_array_u64(&array, 0), 1);
    assert_int_equal(gguf_array_u64(&array, 1), UINT32_MAX);
    assert_int_equal(gguf_get_array(&file, "a.i32", true, GGUF_INT32, &array, &err), OK);
    assert_int_equal(gguf_array_i64(&array, 2), INT32_MIN);
    assert_int_equal(gguf_get_array(&file, "a.f32", true, GGUF_FLOAT32, &array, &err), OK);
    assert_true(gguf_array_f64(&array, 0) == -0.5);
    assert_int_equal(gguf_get_array(&file, "a.bool", true, GGUF_BOOL, &array, &err), OK);
    assert_int_equal(gguf_array_u64(&array, 0), 1);
    gguf_close(&file);
}

static void tensors_are_found_and_their_data_stays_where_it_is(void **state)
{
    (void)state;
    struct gguf_builder builder;
    struct gguf file;
    struct error err;
    float *weights = calloc(6, sizeof *weights);
    uint8_t *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    struct tensor matrix = {.data = weights, .dtype = DTYPE_F32, .dim_count = 2, .shape = {2, 3}};
    struct tensor blocks = {.data = page, .dtype = DTYPE_Q8_0, .dim_count = 3, .shape = {2, 3, 64}};
    gguf_builder_init(&builder, "models/tiny");
    gguf_builder_own(&builder, weights);
    gguf_builder_own_mapping(&builder, page, 4096);
    gguf_builder_add_tensor(&builder, "token_embd.weight", &matrix);
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof name, "blk.%d.ffn_up.weight", i);
        gguf_builder_add_tensor(&builder, name, &blocks);
    }
    assert_int_equal(gguf_builder_finish(&builder, &file, &err), OK);
    assert_int_equal(file.tensor_count, 201);
    const struct gguf_tensor *found = gguf_find_tensor(&file, "token_embd.weight");
    assert_ptr_equal(found->tensor.data, weights);
    assert_int_equal(found->byte_count, 24);
    assert_true(found->supported);
    found = gguf_find_tensor(&file, "blk.117.ffn_up.weight");
    assert_ptr_equal(found->tensor.data, page);
    assert_int_equal(found->byte_count, 2 * 3 * 2 * 34);
    assert_string_equal(found->type_name, "q8_0");
    assert_null(gguf_find_tensor(&file, "blk.200.ffn_up.weight"));
    gguf_close(&file);
}

static void messages_about_its_entries_name_the_path_and_no_offset(void **state)
{
    (void)state;
    struct gguf_builder builder;
    struct gguf file;
    struct error err;
    uint32_t value = 0;
    gguf_builder_init(&builder, "models/tiny");
    gguf_builder_set_u32(&builder, "t.u32", 4096);
    assert_int_equal(gguf_builder_finish(&builder, &file, &err), OK);
    assert_int_equal(gguf_get_u32(&file, "t.u32", true, 0, 10, &value, &err), ERR_FORMAT);
    assert_string_equal(err.message, "models/tiny: key t.u32 is 4096, limits 0 and 10");
    assert_int_equal(gguf_get_u32(&file, "t.none", true, 0, 10, &value, &err), ERR_FORMAT);
    assert_string_equal(err.message, "models/tiny: key t.none is missing");
    gguf_close(&file);
}

static void a_key_or_tensor_given_twice_is_refused(void **state)
{
    (void)state;
    struct gguf_builder builder;
    struct gguf file;
    struct error err;
    float one = 1;
    struct tensor tensor = {.data = &one, .dtype = DTYPE_F32, .dim_count = 1, .shape = {1}};
    gguf_builder_init(&builder, "models/tiny");
    gguf_builder_set_u32(&builder, "t.a", 1);
    gguf_builder_set_u32(&builder, "t.b", 1);
    gguf_builder_set_string(&builder, "t.a", "again");
    assert_int_equal(gguf_builder_finish(&builder, &file, &err), ERR_FORMAT);
    assert_string_equal(err.message, "models/tiny: key t.a is given twice");
    gguf_close(&file);
    gguf_builder_init(&builder, "models/tiny");
    gguf_builder_add_tensor(&builder, "output.weight", &tensor);
    gguf_builder_add_tensor(&builder, "output.weight", &tensor);
    assert_int_equal(gguf_builder_finish(&builder, &file, &err), ERR_FORMAT);
    assert_string_equal(err.message, "models/tiny: tensor output.weight is given twice");
}

static void after_a_failure_nothing_happens_but_memory_is_still_taken_over(void **state)
{
    (void)state;
    struct gguf_builder builder;
    struct gguf file;
    struct error err;
    gguf_builder_init(&builder, "models/tiny");
    gguf_builder_set_u32s(&builder, "t.huge", NULL, UINT64_C(1) << 40);
    gguf_builder_set_u32(&builder, "t.after", 1);
    assert_null(gguf_builder_find(&builder, "t.after"));
    gguf_builder_own(&builder, malloc(100));
    assert_int_equal(gguf_builder_finish(&builder, &file, &err), ERR_FORMAT);
    assert_string_equal(err.message,
                        "models/tiny: t.huge has 1099511627776 values, limit 16777216");
    gguf_builder_init(&builder, "models/tiny");
    gguf_builder_set_string(&builder, "t.some", "thing");
    gguf_builder_own(&builder, malloc(100));
    gguf_builder_release(&builder);
    gguf_builder_release(&builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_found_as_they_were_set),
        cmocka_unit_test(arrays_keep_their_values_when_the_originals_are_gone),
        cmocka_unit_test(tensors_are_found_and_their_data_stays_where_it_is),
        cmocka_unit_test(messages_about_its_entries_name_the_path_and_no_offset),
        cmocka_unit_test(a_key_or_tensor_given_twice_is_refused),
        cmocka_unit_test(after_a_failure_nothing_happens_but_memory_is_still_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
