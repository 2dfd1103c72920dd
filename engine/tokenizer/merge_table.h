/* merge_table.h - which two neighbouring tokens merge into which, and how early.
 *
 * Built from tokenizer.ggml.merges; a merge's rank is its place in that list.
 * Thread: any once built. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_MERGE_TABLE_H
#define ENGINE_TOKENIZER_MERGE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct merge {
    uint32_t left;
    uint32_t right; /* TOKEN_NONE: an empty slot */
    uint32_t rank;
    uint32_t merged;
};

struct merge_table {
    struct merge *slots;
    uint64_t mask;
};

bool merge_table_open(struct merge_table *table, uint32_t merge_count_max);
void merge_table_close(struct merge_table *table);

/* Keeps the first of two merges of the same pair: a list is in order of rank. */
void merge_table_add(struct merge_table *table, struct merge merge);

/* NULL when the two do not merge. */
const struct merge *merge_table_find(const struct merge_table *table, uint32_t left,
                                     uint32_t right);

#endif
