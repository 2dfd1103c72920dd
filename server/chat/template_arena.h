/* template_arena.h - memory that is given out piece by piece and freed all at once.
 *
 * A template's tree lives in one arena, each render in another, so no value has an owner to
 * track. bytes_max is a hard bound: past it, and when malloc fails, allocation returns NULL.
 * Thread: one arena belongs to one thread at a time. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_ARENA_H
#define SERVER_CHAT_TEMPLATE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct template_arena_chunk;

struct template_arena {
    struct template_arena_chunk *newest; /* owned list */
    char *free_bytes;                    /* unused part of the newest chunk */
    size_t free_byte_count;
    size_t reserved_bytes; /* of all chunks */
    size_t bytes_max;
};

void template_arena_init(struct template_arena *arena, size_t bytes_max);
void template_arena_release(struct template_arena *arena);

/* Aligned for any type; contents are not set. */
void *template_arena_alloc(struct template_arena *arena, size_t byte_count);

/* Makes the newest allocation longer where it stands; false when it is not the newest one or
 * the chunk has no room. Both counts are those the caller asked for. */
bool template_arena_extend(struct template_arena *arena, const void *block, size_t byte_count,
                           size_t wanted_bytes);

#endif
