/* test_memory_plan.c - sizes worked out from settings, a model's shape and a machine's memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/memory_plan.h"

static char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

struct plan_case {
    struct config config;
    struct model_params params;
    struct weights_memory weights;
    struct memory_plan plan;
    struct error err;
};

/* Defaults, and a model of 2 layers, 2 KV heads of 16: 256 bytes a token in f16. */
static void start(struct plan_case *c)
{
    memset(c, 0, sizeof *c);
    char *arguments[] = {(char *)"sluiced", (char *)"--model", (char *)"m.gguf"};
    assert_int_equal(config_load(&c->config, 3, arguments, no_environment, &c->err), OK);
    c->weights = (struct weights_memory){.packed_bytes = 3000};
    c->config.max_num_seqs = 4;
    c->config.max_waiting = 10;
    c->config.block_size = 16;
    c->params = (struct model_params){
        .architecture = "llama",
        .layer_count = 2,
        .dim = 64,
        .head_count = 4,
        .kv_head_count = 2,
        .head_dim = 16,
        .ffn_dim = 160,
        .vocab_count = 384,
        .context_tokens = 1000,
        .rotary_dim = 16,
    };
}

static enum status make(struct plan_case *c, uint64_t machine_bytes)
{
    return memory_plan_make(&c->plan, &c->config, &c->params, 5000, &c->weights, machine_bytes,
                            &c->err);
}

static void finish(struct plan_case *c)
{
    config_release(&c->config);
}

static void default_pool_has_room_for_every_running_request(void **state)
{
    (void)state;
    struct plan_case c;
    start(&c);
    assert_int_equal(make(&c, UINT64_C(1) << 40), OK);
    assert_int_equal(c.plan.totals.block_bytes, 16 * 256);
    assert_int_equal(c.plan.totals.block_count, 4 * 63); /* 1000 tokens lie in 63 blocks */
    assert_int_equal(c.plan.totals.context_tokens, 1000);
    assert_int_equal(c.plan.cache.request_tokens_max, 1000);
    assert_int_equal(c.plan.scheduler.running_max, 4);
    assert_int_equal(c.plan.scheduler.waiting_max, 14);
    assert_true(c.plan.scheduler.logits_rows_max >= 4);
    finish(&c);
}

static void default_pool_is_at_most_a_quarter_of_the_machine(void **state)
{
    (void)state;
    struct plan_case c;
    start(&c);
    assert_int_equal(make(&c, UINT64_C(4) * 100 * 4096), OK);
    assert_int_equal(c.plan.totals.block_count, 100);
    assert_int_equal(c.plan.totals.context_tokens, 1000);
    assert_int_equal(make(&c, UINT64_C(4) * 10 * 4096),
                     OK); /* less than one request of full length */
    assert_int_equal(c.plan.totals.context_tokens, 160);
    finish(&c);
}

/* 24 values and 8 that are rotated, in one vector for all heads, once: 128 bytes a token. */
static void latent_attention_takes_the_room_of_its_vectors(void **state)
{
    (void)state;
    struct plan_case c;
    start(&c);
    c.params.kv_head_count = 1;
    c.params.head_dim = 32;
    c.params.rotary_dim = 8;
    c.params.latent = (struct latent_params){.kv_rank = 24, .still_dim = 8, .value_dim = 12};
    assert_int_equal(make(&c, UINT64_C(1) << 40), OK);
    assert_true(c.plan.store.keys_are_values);
    assert_int_equal(c.plan.totals.block_bytes, 16 * 128);
    assert_int_equal(c.plan.totals.kv_bytes, c.plan.totals.block_count * 16 * 128);
    finish(&c);
}

static void a_given_pool_is_taken_as_it_is(void **state)
{
    (void)state;
    struct plan_case c;
    start(&c);
    c.config.kv_cache_memory_bytes = 7 * 4096 + 4095;
    assert_int_equal(make(&c, 1), OK);
    assert_int_equal(c.plan.totals.block_count, 7);
    assert_int_equal(c.plan.totals.kv_bytes, 7 * 4096);
    assert_int_equal(c.plan.totals.context_tokens, 112);
    free(c.config.kv_cache_dtype);
    c.config.kv_cache_dtype = strdup("f32");
    assert_int_equal(make(&c, 1), OK);
    assert_int_equal(c.plan.totals.block_count, 3);
    finish(&c);
}

static void slots_never_exceed_32_bits(void **state)
{
    (void)state;
    struct plan_case c;
    start(&c);
    c.config.block_size = 1024;
    c.config.kv_cache_memory_bytes = UINT64_C(1) << 50;
    assert_int_equal(make(&c, UINT64_C(1) << 50), OK);
    assert_true((uint64_t)c.plan.totals.block_count * 1024 <= UINT32_MAX);
    assert_true(c.plan.totals.block_count > 4000000);
    finish(&c);
}

static void totals_add_up_and_grow_with_what_is_asked(void **state)
{
    (void)state;
    struct plan_case c;
    start(&c);
    assert_int_equal(make(&c, UINT64_C(1) << 40), OK);
    const struct engine_plan small = c.plan.totals;
    assert_int_equal(small.weight_bytes, 5000);
    assert_int_equal(small.total_bytes, small.weight_bytes + 3000 + small.kv_bytes +
                                            small.workspace_bytes + small.request_bytes);
    c.config.max_waiting = 1000;
    c.config.max_num_batched_tokens *= 2;
    assert_int_equal(make(&c, UINT64_C(1) << 40), OK);
    assert_int_equal(c.plan.totals.kv_bytes, small.kv_bytes);
    /* 990 more requests, each with its struct and a table of 63 blocks */
    assert_true(c.plan.totals.request_bytes >=
                small.request_bytes + 990 * (sizeof(struct request) + 63 * sizeof(uint32_t)));
    assert_true(c.plan.totals.workspace_bytes > small.workspace_bytes);
    finish(&c);
}

static void integers_of_the_inputs_count_as_scratch_memory(void **state)
{
    (void)state;
    struct plan_case c;
    start(&c);
    assert_int_equal(make(&c, UINT64_C(1) << 40), OK);
    const struct engine_plan without = c.plan.totals;
    c.weights.input_bytes = 147456;
    assert_int_equal(make(&c, UINT64_C(1) << 40), OK);
    assert_int_equal(c.plan.totals.workspace_bytes, without.workspace_bytes + 147456);
    assert_int_equal(c.plan.totals.total_bytes, without.total_bytes + 147456);
    assert_int_equal(c.plan.totals.packed_bytes, 3000);
    finish(&c);
}

/* A row that uses 4 experts has 4 inputs, 4 outputs and 4 times the width between. */
static void experts_count_for_as_many_as_a_row_uses(void **state)
{
    (void)state;
    struct plan_case c;
    start(&c);
    c.params.ffn_dim = 0;
    c.params.expert_count = 32;
    c.params.expert_used_count = 2;
    c.params.expert_ffn_dim = 96;
    assert_int_equal(make(&c, UINT64_C(1) << 40), OK);
    uint64_t two = c.plan.totals.workspace_bytes;
    c.params.expert_used_count = 4;
    assert_int_equal(make(&c, UINT64_C(1) << 40), OK);
    uint64_t rows = c.config.max_num_batched_tokens;
    uint64_t more = rows * 2 * (64 + 2 * 96 + 3) * sizeof(float);
    assert_int_equal(c.plan.totals.workspace_bytes, two + more);
    c.params.shared_ffn_dim = 96;
    assert_int_equal(make(&c, UINT64_C(1) << 40), OK);
    assert_int_equal(c.plan.totals.workspace_bytes, two + more + rows * 65 * sizeof(float));
    finish(&c);
}

static void impossible_settings_are_refused_by_name_and_number(void **state)
{
    (void)state;
    struct plan_case c;
    start(&c);
    c.config.max_model_len = 1001;
    assert_int_equal(make(&c, UINT64_C(1) << 40), ERR_INVALID);
    assert_non_null(strstr(c.err.message, "max-model-len is 1001"));
    assert_non_null(strstr(c.err.message, "1000"));

    c.config.max_model_len = 500;
    assert_int_equal(make(&c, UINT64_C(1) << 40), OK);
    assert_int_equal(c.plan.totals.context_tokens, 500);

    c.config.kv_cache_memory_bytes = 4095;
    assert_int_equal(make(&c, UINT64_C(1) << 40), ERR_INVALID);
    assert_non_null(strstr(c.err.message, "kv-cache-memory-bytes is 4095"));
    assert_non_null(strstr(c.err.message, "4096"));

    c.config.kv_cache_memory_bytes = 0;
    assert_int_equal(make(&c, 4096), ERR_INVALID); /* a quarter of that holds no block */
    finish(&c);
}

static void a_block_of_one_token_still_needs_two(void **state)
{
    (void)state;
    struct plan_case c;
    start(&c);
    c.config.block_size = 1;
    c.config.kv_cache_memory_bytes = 256;
    assert_int_equal(make(&c, 1), ERR_INVALID);
    c.config.kv_cache_memory_bytes = 512;
    assert_int_equal(make(&c, 1), OK);
    assert_int_equal(c.plan.totals.context_tokens, 2);
    finish(&c);
}

static void this_machine_has_memory(void **state)
{
    (void)state;
    assert_true(memory_plan_machine_bytes() > UINT64_C(1) << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_pool_has_room_for_every_running_request),
        cmocka_unit_test(default_pool_is_at_most_a_quarter_of_the_machine),
        cmocka_unit_test(latent_attention_takes_the_room_of_its_vectors),
        cmocka_unit_test(a_given_pool_is_taken_as_it_is),
        cmocka_unit_test(slots_never_exceed_32_bits),
        cmocka_unit_test(totals_add_up_and_grow_with_what_is_asked),
        cmocka_unit_test(integers_of_the_inputs_count_as_scratch_memory),
        cmocka_unit_test(experts_count_for_as_many_as_a_row_uses),
        cmocka_unit_test(impossible_settings_are_refused_by_name_and_number),
        cmocka_unit_test(a_block_of_one_token_still_needs_two),
        cmocka_unit_test(this_machine_has_memory),
    };
    return cmocka_run_group_tests_name("memory plan", tests, NULL, NULL);
}
