/* arena.c - a list of mappings with a bump pointer in the newest. A piece larger than a region gets
 * one of its own size. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/arena.h"

#include "configs/checked.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
    HUGE_PAGE = 2 << 20,
    REGION_BYTES = 64 << 20,
    ALIGNMENT = 64,
};

struct arena_region {
    struct arena_region *next;
    void *mapping;
    size_t mapping_bytes;
    uint8_t *memory; /* the first multiple of a huge page in it */
    size_t byte_count;
    size_t used_bytes;
};

static struct arena_region *map_region(size_t byte_count)
{
    struct arena_region *region = calloc(1, sizeof *region);
    if (region == NULL) {
        return NULL;
    }
    region->byte_count = byte_count > REGION_BYTES ? byte_count : REGION_BYTES;
    if (checked_add_size(region->byte_count, HUGE_PAGE, &region->mapping_bytes)) {
        region->mapping = mmap(NULL, region->mapping_bytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    } else {
        region->mapping = MAP_FAILED;
    }
    if (region->mapping == MAP_FAILED) {
        free(region);
        return NULL;
    }
    size_t before = (HUGE_PAGE - (uintptr_t)region->mapping % HUGE_PAGE) % HUGE_PAGE;
    region->memory = (uint8_t *)region->mapping + before;
    madvise(region->memory, region->byte_count, MADV_HUGEPAGE); /* a refusal is no failure */
    return region;
}

void *arena_take(struct arena *arena, size_t byte_count)
{
    size_t rounded;
    if (!checked_add_size(byte_count, ALIGNMENT - 1, &rounded)) {
        return NULL;
    }
    rounded -= rounded % ALIGNMENT;
    struct arena_region *region = arena->regions;
    if (region == NULL || region->byte_count - region->used_bytes < rounded) {
        region = map_region(rounded);
        if (region == NULL) {
            return NULL;
        }
        region->next = arena->regions;
        arena->regions = region;
    }
    void *piece = region->memory + region->used_bytes;
    region->used_bytes += rounded;
    return piece;
}

void arena_release(struct arena *arena)
{
    while (arena->regions != NULL) {
        struct arena_region *region = arena->regions;
        arena->regions = region->next;
        munmap(region->mapping, region->mapping_bytes);
        free(region);
    }
}
