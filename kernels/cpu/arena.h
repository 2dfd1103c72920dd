/* arena.h - memory for packed weights: taken piece by piece, given back all at once.
 *
 * Pieces lie in large regions of huge pages, where there are any, and are not touched here: a page
 * becomes present, near the core that will read it, when its first byte is written.
 * Thread: one at a time. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_ARENA_H
#define KERNELS_CPU_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_region;

struct arena {
    struct arena_region *regions; /* the newest first; only this one has room left */
};

/* 64-byte aligned, zeroed; NULL when there is no memory. An arena begins as all zeros. */
void *arena_take(struct arena *arena, size_t byte_count);

void arena_release(struct arena *arena);

#endif
