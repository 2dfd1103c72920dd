/* test_gguf_output.c - what is written is what the parser reads, for every type of entry and any
 * alignment. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/formats/gguf_output.h"
#include "tests/support/gguf_sample.h"

/* A file of the head, and of data where byte i of tensor t is t + i. */
static uint8_t *assemble(const struct gguf_output_head *head, const struct gguf_tensor *tensors,
                         uint64_t tensor_count)
{
    uint8_t *bytes = calloc(1, head->file_bytes);
    assert_non_null(bytes);
    memcpy(bytes, head->bytes, head->byte_count);
    for (uint64_t t = 0; t < tensor_count; t++) {
        assert_true(tensors[t].offset + tensors[t].byte_count <= head->file_bytes);
        for (uint64_t i = 0; i < tensors[t].byte_count; i++) {
            bytes[tensors[t].offset + i] = (uint8_t)(t + i);
        }
    }
    return bytes;
}

static void expect_same_entries(const struct gguf *a, const struct gguf *b)
{
    assert_int_equal(a->entry_count, b->entry_count);
    for (uint64_t i = 0; i < a->entry_count; i++) {
        const struct gguf_entry *x = &a->entries[i];
        const struct gguf_entry *y = &b->entries[i];
        assert_int_equal(x->key.byte_count, y->key.byte_count);
        assert_memory_equal(x->key.bytes, y->key.bytes, x->key.byte_count);
        assert_int_equal(x->type, y->type);
        /* the bits in the file: keys, and so values, stand at the same offsets */
        assert_int_equal(x->offset, y->offset);
        if (x->type == GGUF_ARRAY) {
            assert_int_equal(x->value.array.type, y->value.array.type);
            assert_int_equal(x->value.array.element_count, y->value.array.element_count);
        }
    }
    const struct gguf_entry *last = &a->entries[a->entry_count - 1];
    assert_memory_equal(a->bytes + 24, b->bytes + 24, last->offset - 24);
}

static void check(uint32_t alignment)
{
    struct gguf_writer writer;
    struct error err = {0};
    uint64_t byte_count = 0;
    struct gguf file;
    struct gguf again;
    struct gguf_output_head head;
    gguf_writer_init(&writer);
    gguf_sample_build(&writer);
    gguf_writer_add_u32(&writer, "general.alignment", alignment);
    writer.alignment = alignment;
    /* offsets were given with the usual alignment */
    struct gguf_writer_tensor *tensors = writer.tensors;
    uint64_t at = 0;
    for (uint64_t i = 0; i < writer.tensor_count; i++) {
        tensors[i].offset = at;
        at += tensors[i].byte_count + gguf_output_padding(tensors[i].byte_count, alignment);
    }
    writer.data_bytes = at;
    uint8_t *bytes = gguf_writer_finish(&writer, &byte_count);
    assert_int_equal(gguf_parse(&file, bytes, byte_count, "sample", &err), OK);
    assert_int_equal(gguf_output_make_head(&head, file.entries, file.entry_count, file.tensors,
                                           file.tensor_count, alignment, &err),
                     OK);
    uint8_t *written = assemble(&head, file.tensors, file.tensor_count);
    assert_int_equal(gguf_parse(&again, written, head.file_bytes, "written", &err), OK);
    assert_int_equal(again.alignment, alignment);
    assert_int_equal(again.version, 3);
    assert_int_equal(head.byte_count % alignment, 0);
    expect_same_entries(&file, &again);
    assert_int_equal(again.tensor_count, SAMPLE_COUNT);
    for (uint64_t t = 0; t < SAMPLE_COUNT; t++) {
        assert_int_equal(again.tensors[t].ggml_type, file.tensors[t].ggml_type);
        assert_int_equal(again.tensors[t].offset, file.tensors[t].offset);
        assert_memory_equal(again.tensors[t].tensor.shape, file.tensors[t].tensor.shape,
                            sizeof file.tensors[t].tensor.shape);
        assert_int_equal(*(const uint8_t *)again.tensors[t].tensor.data, (uint8_t)t);
    }
    free(written);
    free(head.bytes);
    free(bytes);
    gguf_close(&again);
    gguf_close(&file);
    gguf_writer_release(&writer);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    check(8);
    check(32);
    check(4096);
}

static void sizes_beyond_64_bits_are_refused(void **state)
{
    struct gguf_tensor tensors[2] = {
        {.name = {"a", 1}, .tensor = {.dim_count = 1, .shape = {1}}, .byte_count = UINT64_MAX / 2},
        {.name = {"b", 1}, .tensor = {.dim_count = 1, .shape = {1}}, .byte_count = UINT64_MAX / 2}};
    struct gguf_output_head head;
    struct error err = {0};
    (void)state;
    assert_int_equal(gguf_output_make_head(&head, NULL, 0, tensors, 2, 32, &err), ERR_INVALID);
    assert_null(head.bytes);
    tensors[1].byte_count = UINT64_MAX;
    assert_int_equal(gguf_output_make_head(&head, NULL, 0, tensors + 1, 1, 32, &err), ERR_INVALID);
}

static void padding_fills_up(void **state)
{
    (void)state;
    assert_int_equal(gguf_output_padding(0, 32), 0);
    assert_int_equal(gguf_output_padding(1, 32), 31);
    assert_int_equal(gguf_output_padding(32, 32), 0);
    assert_int_equal(gguf_output_padding(33, 64), 31);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(sizes_beyond_64_bits_are_refused),
        cmocka_unit_test(padding_fills_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
