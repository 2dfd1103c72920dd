/* test_policy.c - each policy is a total order, and the order its name says.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "scheduler/policy.h"

enum {
    REQUESTS = 36
};

static struct request requests[REQUESTS];

/* All combinations of 3 priorities, 3 times, 2 of the same time; in an order of no meaning. */
static int open_requests(void **state)
{
    (void)state;
    memset(requests, 0, sizeof requests);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        uint32_t shuffled = i * 17 % REQUESTS;
        requests[i].spec.priority = (int32_t)(shuffled % 3) - 1;
        requests[i].spec.arrival_us = shuffled / 3 % 3;
        requests[i].arrival_number = i + 1;
    }
    return 0;
}

static void unknown_policy_is_not_found(void **state)
{
    (void)state;
    assert_null(policy_find("lifo"));
    assert_null(policy_find(""));
    assert_string_equal(policy_find("fcfs")->name, "fcfs");
    assert_string_equal(policy_find("priority")->name, "priority");
}

static void every_policy_is_a_total_order(void **state)
{
    (void)state;
    const char *const names[] = {"fcfs", "priority"};
    for (uint32_t n = 0; n < 2; n++) {
        policy_compare_fn compare = policy_find(names[n])->compare;
        for (uint32_t i = 0; i < REQUESTS; i++) {
            for (uint32_t j = 0; j < REQUESTS; j++) {
                int order = compare(&requests[i], &requests[j]);
                assert_true((order == 0) == (i == j));
                assert_true((order < 0) == (compare(&requests[j], &requests[i]) > 0));
                for (uint32_t k = 0; k < REQUESTS && order < 0; k++) {
                    assert_true(compare(&requests[j], &requests[k]) >= 0 ||
                                compare(&requests[i], &requests[k]) < 0);
                }
            }
        }
    }
}

static void fcfs_looks_at_arrival_alone(void **state)
{
    (void)state;
    policy_compare_fn compare = policy_find("fcfs")->compare;
    struct request early = {.spec = {.priority = 9, .arrival_us = 1}, .arrival_number = 7};
    struct request late = {.spec = {.priority = -9, .arrival_us = 2}, .arrival_number = 6};
    assert_true(compare(&early, &late) < 0);
    late.spec.arrival_us = 1; /* at the same time: the one that was added first */
    assert_true(compare(&late, &early) < 0);
}

static void priority_runs_lower_numbers_first_then_by_arrival(void **state)
{
    (void)state;
    policy_compare_fn compare = policy_find("priority")->compare;
    struct request urgent = {.spec = {.priority = INT32_MIN, .arrival_us = 9}, .arrival_number = 9};
    struct request lazy = {.spec = {.priority = INT32_MAX, .arrival_us = 1}, .arrival_number = 1};
    assert_true(compare(&urgent, &lazy) < 0);
    urgent.spec.priority = INT32_MAX;
    assert_true(compare(&lazy, &urgent) < 0);
}

static void pushed_requests_stand_in_order_and_come_back_to_their_place(void **state)
{
    (void)state;
    const char *const names[] = {"fcfs", "priority"};
    for (uint32_t n = 0; n < 2; n++) {
        const struct policy *policy = policy_find(names[n]);
        struct request_queue queue = {0};
        open_requests(NULL);
        for (uint32_t i = 0; i < REQUESTS; i++) {
            policy_push(policy, &queue, &requests[i]);
        }
        const struct request *order[REQUESTS];
        uint32_t count = 0;
        for (const struct request *r = queue.head; r != NULL; r = r->next) {
            assert_true(count == 0 || policy->compare(order[count - 1], r) < 0);
            order[count++] = r;
        }
        assert_int_equal(count, REQUESTS);
        for (uint32_t i = 0; i < REQUESTS; i += 5) {
            request_queue_remove(&queue, &requests[i]);
        }
        for (uint32_t i = 0; i < REQUESTS; i += 5) {
            policy_push(policy, &queue, &requests[i]);
        }
        count = 0;
        for (const struct request *r = queue.head; r != NULL; r = r->next) {
            assert_ptr_equal(order[count], r);
            count++;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_policy_is_not_found),
        cmocka_unit_test_setup(every_policy_is_a_total_order, open_requests),
        cmocka_unit_test(fcfs_looks_at_arrival_alone),
        cmocka_unit_test(priority_runs_lower_numbers_first_then_by_arrival),
        cmocka_unit_test(pushed_requests_stand_in_order_and_come_back_to_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
