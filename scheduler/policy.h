/* policy.h - who goes first: the order in which waiting requests are admitted, and the reverse of
 * the order in which running ones are preempted.
 *
 * A policy is a total order; adding one is a function and a row in policy.c.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_POLICY_H
#define SCHEDULER_POLICY_H

#include "scheduler/request_queue.h"

/* Negative when a goes before b. Never 0 for two different requests. */
typedef int (*policy_compare_fn)(const struct request *a, const struct request *b);

struct policy {
    const char *name; /* "fcfs", "priority" */
    policy_compare_fn compare;
};

/* The policy of that name, or NULL. */
const struct policy *policy_find(const char *name);

/* Puts a request into a queue that is in the policy's order. */
void policy_push(const struct policy *policy, struct request_queue *queue, struct request *request);

#endif
