/* test_request_queue.c - order, and removal from anywhere.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "scheduler/request_queue.h"

enum {
    REQUESTS = 5
};

static struct request requests[REQUESTS];
static struct request_queue queue;

static int open_queue(void **state)
{
    (void)state;
    memset(requests, 0, sizeof requests);
    memset(&queue, 0, sizeof queue);
    return 0;
}

static void assert_order(const char *expected)
{
    char order[REQUESTS + 1] = {0};
    uint32_t count = 0;
    for (const struct request *r = queue.head; r != NULL; r = r->next) {
        order[count++] = (char)('a' + (r - requests));
    }
    assert_string_equal(order, expected);
    assert_int_equal(queue.request_count, count);
    request_queue_check(&queue, REQUEST_UNUSED);
}

static void push_all(void)
{
    for (uint32_t i = 0; i < REQUESTS; i++) {
        request_queue_push(&queue, &requests[i]);
    }
}

static void requests_leave_in_order_of_arrival(void **state)
{
    (void)state;
    push_all();
    assert_order("abcde");
    for (uint32_t i = 0; i < REQUESTS; i++) {
        assert_ptr_equal(request_queue_take(&queue), &requests[i]);
    }
    assert_null(request_queue_take(&queue));
    assert_order("");
}

static void push_before_works_at_head_middle_and_end(void **state)
{
    (void)state;
    request_queue_push_before(&queue, NULL, &requests[2]);
    request_queue_push_before(&queue, &requests[2], &requests[0]);
    request_queue_push_before(&queue, &requests[2], &requests[1]);
    request_queue_push_before(&queue, NULL, &requests[3]);
    assert_order("abcd");
    request_queue_push_before(&queue, &requests[0], &requests[4]);
    assert_order("eabcd");
}

static void removal_works_at_head_middle_and_tail(void **state)
{
    (void)state;
    push_all();
    request_queue_remove(&queue, &requests[0]);
    assert_order("bcde");
    request_queue_remove(&queue, &requests[4]);
    assert_order("bcd");
    request_queue_remove(&queue, &requests[2]);
    assert_order("bd");
    request_queue_push(&queue, &requests[2]);
    assert_order("bdc");
    request_queue_remove(&queue, &requests[3]);
    request_queue_remove(&queue, &requests[2]);
    request_queue_remove(&queue, &requests[1]);
    assert_order("");
    push_all();
    assert_order("abcde");
}

static void removed_request_carries_no_links(void **state)
{
    (void)state;
    push_all();
    request_queue_remove(&queue, &requests[2]);
    assert_null(requests[2].next);
    assert_null(requests[2].prev);
    assert_ptr_equal(request_queue_take(&queue), &requests[0]);
    assert_null(requests[0].next);
    assert_null(queue.head->prev);
}

static void random_operations_match_an_array(void **state)
{
    (void)state;
    char order[REQUESTS + 1] = {0};
    uint64_t random = 5;
    for (uint32_t step = 0; step < 100000; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t i = (uint32_t)(random >> 33) % REQUESTS;
        char name = (char)('a' + i);
        char *at = strchr(order, name);
        if (at != NULL) {
            memmove(at, at + 1, strlen(at));
            request_queue_remove(&queue, &requests[i]);
        } else {
            size_t count = strlen(order);
            size_t place = (size_t)(random >> 50) % (count + 1);
            struct request *position = place == count ? NULL : &requests[order[place] - 'a'];
            memmove(order + place + 1, order + place, count - place + 1);
            order[place] = name;
            request_queue_push_before(&queue, position, &requests[i]);
        }
        assert_order(order);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(requests_leave_in_order_of_arrival, open_queue),
        cmocka_unit_test_setup(push_before_works_at_head_middle_and_end, open_queue),
        cmocka_unit_test_setup(removal_works_at_head_middle_and_tail, open_queue),
        cmocka_unit_test_setup(removed_request_carries_no_links, open_queue),
        cmocka_unit_test_setup(random_operations_match_an_array, open_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
