/* model_fixture.c - the backend here only takes weights where they lie: opening a model needs
 * nothing else of one. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/model_fixture.h"

#include "tests/test.h"

static const char *const path = "changed.gguf";

static uint32_t import_count;

static enum status take_weight(struct backend *be, struct tensor *weight, struct error *err)
{
    (void)be;
    (void)weight;
    (void)err;
    import_count++;
    return OK;
}

static const struct backend_ops weight_ops = {.name = "weights", .weight_import = take_weight};
static struct backend weight_backend = {.ops = &weight_ops};

void model_fixture_start(struct model_fixture *fixture, const char *arch)
{
    memset(fixture, 0, sizeof *fixture);
    import_count = 0;
    assert_true(synth_model_preset(&fixture->options, "micro"));
    fixture->options.arch = arch;
    gguf_writer_init(&fixture->writer);
    assert_true(synth_model_build(&fixture->writer, &fixture->options));
}

void model_fixture_finish(struct model_fixture *fixture)
{
    model_close(&fixture->model);
    gguf_close(&fixture->file);
    free(fixture->bytes);
    gguf_writer_release(&fixture->writer);
}

uint32_t model_fixture_imports(void)
{
    return import_count;
}

static const char *key_of(const struct model_fixture *fixture, const char *suffix)
{
    static char key[128];
    snprintf(key, sizeof key, "%s.%s", fixture->options.arch, suffix);
    return key;
}

void model_fixture_set_u32(struct model_fixture *fixture, const char *suffix, uint32_t value)
{
    const char *key = key_of(fixture, suffix);
    gguf_writer_remove(&fixture->writer, key);
    gguf_writer_add_u32(&fixture->writer, key, value);
}

void model_fixture_set_f32(struct model_fixture *fixture, const char *suffix, float value)
{
    const char *key = key_of(fixture, suffix);
    gguf_writer_remove(&fixture->writer, key);
    gguf_writer_add_f32(&fixture->writer, key, value);
}

void model_fixture_remove_key(struct model_fixture *fixture, const char *suffix)
{
    gguf_writer_remove(&fixture->writer, key_of(fixture, suffix));
}

void model_fixture_set_string(struct model_fixture *fixture, const char *key, const char *value)
{
    gguf_writer_remove(&fixture->writer, key);
    gguf_writer_add_string(&fixture->writer, key, value);
}

void model_fixture_set_tensor(struct model_fixture *fixture, const char *name, enum dtype dtype,
                              uint32_t dim_count, const uint64_t *shape)
{
    gguf_writer_remove_tensor(&fixture->writer, name);
    gguf_writer_add_tensor(&fixture->writer, name, dtype, dim_count, shape, NULL);
}

void model_fixture_parse(struct model_fixture *fixture)
{
    uint64_t byte_count = 0;
    fixture->bytes = gguf_writer_finish(&fixture->writer, &byte_count);
    if (gguf_parse(&fixture->file, fixture->bytes, byte_count, path, &fixture->err) != OK) {
        fail_msg("%s", fixture->err.message);
    }
}

void model_fixture_open_valid(struct model_fixture *fixture)
{
    model_fixture_parse(fixture);
    if (model_open(&fixture->model, &fixture->file, &weight_backend, NULL, &fixture->err) != OK) {
        fail_msg("%s", fixture->err.message);
    }
}

void model_fixture_expect_refusal(struct model_fixture *fixture, enum status expected,
                                  const char *const words[])
{
    model_fixture_parse(fixture);
    enum status status =
        model_open(&fixture->model, &fixture->file, &weight_backend, NULL, &fixture->err);
    const char *message = fixture->err.message;
    if (status != expected) {
        fail_msg("status %d, not %d: %s", status, expected, message);
    }
    assert_int_equal(fixture->err.status, expected);
    assert_null(strchr(message, '\n'));
    assert_non_null(strstr(message, path));
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strstr(message, words[i]) == NULL) {
            fail_msg("\"%s\" is not in: %s", words[i], message);
        }
    }
    model_fixture_finish(fixture);
}
