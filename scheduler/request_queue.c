/* request_queue.c - a doubly linked list through the requests themselves: nothing to allocate.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/request_queue.h"

#include <assert.h>
#include <stddef.h>

void request_queue_push(struct request_queue *queue, struct request *request)
{
    request_queue_push_before(queue, NULL, request);
}

void request_queue_push_before(struct request_queue *queue, struct request *position,
                               struct request *request)
{
    assert(request != NULL && request != position);
    assert(request->next == NULL && request->prev == NULL && queue->head != request);
    struct request *prev = position == NULL ? queue->tail : position->prev;
    request->prev = prev;
    request->next = position;
    if (prev == NULL) {
        queue->head = request;
    } else {
        prev->next = request;
    }
    if (position == NULL) {
        queue->tail = request;
    } else {
        position->prev = request;
    }
    queue->request_count++;
}

void request_queue_remove(struct request_queue *queue, struct request *request)
{
    assert(queue->request_count > 0);
    assert(request->prev != NULL || queue->head == request);
    assert(request->next != NULL || queue->tail == request);
    if (request->prev == NULL) {
        queue->head = request->next;
    } else {
        request->prev->next = request->next;
    }
    if (request->next == NULL) {
        queue->tail = request->prev;
    } else {
        request->next->prev = request->prev;
    }
    request->next = NULL;
    request->prev = NULL;
    queue->request_count--;
}

struct request *request_queue_take(struct request_queue *queue)
{
    struct request *request = queue->head;
    if (request != NULL) {
        request_queue_remove(queue, request);
    }
    assert(queue->request_count > 0 || queue->head == NULL);
    return request;
}

void request_queue_check(const struct request_queue *queue, enum request_state state)
{
    uint32_t count = 0;
    const struct request *prev = NULL;
    for (const struct request *r = queue->head; r != NULL; r = r->next) {
        assert(r->prev == prev);
        assert(r->state == state);
        count++;
        assert(count <= queue->request_count);
        prev = r;
    }
    assert(queue->tail == prev);
    assert(count == queue->request_count);
}
