/* template_arena.c - bump allocation in chunks that double, so that a render of any size makes
 * few malloc calls; big blocks get a chunk of their own size.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_arena.h"

#include "configs/checked.h"

#include <stdlib.h>

enum {
    ARENA_ALIGNMENT = 16,
    ARENA_FIRST_CHUNK = 16384,
    ARENA_LARGEST_STEP = 4 << 20
};

struct template_arena_chunk {
    struct template_arena_chunk *older;
    size_t byte_count;
};

void template_arena_init(struct template_arena *arena, size_t bytes_max)
{
    *arena = (struct template_arena){.bytes_max = bytes_max};
}

void template_arena_release(struct template_arena *arena)
{
    struct template_arena_chunk *chunk = arena->newest;
    while (chunk != NULL) {
        struct template_arena_chunk *older = chunk->older;
        free(chunk);
        chunk = older;
    }
    *arena = (struct template_arena){.bytes_max = arena->bytes_max};
}

static size_t chunk_payload(size_t wanted_bytes, size_t reserved_bytes)
{
    size_t payload = reserved_bytes < ARENA_FIRST_CHUNK ? ARENA_FIRST_CHUNK : reserved_bytes;
    if (payload > ARENA_LARGEST_STEP) {
        payload = ARENA_LARGEST_STEP;
    }
    return payload < wanted_bytes ? wanted_bytes : payload;
}

static bool add_chunk(struct template_arena *arena, size_t wanted_bytes)
{
    size_t room = arena->bytes_max - arena->reserved_bytes;
    size_t payload = chunk_payload(wanted_bytes, arena->reserved_bytes);
    if (payload > room) {
        payload = wanted_bytes;
    }
    if (payload > room) {
        return false;
    }
    struct template_arena_chunk *chunk = malloc(ARENA_ALIGNMENT + payload);
    if (chunk == NULL) {
        return false;
    }
    *chunk = (struct template_arena_chunk){.older = arena->newest, .byte_count = payload};
    arena->newest = chunk;
    arena->reserved_bytes += payload;
    arena->free_bytes = (char *)chunk + ARENA_ALIGNMENT;
    arena->free_byte_count = payload;
    return true;
}

/* False when the padded size is not representable. */
static bool padded(size_t byte_count, size_t *out)
{
    uint64_t aligned = 0;
    if (!checked_align_u64(byte_count, ARENA_ALIGNMENT, &aligned)) {
        return false;
    }
    *out = (size_t)aligned;
    return true;
}

void *template_arena_alloc(struct template_arena *arena, size_t byte_count)
{
    size_t wanted = 0;
    if (!padded(byte_count > 0 ? byte_count : 1, &wanted)) {
        return NULL;
    }
    if (wanted > arena->free_byte_count && !add_chunk(arena, wanted)) {
        return NULL;
    }
    void *block = arena->free_bytes;
    arena->free_bytes += wanted;
    arena->free_byte_count -= wanted;
    return block;
}

bool template_arena_extend(struct template_arena *arena, const void *block, size_t byte_count,
                           size_t wanted_bytes)
{
    size_t old = 0;
    size_t wanted = 0;
    if (!padded(byte_count > 0 ? byte_count : 1, &old) || !padded(wanted_bytes, &wanted)) {
        return false;
    }
    if ((const char *)block + old != arena->free_bytes || wanted < old ||
        wanted - old > arena->free_byte_count) {
        return false;
    }
    arena->free_bytes += wanted - old;
    arena->free_byte_count -= wanted - old;
    return true;
}
