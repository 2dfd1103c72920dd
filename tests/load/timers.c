/* timers.c - sift up, sift down. SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/timers.h"

#include "tests/load/ticks.h"

#include <stdlib.h>

static bool before(const struct timer *a, const struct timer *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void swap(struct timer *a, struct timer *b)
{
    struct timer held = *a;
    *a = *b;
    *b = held;
}

bool timers_add(struct timers *timers, uint64_t due, uint32_t number)
{
    if (timers->count == timers->room) {
        size_t room = timers->room > 0 ? 2 * timers->room : 64;
        struct timer *heap = realloc(timers->heap, room * sizeof *heap);
        if (heap == NULL) {
            return false;
        }
        timers->heap = heap;
        timers->room = room;
    }
    struct timer *heap = timers->heap;
    size_t at = timers->count++;
    heap[at] = (struct timer){.due = due, .order = timers->next_order++, .number = number};
    while (at > 0 && before(&heap[at], &heap[(at - 1) / 2])) {
        swap(&heap[at], &heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    return true;
}

uint64_t timers_next(const struct timers *timers)
{
    return timers->count > 0 ? timers->heap[0].due : TICKS_NEVER;
}

bool timers_take(struct timers *timers, uint64_t now, struct timer *out)
{
    if (timers->count == 0 || timers->heap[0].due > now) {
        return false;
    }
    struct timer *heap = timers->heap;
    *out = heap[0];
    heap[0] = heap[--timers->count];
    for (size_t at = 0;;) {
        size_t child = 2 * at + 1;
        if (child >= timers->count) {
            return true;
        }
        child += child + 1 < timers->count && before(&heap[child + 1], &heap[child]);
        if (!before(&heap[child], &heap[at])) {
            return true;
        }
        swap(&heap[at], &heap[child]);
        at = child;
    }
}

void timers_release(struct timers *timers)
{
    free(timers->heap);
    *timers = (struct timers){0};
}
