/* test_mailbox.c - the way in: order, bound, refusal, and wake-ups that cannot be lost.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/mailbox.h"

#include <pthread.h>
#include <stdatomic.h>

/* A mailbox never looks into a submission, so any address will do. */
static struct submission *submission_at(uintptr_t number)
{
    return (struct submission *)number; /* NOLINT(performance-no-int-to-ptr) */
}

static struct mailbox *open_mailbox(uint32_t message_count_max)
{
    struct mailbox *mailbox = NULL;
    struct error err;
    assert_int_equal(mailbox_open(&mailbox, message_count_max, &err), OK);
    return mailbox;
}

static void submissions_come_out_in_order_round_and_round(void **state)
{
    (void)state;
    struct mailbox *mailbox = open_mailbox(3);
    uintptr_t in = 1;
    uintptr_t out = 1;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 1 + round % 3; i++) {
            assert_int_equal(mailbox_push(mailbox, submission_at(in++), NULL), OK);
        }
        while (out < in) {
            assert_ptr_equal(mailbox_take(mailbox), submission_at(out++));
        }
        assert_null(mailbox_take(mailbox));
    }
    mailbox_close(mailbox);
}

static void a_full_mailbox_refuses_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct mailbox *mailbox = open_mailbox(2);
    struct error err = {0};
    assert_int_equal(mailbox_push(mailbox, submission_at(1), &err), OK);
    assert_int_equal(mailbox_push(mailbox, submission_at(2), &err), OK);
    assert_int_equal(mailbox_push(mailbox, submission_at(3), &err), ERR_FULL);
    assert_int_equal(err.status, ERR_FULL);
    assert_non_null(strstr(err.message, "2"));
    assert_ptr_equal(mailbox_take(mailbox), submission_at(1));
    assert_int_equal(mailbox_push(mailbox, submission_at(4), &err), OK);
    assert_ptr_equal(mailbox_take(mailbox), submission_at(2));
    assert_ptr_equal(mailbox_take(mailbox), submission_at(4));
    mailbox_close(mailbox);
}

static void a_refusing_mailbox_still_gives_out_what_it_accepted(void **state)
{
    (void)state;
    struct mailbox *mailbox = open_mailbox(4);
    assert_int_equal(mailbox_push(mailbox, submission_at(1), NULL), OK);
    mailbox_refuse(mailbox);
    assert_int_equal(mailbox_push(mailbox, submission_at(2), NULL), ERR_CANCELLED);
    assert_ptr_equal(mailbox_take(mailbox), submission_at(1));
    assert_null(mailbox_take(mailbox));
    mailbox_close(mailbox);
}

static void a_wake_before_the_wait_is_not_lost(void **state)
{
    (void)state;
    struct mailbox *mailbox = open_mailbox(1);
    mailbox_wake(mailbox);
    mailbox_wait(mailbox, UINT64_C(3600000000)); /* would hang for an hour */
    assert_int_equal(mailbox_push(mailbox, submission_at(1), NULL), OK);
    mailbox_wait(mailbox, UINT64_C(3600000000));
    mailbox_wait(mailbox, UINT64_C(3600000000)); /* still there: returns again */
    assert_non_null(mailbox_take(mailbox));
    mailbox_wait(mailbox, 1000); /* nothing left: the time runs out */
    mailbox_close(mailbox);
}

enum {
    PUSHERS = 4,
    PUSHES_EACH = 5000
};

struct pusher {
    struct mailbox *mailbox;
    uintptr_t first;
    uint32_t refused;
};

static void *push_many(void *context)
{
    struct pusher *pusher = context;
    for (uintptr_t i = 0; i < PUSHES_EACH; i++) {
        while (mailbox_push(pusher->mailbox, submission_at(pusher->first + i), NULL) != OK) {
            pusher->refused++;
        }
    }
    return NULL;
}

static void many_threads_push_and_nothing_is_lost_or_reordered(void **state)
{
    (void)state;
    struct mailbox *mailbox = open_mailbox(8);
    struct pusher pushers[PUSHERS];
    pthread_t threads[PUSHERS];
    uintptr_t next[PUSHERS] = {0};
    for (uintptr_t i = 0; i < PUSHERS; i++) {
        pushers[i] = (struct pusher){.mailbox = mailbox, .first = 1 + i * PUSHES_EACH};
        assert_int_equal(pthread_create(&threads[i], NULL, push_many, &pushers[i]), 0);
    }
    for (uint32_t taken = 0; taken < PUSHERS * PUSHES_EACH;) {
        struct submission *submission = mailbox_take(mailbox);
        if (submission == NULL) {
            mailbox_wait(mailbox, MAILBOX_NO_TIMEOUT);
            continue;
        }
        uintptr_t number = (uintptr_t)submission - 1;
        assert_int_equal(number % PUSHES_EACH, next[number / PUSHES_EACH]);
        next[number / PUSHES_EACH]++;
        taken++;
    }
    for (uint32_t i = 0; i < PUSHERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_null(mailbox_take(mailbox));
    mailbox_close(mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(submissions_come_out_in_order_round_and_round),
        cmocka_unit_test(a_full_mailbox_refuses_and_keeps_what_it_has),
        cmocka_unit_test(a_refusing_mailbox_still_gives_out_what_it_accepted),
        cmocka_unit_test(a_wake_before_the_wait_is_not_lost),
        cmocka_unit_test(many_threads_push_and_nothing_is_lost_or_reordered),
    };
    return cmocka_run_group_tests_name("mailbox", tests, NULL, NULL);
}
