/* policy.c - the table of policies.
 *
 * Every comparison ends in arrival_number, which no two requests share, so that each policy is a
 * total order and a preempted request finds its old place again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/policy.h"

#include <assert.h>
#include <string.h>

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_arrival(const struct request *a, const struct request *b)
{
    int order = compare_u64(a->spec.arrival_us, b->spec.arrival_us);
    if (order == 0) {
        order = compare_u64(a->arrival_number, b->arrival_number);
    }
    assert(order != 0 || a == b);
    return order;
}

static int compare_priority(const struct request *a, const struct request *b)
{
    if (a->spec.priority != b->spec.priority) {
        return a->spec.priority < b->spec.priority ? -1 : 1;
    }
    return compare_arrival(a, b);
}

static const struct policy policies[] = {
    {"fcfs", compare_arrival},
    {"priority", compare_priority},
};

const struct policy *policy_find(const char *name)
{
    assert(name != NULL);
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        if (strcmp(policies[i].name, name) == 0) {
            return &policies[i];
        }
    }
    return NULL;
}

void policy_push(const struct policy *policy, struct request_queue *queue, struct request *request)
{
    assert(policy != NULL);
    assert(request->arrival_number > 0);
    /* From the end: new requests mostly belong there. */
    struct request *position = NULL;
    struct request *before = queue->tail;
    while (before != NULL && policy->compare(request, before) < 0) {
        position = before;
        before = before->prev;
    }
    request_queue_push_before(queue, position, request);
}
