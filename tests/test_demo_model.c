/* The embedded model is the file of configs/demo, and its companion file holds the heads that
 * configs/demo/README.md documents. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/demo_model.h"
#include "engine/engine.h"

static void embedded_bytes_are_the_file(void **state)
{
    (void)state;
    struct error err;
    struct gguf inside;
    struct gguf file;
    assert_int_equal(demo_model_open(&inside, &err), OK);
    assert_int_equal(gguf_open(&file, "configs/demo/sluice-demo.gguf", &err), OK);
    assert_int_equal(inside.byte_count, file.byte_count);
    assert_memory_equal(inside.bytes, file.bytes, file.byte_count);
    struct gguf_string name = {0};
    assert_int_equal(gguf_get_string(&inside, "general.name", true, &name, &err), OK);
    assert_true(gguf_string_equal(name, ENGINE_DEMO_NAME));
    gguf_close(&file);
    gguf_close(&inside);
}

static char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static void a_config_without_model_plans_for_it(void **state)
{
    (void)state;
    char program[] = "sluiced";
    char *arguments[] = {program, NULL};
    struct config config;
    struct error err;
    struct engine_plan plan;
    assert_int_equal(config_load(&config, 1, arguments, no_environment, &err), OK);
    assert_int_equal(engine_plan(&config, &plan, &err), OK);
    assert_int_equal(plan.context_tokens, 1024);
    assert_in_range(plan.weight_bytes, 1, 10000000);
    config_release(&config);
}

static void expect_tensor(const struct gguf *file, const char *name, uint64_t rows, uint64_t values)
{
    const struct gguf_tensor *found = gguf_find_tensor(file, name);
    if (found == NULL) {
        fail_msg("no tensor %s", name);
        return;
    }
    assert_int_equal(tensor_row_values(&found->tensor), values);
    assert_int_equal(tensor_row_count(&found->tensor), rows);
}

static void the_heads_are_there(void **state)
{
    (void)state;
    enum {
        DIM = 256,
        JOINED_DIM = 512,
        VOCABULARY = 2048,
        LAYER = 8,
        HEADS = 3
    };
    struct error err;
    struct gguf file;
    char name[64];
    assert_int_equal(gguf_open(&file, "configs/demo/sluice-demo-heads.gguf", &err), OK);
    for (int i = 0; i < HEADS; i++) {
        snprintf(name, sizeof name, "medusa.%d.linear.weight", i);
        expect_tensor(&file, name, DIM, DIM);
        snprintf(name, sizeof name, "medusa.%d.linear.bias", i);
        expect_tensor(&file, name, 1, DIM);
        snprintf(name, sizeof name, "medusa.%d.output.weight", i);
        expect_tensor(&file, name, VOCABULARY, DIM);
    }
    snprintf(name, sizeof name, "blk.%d.nextn.eh_proj.weight", LAYER);
    expect_tensor(&file, name, DIM, JOINED_DIM);
    static const char *const norms[] = {"nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm",
                                        "attn_norm", "ffn_norm"};
    for (size_t i = 0; i < sizeof norms / sizeof norms[0]; i++) {
        snprintf(name, sizeof name, "blk.%d.%s.weight", LAYER, norms[i]);
        expect_tensor(&file, name, 1, DIM);
    }
    gguf_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embedded_bytes_are_the_file),
        cmocka_unit_test(a_config_without_model_plans_for_it),
        cmocka_unit_test(the_heads_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
