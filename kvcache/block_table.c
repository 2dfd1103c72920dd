/* block_table.c - a stack of block ids: requests grow and shrink at their end only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kvcache/block_table.h"

#include <assert.h>
#include <stdlib.h>

enum status block_table_init(struct block_table *table, uint32_t block_count_max, struct error *err)
{
    *table = (struct block_table){0};
    assert(block_count_max > 0);
    table->block_ids = calloc(block_count_max, sizeof *table->block_ids);
    if (table->block_ids == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for a block table of %u blocks",
                         block_count_max);
    }
    table->block_count_max = block_count_max;
    return OK;
}

void block_table_release(struct block_table *table)
{
    free(table->block_ids);
    *table = (struct block_table){0};
}

void block_table_push(struct block_table *table, uint32_t block_id)
{
    assert(table->block_ids != NULL);
    assert(table->block_count < table->block_count_max);
    table->block_ids[table->block_count] = block_id;
    table->block_count++;
}

uint32_t block_table_take_last(struct block_table *table)
{
    assert(table->block_ids != NULL);
    assert(table->block_count > 0);
    table->block_count--;
    return table->block_ids[table->block_count];
}

uint32_t block_table_slot(const struct block_table *table, uint32_t position, uint32_t block_tokens)
{
    assert(block_tokens > 0);
    assert(position / block_tokens < table->block_count);
    return table->block_ids[position / block_tokens] * block_tokens + position % block_tokens;
}
