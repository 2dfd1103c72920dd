/* test_batch.c - the flat arrays of a step.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "scheduler/batch.h"
#include "scheduler/request.h"

static uint32_t token_ids[2][12];
static uint32_t block_ids[2][3] = {{6, 1, 4}, {0, 5, 2}};
static struct request requests[2];
static struct batch batch;

static int open_batch(void **state)
{
    (void)state;
    memset(requests, 0, sizeof requests);
    for (uint32_t r = 0; r < 2; r++) {
        for (uint32_t i = 0; i < 12; i++) {
            token_ids[r][i] = 100 * (r + 1) + i;
        }
        requests[r].spec.token_ids = token_ids[r];
        requests[r].token_count = 9;
        requests[r].arrival_number = 50 + r;
        requests[r].kv.table = (struct block_table){block_ids[r], 3, 3};
    }
    return batch_init(&batch, 10, 2, 6, NULL) == OK ? 0 : -1;
}

static int close_batch(void **state)
{
    (void)state;
    batch_release(&batch);
    assert_null(batch.token_ids);
    batch_release(&batch); /* accepts an empty one */
    return 0;
}

static void span_carries_tokens_positions_and_slots(void **state)
{
    (void)state;
    requests[0].computed_tokens = 2;
    batch_add(&batch, &requests[0], 5, 0, 0, 4);
    const uint32_t slots[] = {26, 27, 4, 5, 6};
    assert_int_equal(batch.token_count, 5);
    assert_int_equal(batch.logits_count, 0);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(batch.token_ids[i], 102 + i);
        assert_int_equal(batch.positions[i], 2 + i);
        assert_int_equal(batch.slots[i], slots[i]);
    }
    const struct span *span = &batch.spans[0];
    assert_ptr_equal(span->request, &requests[0]);
    assert_int_equal(span->request_number, 50);
    assert_int_equal(span->start, 2);
    assert_int_equal(span->row_count, 5);
    assert_ptr_equal(span->block_ids, block_ids[0]);
}

static void spans_lie_one_behind_the_other(void **state)
{
    (void)state;
    requests[0].computed_tokens = 8;
    requests[1].computed_tokens = 3;
    batch_add(&batch, &requests[0], 1, 0, 1, 4);
    batch_add(&batch, &requests[1], 6, 0, 2, 4);
    assert_int_equal(batch.span_count, 2);
    assert_int_equal(batch.spans[1].first_row, 1);
    assert_int_equal(batch.spans[1].first_logits, 1);
    assert_int_equal(batch.spans[1].logits_count, 2);
    const uint32_t rows[] = {0, 5, 6};
    assert_int_equal(batch.logits_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(batch.logits_rows[i], rows[i]);
    }
    assert_int_equal(batch.token_ids[0], 108);
    assert_int_equal(batch.slots[0], 16);
    assert_int_equal(batch.token_ids[6], 208);
}

static void guesses_are_rows_behind_the_last_token(void **state)
{
    (void)state;
    requests[0].computed_tokens = 8;
    batch_add(&batch, &requests[0], 4, 3, 4, 4);
    assert_int_equal(batch.spans[0].guess_count, 3);
    assert_int_equal(batch.logits_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(batch.token_ids[i], 108 + i);
        assert_int_equal(batch.logits_rows[i], i);
    }
}

static void reset_batch_is_empty_and_full_again(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 3; round++) {
        batch_reset(&batch);
        assert_int_equal(batch.token_count + batch.span_count + batch.logits_count, 0);
        requests[0].computed_tokens = 0;
        requests[1].computed_tokens = 0;
        batch_add(&batch, &requests[0], 5, 0, 3, 4);
        batch_add(&batch, &requests[1], 5, 0, 3, 4);
        assert_int_equal(batch.token_count, batch.token_count_max);
        assert_int_equal(batch.span_count, batch.span_count_max);
        assert_int_equal(batch.logits_count, batch.logits_count_max);
    }
}

static void batch_without_room_is_refused(void **state)
{
    (void)state;
    struct batch none;
    struct error err = {0};
    assert_int_equal(batch_init(&none, 0, 1, 1, &err), ERR_INVALID);
    batch_release(&none);
    assert_int_equal(batch_init(&none, 1, 0, 1, &err), ERR_INVALID);
    batch_release(&none);
    assert_int_equal(batch_init(&none, 1, 1, 0, &err), ERR_INVALID);
    batch_release(&none);
}

int main(void)
{
#define BATCH_TEST(name) cmocka_unit_test_setup_teardown(name, open_batch, close_batch)
    const struct CMUnitTest tests[] = {
        BATCH_TEST(span_carries_tokens_positions_and_slots),
        BATCH_TEST(spans_lie_one_behind_the_other),
        BATCH_TEST(guesses_are_rows_behind_the_last_token),
        BATCH_TEST(reset_batch_is_empty_and_full_again),
        cmocka_unit_test(batch_without_room_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
