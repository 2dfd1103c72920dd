/* merge_table.c - one 16-byte slot a merge, so that a hit costs one cache line.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/merge_table.h"

#include "engine/tokenizer/tokenizer.h"

#include <stddef.h>
#include <stdlib.h>

bool merge_table_open(struct merge_table *table, uint32_t merge_count_max)
{
    uint64_t slot_count = 16;
    while (slot_count < 2 * (uint64_t)merge_count_max) {
        slot_count *= 2;
    }
    table->slots = malloc(slot_count * sizeof *table->slots);
    if (table->slots == NULL) {
        return false;
    }
    for (uint64_t i = 0; i < slot_count; i++) {
        table->slots[i] = (struct merge){.right = TOKEN_NONE};
    }
    table->mask = slot_count - 1;
    return true;
}

void merge_table_close(struct merge_table *table)
{
    free(table->slots);
    table->slots = NULL;
}

static inline struct merge *probe(const struct merge_table *table, uint32_t left, uint32_t right)
{
    uint64_t key = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u;
    uint64_t slot = (key ^ key >> 32) & table->mask;
    for (;; slot = (slot + 1) & table->mask) {
        struct merge *m = &table->slots[slot];
        if (m->right == TOKEN_NONE || (m->left == left && m->right == right)) {
            return m;
        }
    }
}

void merge_table_add(struct merge_table *table, struct merge merge)
{
    struct merge *slot = probe(table, merge.left, merge.right);
    if (slot->right == TOKEN_NONE) {
        *slot = merge;
    }
}

const struct merge *merge_table_find(const struct merge_table *table, uint32_t left, uint32_t right)
{
    const struct merge *slot = probe(table, left, right);
    return slot->right == TOKEN_NONE ? NULL : slot;
}
