/* request_queue.h - an intrusive list of requests with O(1) removal.
 *
 * A request is on at most one queue. Thread: engine. SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_REQUEST_QUEUE_H
#define SCHEDULER_REQUEST_QUEUE_H

#include "scheduler/request.h"

struct request_queue {
    struct request *head;
    struct request *tail;
    uint32_t request_count;
};

void request_queue_push(struct request_queue *queue, struct request *request);
void request_queue_push_before(struct request_queue *queue, struct request *position,
                               struct request *request); /* position NULL: at the end */
void request_queue_remove(struct request_queue *queue, struct request *request);
struct request *request_queue_take(struct request_queue *queue); /* the head, or NULL */

/* Asserts links and count, and that every request on it is in this state. */
void request_queue_check(const struct request_queue *queue, enum request_state state);

#endif
