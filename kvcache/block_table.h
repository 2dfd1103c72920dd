/* block_table.h - one request's block ids: position -> slot.
 *
 * Thread: engine. Capacity is fixed at init; ids are borrowed from the pool's references.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KVCACHE_BLOCK_TABLE_H
#define KVCACHE_BLOCK_TABLE_H

#include "configs/error.h"

#include <stdint.h>

struct block_table {
    uint32_t *block_ids; /* [block_count_max] */
    uint32_t block_count;
    uint32_t block_count_max;
};

enum status block_table_init(struct block_table *table, uint32_t block_count_max,
                             struct error *err);
void block_table_release(struct block_table *table);

void block_table_push(struct block_table *table, uint32_t block_id);
uint32_t block_table_take_last(struct block_table *table);

/* The slot of a token: block_id * block_tokens + offset in the block. */
uint32_t block_table_slot(const struct block_table *table, uint32_t position,
                          uint32_t block_tokens);

#endif
