/* test_error.c - messages are filled, prefixed and cut without ever failing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "configs/checked.h"
#include "configs/error.h"

static void error_set_fills_message_and_returns_status(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(error_set(&err, ERR_IO, "%s: %d", "file", 7), ERR_IO);
    assert_int_equal(err.status, ERR_IO);
    assert_string_equal(err.message, "file: 7");
}

static void error_prefix_keeps_what_was_there(void **state)
{
    (void)state;
    struct error err;
    error_set(&err, ERR_FORMAT, "bad magic");
    assert_int_equal(error_prefix(&err, "%s: ", "model.gguf"), ERR_FORMAT);
    assert_string_equal(err.message, "model.gguf: bad magic");
}

static void long_messages_are_cut_and_terminated(void **state)
{
    (void)state;
    char longer[2 * ERROR_MESSAGE_BYTES];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    struct error err;
    error_set(&err, ERR_INVALID, "%s", longer);
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_BYTES - 1);
    error_prefix(&err, "%s", longer);
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_BYTES - 1);
    assert_int_equal(err.status, ERR_INVALID);
}

static void nobody_has_to_read_the_error(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, ERR_FULL, "queue"), ERR_FULL);
}

static void every_status_has_a_name(void **state)
{
    (void)state;
    for (int status = ERR_DEVICE; status <= OK; status++) {
        assert_string_not_equal(error_status_name((enum status)status), "unknown");
    }
}

static void checked_arithmetic_says_when_it_does_not_fit(void **state)
{
    (void)state;
    uint64_t out;
    assert_true(checked_mul_u64(UINT64_C(1) << 32, (UINT64_C(1) << 32) - 1, &out));
    assert_false(checked_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &out));
    assert_true(checked_add_u64(UINT64_MAX - 1, 1, &out));
    assert_false(checked_add_u64(UINT64_MAX, 1, &out));
    assert_true(checked_align_u64(33, 32, &out));
    assert_int_equal(out, 64);
    assert_true(checked_align_u64(64, 32, &out));
    assert_int_equal(out, 64);
    assert_false(checked_align_u64(UINT64_MAX - 3, 32, &out));
    uint32_t narrow;
    assert_true(checked_u32(UINT32_MAX, &narrow));
    assert_false(checked_u32((uint64_t)UINT32_MAX + 1, &narrow));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_set_fills_message_and_returns_status),
        cmocka_unit_test(error_prefix_keeps_what_was_there),
        cmocka_unit_test(long_messages_are_cut_and_terminated),
        cmocka_unit_test(nobody_has_to_read_the_error),
        cmocka_unit_test(every_status_has_a_name),
        cmocka_unit_test(checked_arithmetic_says_when_it_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
