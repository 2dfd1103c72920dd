/* A model in three files reads like the one it was cut from; parts that are missing, of another
 * model or in another's place are refused by name (M-31).
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/model_file.h"
#include "tests/support/gguf_writer.h"

#include <unistd.h>

enum {
    PARTS = 3
};

static const char *const whole_path = "configs/demo/sluice-demo-draft.gguf";

struct folder {
    char path[64];
    struct gguf whole;
};

/* What a part says of itself, and which tensors it has: those i with i % PARTS == tensors. */
struct part {
    uint32_t no;
    uint32_t count;
    uint32_t tensor_count;
    uint32_t tensors;
};

static void part_path(char *path, const struct folder *folder, int part)
{
    snprintf(path, 128, "%s/m-%05d-of-%05d.gguf", folder->path, part + 1, PARTS);
}

static void write_part(const struct folder *folder, int place, struct part part)
{
    struct gguf_writer writer;
    char path[128];
    gguf_writer_init(&writer);
    gguf_writer_copy(&writer, &folder->whole);
    for (uint64_t i = 0; i < folder->whole.tensor_count; i++) {
        if (i % PARTS != part.tensors) {
            struct gguf_string name = folder->whole.tensors[i].name;
            char text[80];
            snprintf(text, sizeof text, "%.*s", (int)name.byte_count, name.bytes);
            assert_true(gguf_writer_remove_tensor(&writer, text));
        }
    }
    gguf_writer_add_u32(&writer, "split.no", part.no);
    gguf_writer_add_u32(&writer, "split.count", part.count);
    gguf_writer_add_u32(&writer, "split.tensors.count", part.tensor_count);
    part_path(path, folder, place);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_true(gguf_writer_save(&writer, out));
    assert_int_equal(fclose(out), 0);
    gguf_writer_release(&writer);
}

static struct part right_part(const struct folder *folder, int place)
{
    return (struct part){
        .no = (uint32_t)place,
        .count = PARTS,
        .tensor_count = (uint32_t)folder->whole.tensor_count,
        .tensors = (uint32_t)place,
    };
}

static int make_parts(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);
    struct error err;
    snprintf(folder->path, sizeof folder->path, "/tmp/test_split_XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    assert_int_equal(gguf_open(&folder->whole, whole_path, &err), OK);
    for (int part = 0; part < PARTS; part++) {
        write_part(folder, part, right_part(folder, part));
    }
    *state = folder;
    return 0;
}

static int drop_parts(void **state)
{
    struct folder *folder = *state;
    for (int part = 0; part < PARTS; part++) {
        char path[128];
        part_path(path, folder, part);
        unlink(path);
    }
    rmdir(folder->path);
    gguf_close(&folder->whole);
    free(folder);
    return 0;
}

static void parts_read_like_the_whole(void **state)
{
    const struct folder *folder = *state;
    struct gguf file;
    struct error err = {0};
    char path[128];
    part_path(path, folder, 0);
    if (model_file_open(&file, path, &err) != OK) {
        fail_msg("refused: %s", err.message);
    }
    assert_int_equal(file.tensor_count, folder->whole.tensor_count);
    for (uint64_t i = 0; i < folder->whole.tensor_count; i++) {
        const struct gguf_tensor *expected = &folder->whole.tensors[i];
        char name[80];
        snprintf(name, sizeof name, "%.*s", (int)expected->name.byte_count, expected->name.bytes);
        const struct gguf_tensor *found = gguf_find_tensor(&file, name);
        assert_non_null(found);
        assert_int_equal(found->byte_count, expected->byte_count);
        assert_memory_equal(found->tensor.data, expected->tensor.data, expected->byte_count);
    }
    gguf_close(&file);
}

static void expect_refused(const struct folder *folder, int first, const char *what)
{
    struct gguf file;
    struct error err = {0};
    char path[128];
    part_path(path, folder, first);
    if (model_file_open(&file, path, &err) == OK || strstr(err.message, what) == NULL) {
        fail_msg("'%s' is not the message expected (%s)", err.message, what);
    }
    gguf_close(&file);
}

/* Parts that agree about a number of tensors, which is not theirs; then one tensor in two parts. */
static void write_wrong_tensors(const struct folder *folder)
{
    uint32_t doubled = 0;
    for (uint32_t i = 0; i < folder->whole.tensor_count; i++) {
        doubled += i % PARTS == 2 ? 0 : 1 + (i % PARTS == 0);
    }
    for (int place = 0; place < PARTS; place++) {
        struct part part = right_part(folder, place);
        part.tensor_count++;
        write_part(folder, place, part);
    }
    expect_refused(folder, 0, "but its parts have");
    for (int place = 0; place < PARTS; place++) {
        struct part part = right_part(folder, place);
        part.tensor_count = doubled;
        part.tensors %= 2;
        write_part(folder, place, part);
    }
    expect_refused(folder, 0, "is in two parts");
}

static void wrong_parts_are_refused(void **state)
{
    const struct folder *folder = *state;
    char path[128];
    expect_refused(folder, 1, "split.no is 1, limits 0 and 0");
    struct part part = right_part(folder, 1);
    part.no = 2;
    write_part(folder, 1, part);
    expect_refused(folder, 0, "split.no is 2, limits 1 and 1");
    part = right_part(folder, 1);
    part.count = PARTS + 1;
    write_part(folder, 1, part);
    expect_refused(folder, 0, "split.count is 4, limits 3 and 3");
    part = right_part(folder, 1);
    part.tensor_count++;
    write_part(folder, 1, part);
    expect_refused(folder, 0, "split.tensors.count is");
    part = right_part(folder, 0);
    part.count = PARTS + 1;
    write_part(folder, 0, part);
    expect_refused(folder, 0, "first part's name must end with -00001-of-00004.gguf");
    write_wrong_tensors(folder);
    part_path(path, folder, 2);
    unlink(path);
    expect_refused(folder, 0, "m-00003-of-00003.gguf: cannot be opened");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(parts_read_like_the_whole, make_parts, drop_parts),
        cmocka_unit_test_setup_teardown(wrong_parts_are_refused, make_parts, drop_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
