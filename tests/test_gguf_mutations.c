/* Files broken on purpose, one way each, made from the sample: the parser must refuse them with
 * one line that has path, offset, and the thing at fault. Also blind damage: cuts at every length,
 * flipped bits, overwritten numbers. Meant to run under the sanitizers, too.
 * Not tested: M-37, since the README says that a mapped file must not change; M-48, since no manifest
 * of hashes is read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "configs/limits.h"
#include "tests/support/gguf_sample.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The sample, still in the writer and already as bytes. */
struct fixture {
    struct gguf_writer writer;
    uint8_t *bytes;
    uint64_t byte_count;
};

static int make_sample(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    gguf_writer_init(&fixture->writer);
    gguf_sample_build(&fixture->writer);
    fixture->bytes = gguf_writer_finish(&fixture->writer, &fixture->byte_count);
    *state = fixture;
    return 0;
}

static int drop_sample(void **state)
{
    struct fixture *fixture = *state;
    gguf_writer_release(&fixture->writer);
    free(fixture->bytes);
    free(fixture);
    return 0;
}

/* "broken.gguf: offset <digits>: " and then `what` somewhere, on one line. */
static void assert_message(const struct error *err, const char *what)
{
    const char *prefix = "broken.gguf: offset ";
    size_t prefix_bytes = strlen(prefix);
    if (strncmp(err->message, prefix, prefix_bytes) != 0 || err->message[prefix_bytes] < '0' ||
        err->message[prefix_bytes] > '9' || strchr(err->message, '\n') != NULL ||
        strstr(err->message, what) == NULL) {
        fail_msg("'%s' is not the message expected (%s)", err->message, what);
    }
}

static void expect_refused(const uint8_t *bytes, uint64_t byte_count, const char *what)
{
    struct error err = {0};
    enum status status = gguf_sample_try(bytes, byte_count, &err);
    if (status == OK) {
        fail_msg("accepted, though %s", what);
    }
    assert_int_equal(status, err.status);
    assert_message(&err, what);
}

static void expect_accepted(const uint8_t *bytes, uint64_t byte_count)
{
    struct error err = {0};
    if (gguf_sample_try(bytes, byte_count, &err) != OK) {
        fail_msg("refused: %s", err.message);
    }
}

/* Writes the fixture's changed writer out again and expects the result to be refused. */
static void expect_written_refused(struct fixture *fixture, const char *what)
{
    uint64_t byte_count = 0;
    uint8_t *bytes = gguf_writer_finish(&fixture->writer, &byte_count);
    expect_refused(bytes, byte_count, what);
    free(bytes);
}

static void expect_written_accepted(struct fixture *fixture)
{
    uint64_t byte_count = 0;
    uint8_t *bytes = gguf_writer_finish(&fixture->writer, &byte_count);
    expect_accepted(bytes, byte_count);
    free(bytes);
}

/* Overwrites a number, expects refusal, and puts the old bytes back. */
static void expect_u32_refused(struct fixture *fixture, uint64_t at, uint32_t value,
                               const char *what)
{
    uint8_t old[4];
    memcpy(old, fixture->bytes + at, sizeof old);
    gguf_writer_patch_u32(fixture->bytes, at, value);
    expect_refused(fixture->bytes, fixture->byte_count, what);
    memcpy(fixture->bytes + at, old, sizeof old);
}

static void expect_u64_refused(struct fixture *fixture, uint64_t at, uint64_t value,
                               const char *what)
{
    uint8_t old[8];
    memcpy(old, fixture->bytes + at, sizeof old);
    gguf_writer_patch_u64(fixture->bytes, at, value);
    expect_refused(fixture->bytes, fixture->byte_count, what);
    memcpy(fixture->bytes + at, old, sizeof old);
}

/* Where parts of tensor i's description stand in the file. */
static uint64_t dim_count_at(const struct fixture *fixture, int i)
{
    const struct gguf_writer_tensor *tensor = &fixture->writer.tensors[i];
    return tensor->at + 8 + tensor->name_bytes;
}

static uint64_t type_at(const struct fixture *fixture, int i)
{
    return dim_count_at(fixture, i) + 4 + 8 * (uint64_t)fixture->writer.tensors[i].dim_count;
}

static uint64_t entry_value_at(const struct fixture *fixture, int i)
{
    const struct gguf_writer_entry *entry = &fixture->writer.entries[i];
    return entry->at + 8 + entry->key_bytes + 4;
}

/* ---- head: M-01 to M-07 ---- */

static void sample_itself_is_accepted(void **state)
{
    struct fixture *fixture = *state;
    expect_accepted(fixture->bytes, fixture->byte_count);
}

/* M-01, M-02, M-03, and the data section's half of M-26. */
static void every_truncation_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct gguf_writer_tensor *last = &fixture->writer.tensors[SAMPLE_COUNT - 1];
    uint64_t whole = fixture->writer.data_at + last->offset + last->byte_count;
    for (uint64_t count = 0; count < whole; count++) {
        expect_refused(fixture->bytes, count,
                       count < fixture->writer.data_at ? "" : "end beyond the file's");
    }
    expect_accepted(fixture->bytes, whole); /* padding behind the last tensor may be missing */
}

/* M-04 */
static void another_magic_is_refused(void **state)
{
    struct fixture *fixture = *state;
    expect_u32_refused(fixture, 0, 0x47475546, "magic number 0x47475546"); /* byte-swapped */
    expect_u32_refused(fixture, 0, 0, "magic number 0x00000000");
    expect_u32_refused(fixture, 0, 0x67676d6c, "magic number"); /* the format before GGUF */
}

/* M-05, and the other half of M-04: a big-endian file has the magic in order. */
static void unknown_versions_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t versions[] = {0, 1, 4, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        expect_u32_refused(fixture, 4, versions[i], "offset 4: GGUF version");
    }
    expect_u32_refused(fixture, 4, 0x03000000u, "big-endian");
}

/* M-06, M-07 */
static void absurd_counts_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t counts[] = {UINT64_MAX, UINT64_C(1) << 63, UINT64_C(1) << 32,
                               LIMIT_GGUF_TENSORS + 1};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        expect_u64_refused(fixture, 8, counts[i], "offset 8: ");
        expect_u64_refused(fixture, 16, counts[i], "offset 16: ");
    }
    expect_u64_refused(fixture, 8, LIMIT_GGUF_TENSORS, "tensors of at least 33 bytes each");
    expect_u64_refused(fixture, 16, LIMIT_GGUF_KEYS, "keys of at least 14 bytes each");
}

static void counts_that_are_off_by_one_are_refused(void **state)
{
    struct fixture *fixture = *state;
    expect_u64_refused(fixture, 8, fixture->writer.tensor_count + 1, "");
    expect_u64_refused(fixture, 16, fixture->writer.entry_count + 1, "");
    expect_u64_refused(fixture, 8, fixture->writer.tensor_count - 1, "");
    expect_u64_refused(fixture, 16, fixture->writer.entry_count - 1, "");
}

/* ---- entries: M-08 to M-16 ---- */

/* M-08 */
static void absurd_key_lengths_are_refused(void **state)
{
    struct fixture *fixture = *state;
    uint64_t at = fixture->writer.entries[0].at;
    expect_u64_refused(fixture, at, UINT64_MAX, "a key of 18446744073709551615 bytes, limit 65535");
    expect_u64_refused(fixture, at, UINT64_C(1) << 63, "limit 65535");
    expect_u64_refused(fixture, at, 65536, "a key of 65536 bytes, limit 65535");
    expect_u64_refused(fixture, at, 65535, "the file ends inside a key");
    expect_u64_refused(fixture, at, 0, "offset 24: a key is empty");
}

/* M-09 */
static void duplicate_key_is_refused(void **state)
{
    struct fixture *fixture = *state;
    gguf_writer_add_u32(&fixture->writer, "t.bool", 1);
    expect_written_refused(fixture, "key t.bool is given twice");
}

/* M-10, and the same rules for tensor names: M-17 */
static void names_that_are_not_plain_text_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const struct gguf_string names[] = {
        {"a\0b", 3},      {"a\nb", 3},         {"\x7f", 1},         {"a\xff", 2},
        {"\xc0\x80", 2},  {"\xe0\x80\x80", 3}, {"\xed\xa0\x80", 3}, {"\xf4\x90\x80\x80", 4},
        {"a\xe2\x82", 3}, {"\x80", 1},         {"\xc3\x41", 2},
    };
    struct gguf_writer *writer = &fixture->writer;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        gguf_writer_add_raw(writer, names[i].bytes, names[i].byte_count, GGUF_BOOL, "", 1);
        expect_written_refused(fixture, "a key has byte 0x");
        writer->entries[writer->entry_count - 1].key_bytes = 0; /* not of any name's length */
        gguf_writer_remove(writer, "");

        struct gguf_writer_tensor *tensor = &writer->tensors[SAMPLE_VECTOR];
        memcpy(tensor->name, names[i].bytes, names[i].byte_count);
        tensor->name_bytes = names[i].byte_count;
        expect_written_refused(fixture, "a tensor name has byte 0x");
    }
}

/* The byte behind a cut sequence is the value type's; it must not be taken for the rest. */
static void cut_sequence_is_not_completed_by_what_follows(void **state)
{
    struct fixture *fixture = *state;
    gguf_writer_add_raw(&fixture->writer, "a\xe2\x82", 3, 0xac, "", 1);
    expect_written_refused(fixture, "a key has byte 0xe2, which is not UTF-8");
}

static void names_in_other_scripts_are_accepted(void **state)
{
    struct fixture *fixture = *state;
    gguf_writer_add_u32(&fixture->writer, "\xc3\xa9.\xe2\x82\xac.\xf0\x9f\x98\x80", 1);
    gguf_writer_add_u32(&fixture->writer, "a/b", 1);
    expect_written_accepted(fixture);
}

/* M-11 */
static void unknown_value_types_are_refused(void **state)
{
    struct fixture *fixture = *state;
    uint64_t at = entry_value_at(fixture, SAMPLE_BOOL) - 4;
    const uint32_t types[] = {13, 14, 255, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        expect_u32_refused(fixture, at, types[i], "of key t.bool, limit 12");
    }
}

/* M-12 */
static void string_longer_than_the_file_is_refused(void **state)
{
    struct fixture *fixture = *state;
    uint64_t at = entry_value_at(fixture, SAMPLE_ARCHITECTURE);
    uint64_t left = fixture->byte_count - at - 8;
    expect_u64_refused(fixture, at, left + 1, "the file ends inside a string value");
    expect_u64_refused(fixture, at, UINT64_MAX, "a string value of 18446744073709551615 bytes");
    expect_u64_refused(fixture, at, UINT64_C(1) << 63, "limit 16777216");
    at = entry_value_at(fixture, SAMPLE_STRINGS) + 12; /* the first element's length */
    expect_u64_refused(fixture, at, fixture->byte_count,
                       "the file ends inside a string in an array");
    expect_u64_refused(fixture, at, UINT64_MAX, "a string in an array of 18446744073709551615");
}

/* M-13 */
static void arrays_of_arrays_and_of_unknown_types_are_refused(void **state)
{
    struct fixture *fixture = *state;
    uint64_t at = entry_value_at(fixture, SAMPLE_INTS);
    expect_u32_refused(fixture, at, GGUF_ARRAY, "arrays do not nest");
    expect_u32_refused(fixture, at, 13, "elements of type 13, which is unknown");
    expect_u32_refused(fixture, at, UINT32_MAX, "which is unknown");
}

/* M-14 */
static void absurd_array_lengths_are_refused(void **state)
{
    struct fixture *fixture = *state;
    for (int i = SAMPLE_STRINGS; i <= SAMPLE_INTS; i++) {
        uint64_t at = entry_value_at(fixture, i) + 4;
        expect_u64_refused(fixture, at, UINT64_MAX, "limit 16777216");
        expect_u64_refused(fixture, at, UINT64_C(1) << 62, "limit 16777216"); /* times 4: 0 */
        expect_u64_refused(fixture, at, LIMIT_GGUF_ARRAY + 1, "limit 16777216");
    }
    /* Within the limit, but more than the file can hold: refused before memory is taken. */
    uint64_t strings_at = entry_value_at(fixture, SAMPLE_STRINGS) + 4;
    uint64_t ints_at = entry_value_at(fixture, SAMPLE_INTS) + 4;
    expect_u64_refused(fixture, strings_at, LIMIT_GGUF_ARRAY,
                       "array of 16777216 strings, but only");
    expect_u64_refused(fixture, strings_at, fixture->byte_count / 8, "strings, but only");
    expect_u64_refused(fixture, ints_at, LIMIT_GGUF_ARRAY, "the file ends inside an array");
    expect_u64_refused(fixture, ints_at, fixture->byte_count / 4, "the file ends inside an array");
}

/* M-15 */
static void bools_other_than_0_and_1_are_refused(void **state)
{
    struct fixture *fixture = *state;
    uint64_t at = entry_value_at(fixture, SAMPLE_BOOL);
    fixture->bytes[at] = 2;
    expect_refused(fixture->bytes, fixture->byte_count, "bool value 2, limit 1");
    fixture->bytes[at] = 255;
    expect_refused(fixture->bytes, fixture->byte_count, "bool value 255, limit 1");
    gguf_writer_add_array(&fixture->writer, "t.bools", GGUF_BOOL, "\1\0\1", 3);
    expect_written_accepted(fixture);
    gguf_writer_add_array(&fixture->writer, "t.bools2", GGUF_BOOL, "\1\0\3", 3);
    expect_written_refused(fixture, "bool value 3, limit 1");
}

/* M-16 */
static void impossible_alignments_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t values[] = {0, 1, 3, 4, 48, 131072, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        gguf_writer_add_u32(&fixture->writer, "general.alignment", values[i]);
        expect_written_refused(fixture, "is not a power of two from 8 to 65536");
        gguf_writer_remove(&fixture->writer, "general.alignment");
    }
    const uint64_t wide = 32;
    gguf_writer_add_scalar(&fixture->writer, "general.alignment", GGUF_UINT64, &wide);
    expect_written_refused(fixture, "general.alignment has type 10");
    gguf_writer_remove(&fixture->writer, "general.alignment");
    gguf_writer_add_string(&fixture->writer, "general.alignment", "32");
    expect_written_refused(fixture, "general.alignment has type 8");
    gguf_writer_remove(&fixture->writer, "general.alignment");
    gguf_writer_add_u32(&fixture->writer, "general.alignment", 32);
    expect_written_accepted(fixture);
    gguf_writer_add_u32(&fixture->writer, "general.alignment", 32);
    expect_written_refused(fixture, "general.alignment is given twice");
}

/* ---- tensors: M-17 to M-26 ---- */

/* M-17 */
static void absurd_tensor_name_lengths_are_refused(void **state)
{
    struct fixture *fixture = *state;
    uint64_t at = fixture->writer.tensors[SAMPLE_EMBEDDING].at;
    expect_u64_refused(fixture, at, 0, "a tensor name is empty");
    expect_u64_refused(fixture, at, 65, "a tensor name of 65 bytes, limit 64");
    expect_u64_refused(fixture, at, UINT64_C(1) << 63, "limit 64");
    expect_u64_refused(fixture, at, UINT64_MAX, "limit 64");
}

/* M-17 */
static void duplicate_and_path_like_tensor_names_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct gguf_writer_tensor *tensor = &fixture->writer.tensors[SAMPLE_VECTOR];
    memcpy(tensor->name, "../etc/passwd", 13);
    tensor->name_bytes = 13;
    expect_written_refused(fixture, "a tensor name has byte 0x2f");
    memcpy(tensor->name, "token_embd.weight", 17);
    tensor->name_bytes = 17;
    expect_written_refused(fixture, "tensor token_embd.weight is given twice");
}

/* M-18 */
static void dimension_counts_beyond_1_to_4_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t counts[] = {0, 5, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        expect_u32_refused(fixture, dim_count_at(fixture, SAMPLE_MATRIX), counts[i],
                           "dimensions, limits 1 and 4");
    }
}

/* M-19 */
static void dimensions_beyond_32_bits_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t dims[] = {0, UINT64_MAX, UINT64_C(1) << 32, INT64_MAX, UINT64_C(1) << 63};
    uint64_t at = dim_count_at(fixture, SAMPLE_MATRIX) + 4;
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++) {
        expect_u64_refused(fixture, at, dims[i], "dimension 0 is ");
        expect_u64_refused(fixture, at + 8, dims[i], "dimension 1 is ");
    }
    gguf_writer_patch_u64(fixture->bytes, at + 8, 2);
    expect_u64_refused(fixture, at, INT64_MAX, "dimension 0 is 9223372036854775807, limits 1");
}

/* Adds one tensor of these dims and expects refusal. */
static void expect_dims_refused(uint32_t ggml_type, uint32_t dim_count, const uint64_t *dims,
                                const char *what)
{
    struct gguf_writer writer;
    uint64_t byte_count = 0;
    gguf_writer_init(&writer);
    gguf_writer_add_raw_tensor(&writer, "t", ggml_type, dim_count, dims, NULL, 128);
    uint8_t *bytes = gguf_writer_finish(&writer, &byte_count);
    expect_refused(bytes, byte_count, what);
    free(bytes);
    gguf_writer_release(&writer);
}

enum {
    TYPE_F32 = 0,
    TYPE_Q4_0 = 2,
    TYPE_Q4_K = 12,
    TYPE_I8 = 24,
};

/* M-20: 1084076 * 746008 * 22809539 is 2^64 + 96. */
static void product_that_wraps_to_a_small_number_is_refused(void **state)
{
    (void)state;
    const uint64_t dims[] = {1084076, 746008, 22809539};
    expect_dims_refused(TYPE_I8, 3, dims, "does not fit 64 bits");
    const uint64_t zero[] = {UINT64_C(1) << 31, UINT64_C(1) << 31, 4};
    expect_dims_refused(TYPE_I8, 3, zero, "does not fit 64 bits");
    const uint64_t largest[] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    expect_dims_refused(TYPE_I8, 4, largest, "does not fit 64 bits");
}

/* M-21 */
static void bytes_that_wrap_late_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t by_type[] = {UINT64_C(1) << 31, UINT64_C(1) << 31}; /* 2^62 values of 4 */
    expect_dims_refused(TYPE_F32, 2, by_type, "does not fit 64 bits");
    const uint64_t by_padding[] = {(UINT64_C(1) << 31) - 1, (UINT64_C(1) << 31) + 1};
    expect_dims_refused(TYPE_F32, 2, by_padding, "18446744073709551612 bytes, but the file has");
    const uint64_t half[] = {UINT64_C(1) << 31, UINT64_C(1) << 31, 2}; /* 2^63; twice: 2^64 */
    for (int i = 0; i < 2; i++) {
        gguf_writer_add_raw_tensor(&fixture->writer, i == 0 ? "half" : "other", TYPE_I8, 3, half,
                                   NULL, 32);
    }
    expect_written_refused(fixture, "tensor half: 9223372036854775808 bytes, but the file has");
}

/* M-22 */
static void rows_that_are_not_whole_blocks_are_refused(void **state)
{
    (void)state;
    expect_dims_refused(TYPE_Q4_0, 2, (uint64_t[]){33, 2}, "rows of 33 values are not whole q4_0");
    expect_dims_refused(TYPE_Q4_0, 2, (uint64_t[]){16, 2}, "blocks of 32");
    expect_dims_refused(TYPE_Q4_K, 1, (uint64_t[]){128}, "not whole q4_K blocks of 256");
}

/* M-23 */
static void unknown_and_withdrawn_tensor_types_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t types[] = {4, 5, 31, 32, 33, 36, 37, 38, 43, 255, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        expect_u32_refused(fixture, type_at(fixture, SAMPLE_MATRIX), types[i], " is unknown");
    }
}

/* M-24 */
static void offsets_outside_the_data_are_refused(void **state)
{
    struct fixture *fixture = *state;
    uint64_t at = type_at(fixture, SAMPLE_MATRIX) + 4;
    uint64_t data_bytes = fixture->byte_count - fixture->writer.data_at;
    expect_u64_refused(fixture, at, 1, "not a multiple of the alignment 32");
    expect_u64_refused(fixture, at, 400, "data offset 400 is not a multiple");
    expect_u64_refused(fixture, at, data_bytes - 1, "not a multiple");
    expect_u64_refused(fixture, at, data_bytes - 32, "end beyond the file's");
    expect_u64_refused(fixture, at, data_bytes, "end beyond the file's");
    expect_u64_refused(fixture, at, UINT64_C(1) << 40, "end beyond the file's");
    expect_u64_refused(fixture, at, UINT64_MAX - 31, "end beyond the file's"); /* + data_at */
    expect_u64_refused(fixture, at, UINT64_MAX - 31 - fixture->writer.data_at / 32 * 32,
                       "end beyond the file's"); /* + size */
}

/* M-25 */
static void overlapping_tensors_are_refused(void **state)
{
    struct fixture *fixture = *state;
    expect_u64_refused(fixture, type_at(fixture, SAMPLE_MATRIX) + 4, 0,
                       "tensor blk.0.attn_q.weight starts inside tensor token_embd.weight");
    expect_u64_refused(fixture, type_at(fixture, SAMPLE_MATRIX) + 4, 352, "starts inside");
    expect_u64_refused(fixture, type_at(fixture, SAMPLE_VECTOR) + 4, 32, "starts inside");
}

/* M-25: unusual, but the file says plainly where everything is. */
static void gaps_and_descending_offsets_are_read(void **state)
{
    (void)state;
    struct gguf_writer writer;
    struct gguf file;
    struct error err;
    uint64_t byte_count = 0;
    const uint8_t data[160] = {[0] = 1, [32] = 2, [128] = 3};
    gguf_writer_init(&writer);
    gguf_writer_add_raw_tensor(&writer, "last", TYPE_I8, 1, (uint64_t[]){32}, data, 160);
    gguf_writer_add_raw_tensor(&writer, "middle", TYPE_I8, 1, (uint64_t[]){32}, NULL, 0);
    gguf_writer_add_raw_tensor(&writer, "first", TYPE_I8, 1, (uint64_t[]){32}, NULL, 0);
    writer.tensors[0].offset = 128;
    writer.tensors[1].offset = 32;
    writer.tensors[2].offset = 0;
    uint8_t *bytes = gguf_writer_finish(&writer, &byte_count);
    assert_int_equal(gguf_parse(&file, bytes, byte_count, "gaps.gguf", &err), OK);
    assert_int_equal(*(const uint8_t *)gguf_find_tensor(&file, "first")->tensor.data, 1);
    assert_int_equal(*(const uint8_t *)gguf_find_tensor(&file, "middle")->tensor.data, 2);
    assert_int_equal(*(const uint8_t *)gguf_find_tensor(&file, "last")->tensor.data, 3);
    gguf_close(&file);
    free(bytes);
    gguf_writer_release(&writer);
}

/* M-26: data behind the last tensor is somebody's mistake, padding is not. Zeros where weights
 * should be (a sparse tail) cannot be told from weights that are zero, and load. */
static void bytes_behind_the_last_tensor_are_refused_unless_padding(void **state)
{
    struct fixture *fixture = *state;
    uint64_t count = fixture->byte_count;
    uint8_t *longer = calloc(1, count + 65537);
    memcpy(longer, fixture->bytes, count);
    longer[count] = 1;
    expect_refused(longer, count + 1, "follow the last tensor and are no padding");
    longer[count] = 0;
    expect_accepted(longer, count + 1);
    expect_accepted(longer, count + 4096);
    expect_refused(longer, count + 65537, "follow the last tensor and are no padding");
    memset(longer + fixture->writer.data_at, 0, count - fixture->writer.data_at);
    expect_accepted(longer, count);
    free(longer);
}

static void bytes_behind_a_file_without_tensors_are_refused_unless_padding(void **state)
{
    (void)state;
    struct gguf_writer writer;
    uint64_t byte_count = 0;
    gguf_writer_init(&writer);
    gguf_writer_add_u32(&writer, "k", 1);
    uint8_t *bytes = gguf_writer_finish(&writer, &byte_count);
    uint8_t longer[256] = {0};
    memcpy(longer, bytes, byte_count);
    expect_accepted(longer, byte_count);
    expect_accepted(longer, byte_count + 40);
    longer[byte_count + 39] = 1;
    expect_refused(longer, byte_count + 40, "no padding");
    free(bytes);
    gguf_writer_release(&writer);
}

static void a_name_in_a_message_is_short_and_plain(void **state)
{
    struct fixture *fixture = *state;
    char key[301];
    struct error err;
    uint64_t byte_count = 0;
    memset(key, 'k', 300);
    memcpy(key, "\xc3\xa9", 2);
    key[300] = '\0';
    gguf_writer_add_u32(&fixture->writer, key, 1);
    gguf_writer_add_u32(&fixture->writer, key, 1);
    uint8_t *bytes = gguf_writer_finish(&fixture->writer, &byte_count);
    assert_int_equal(gguf_sample_try(bytes, byte_count, &err), ERR_FORMAT);
    assert_message(&err, "key ??kkkk");
    assert_message(&err, "kkk... is given twice");
    assert_true(strlen(err.message) < 160);
    free(bytes);
}

/* ---- blind damage ---- */

static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t x = *state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Whatever happened to the bytes: no crash, and a message of the right form if refused. */
static void expect_verdict(const uint8_t *bytes, uint64_t byte_count)
{
    struct error err = {0};
    if (gguf_sample_try(bytes, byte_count, &err) != OK) {
        assert_message(&err, "");
    }
}

/* M-49, of which fuzz_gguf.c and fuzz_safetensors.c are the other part. */
static void flipped_bits_never_crash_the_parser(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 20;
    uint8_t *damaged = malloc(fixture->byte_count);
    for (int i = 0; i < 100000; i++) {
        memcpy(damaged, fixture->bytes, fixture->byte_count);
        uint64_t flips = 1 + next_random(&random) % 3;
        for (uint64_t k = 0; k < flips; k++) {
            uint64_t bit = next_random(&random) % (8 * fixture->writer.data_at);
            damaged[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        expect_verdict(damaged, fixture->byte_count);
    }
    free(damaged);
}

static void overwritten_numbers_never_crash_the_parser(void **state)
{
    struct fixture *fixture = *state;
    static const uint64_t numbers[] = {
        0,
        1,
        2,
        31,
        32,
        255,
        65535,
        65536,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        UINT64_C(1) << 32,
        UINT64_MAX,
        INT64_MAX,
        UINT64_C(1) << 63,
        UINT64_C(1) << 62,
    };
    uint8_t *damaged = malloc(fixture->byte_count);
    for (uint64_t at = 0; at + 8 <= fixture->writer.data_at; at++) {
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            memcpy(damaged, fixture->bytes, fixture->byte_count);
            gguf_writer_patch_u64(damaged, at, numbers[i]);
            expect_verdict(damaged, fixture->byte_count);
            memcpy(damaged, fixture->bytes, fixture->byte_count);
            gguf_writer_patch_u32(damaged, at, (uint32_t)numbers[i]);
            expect_verdict(damaged, fixture->byte_count);
        }
    }
    free(damaged);
}

/* ---- files: M-36 ---- */

struct folder {
    char path[64];
};

static int make_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);
    snprintf(folder->path, sizeof folder->path, "/tmp/test_gguf_XXXXXX");
    *state = folder;
    return mkdtemp(folder->path) != NULL ? 0 : -1;
}

static int drop_folder(void **state)
{
    struct folder *folder = *state;
    int result = rmdir(folder->path);
    free(folder);
    return result;
}

static void expect_not_opened(const char *path, enum status status, const char *what)
{
    struct gguf file;
    struct error err = {0};
    assert_int_equal(gguf_open(&file, path, &err), status);
    if (strncmp(err.message, path, strlen(path)) != 0 || strstr(err.message, what) == NULL) {
        fail_msg("'%s' is not the message expected (%s)", err.message, what);
    }
    gguf_close(&file);
}

static void only_regular_files_are_opened(void **state)
{
    struct folder *folder = *state;
    char path[128];
    expect_not_opened(folder->path, ERR_INVALID, "a directory, not a regular file");
    expect_not_opened("/dev/null", ERR_INVALID, "not a regular file");
    snprintf(path, sizeof path, "%s/absent.gguf", folder->path);
    expect_not_opened(path, ERR_NOT_FOUND, "cannot be opened");
    snprintf(path, sizeof path, "%s/pipe", folder->path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_not_opened(path, ERR_INVALID, "a named pipe, not a regular file"); /* without waiting */
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/loop", folder->path);
    assert_int_equal(symlink(path, path), 0);
    expect_not_opened(path, ERR_IO, "cannot be opened");
    assert_int_equal(unlink(path), 0);
}

static void empty_and_forbidden_files_are_not_opened(void **state)
{
    struct folder *folder = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/file.gguf", folder->path);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0000);
    assert_true(fd >= 0);
    close(fd);
    if (geteuid() != 0) { /* root may read everything */
        expect_not_opened(path, ERR_IO, "cannot be opened: Permission denied");
    }
    assert_int_equal(chmod(path, 0600), 0);
    expect_not_opened(path, ERR_FORMAT, "offset 0: the file ends inside the magic number");
    assert_int_equal(unlink(path), 0);
}

static void a_mapped_file_reads_like_its_bytes(void **state)
{
    struct folder *folder = *state;
    struct gguf_writer writer;
    struct gguf file;
    struct error err = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/sample.gguf", folder->path);
    gguf_writer_init(&writer);
    gguf_sample_build(&writer);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_true(gguf_writer_save(&writer, out));
    assert_int_equal(fclose(out), 0);
    gguf_writer_release(&writer);
    assert_int_equal(gguf_open(&file, path, &err), OK);
    const struct gguf_tensor *tensor = gguf_find_tensor(&file, "token_embd.weight");
    assert_true(((const float *)tensor->tensor.data)[95] == 95.0f);
    gguf_close(&file);
    assert_int_equal(unlink(path), 0);
}

#define SAMPLE_TEST(name) cmocka_unit_test_setup_teardown(name, make_sample, drop_sample)
#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLE_TEST(sample_itself_is_accepted),
        SAMPLE_TEST(every_truncation_is_refused),
        SAMPLE_TEST(another_magic_is_refused),
        SAMPLE_TEST(unknown_versions_are_refused),
        SAMPLE_TEST(absurd_counts_are_refused),
        SAMPLE_TEST(counts_that_are_off_by_one_are_refused),
        SAMPLE_TEST(absurd_key_lengths_are_refused),
        SAMPLE_TEST(duplicate_key_is_refused),
        SAMPLE_TEST(names_that_are_not_plain_text_are_refused),
        SAMPLE_TEST(cut_sequence_is_not_completed_by_what_follows),
        SAMPLE_TEST(names_in_other_scripts_are_accepted),
        SAMPLE_TEST(unknown_value_types_are_refused),
        SAMPLE_TEST(string_longer_than_the_file_is_refused),
        SAMPLE_TEST(arrays_of_arrays_and_of_unknown_types_are_refused),
        SAMPLE_TEST(absurd_array_lengths_are_refused),
        SAMPLE_TEST(bools_other_than_0_and_1_are_refused),
        SAMPLE_TEST(impossible_alignments_are_refused),
        SAMPLE_TEST(absurd_tensor_name_lengths_are_refused),
        SAMPLE_TEST(duplicate_and_path_like_tensor_names_are_refused),
        SAMPLE_TEST(dimension_counts_beyond_1_to_4_are_refused),
        SAMPLE_TEST(dimensions_beyond_32_bits_are_refused),
        cmocka_unit_test(product_that_wraps_to_a_small_number_is_refused),
        SAMPLE_TEST(bytes_that_wrap_late_are_refused),
        cmocka_unit_test(rows_that_are_not_whole_blocks_are_refused),
        SAMPLE_TEST(unknown_and_withdrawn_tensor_types_are_refused),
        SAMPLE_TEST(offsets_outside_the_data_are_refused),
        SAMPLE_TEST(overlapping_tensors_are_refused),
        cmocka_unit_test(gaps_and_descending_offsets_are_read),
        SAMPLE_TEST(bytes_behind_the_last_tensor_are_refused_unless_padding),
        cmocka_unit_test(bytes_behind_a_file_without_tensors_are_refused_unless_padding),
        SAMPLE_TEST(a_name_in_a_message_is_short_and_plain),
        SAMPLE_TEST(flipped_bits_never_crash_the_parser),
        SAMPLE_TEST(overwritten_numbers_never_crash_the_parser),
        FOLDER_TEST(only_regular_files_are_opened),
        FOLDER_TEST(empty_and_forbidden_files_are_not_opened),
        FOLDER_TEST(a_mapped_file_reads_like_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
