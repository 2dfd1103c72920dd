/* string_table.c - linear probing at most half full, so a miss ends after a probe or two.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/string_table.h"

#include "engine/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

bool string_table_open(struct string_table *table, const uint8_t *bytes, const uint32_t *offsets,
                       uint32_t string_count_max)
{
    uint64_t slot_count = 16;
    while (slot_count < 2 * (uint64_t)string_count_max) {
        slot_count *= 2;
    }
    table->slots = malloc(slot_count * sizeof *table->slots);
    if (table->slots == NULL) {
        return false;
    }
    for (uint64_t i = 0; i < slot_count; i++) {
        table->slots[i] = (struct string_table_slot){.id = TOKEN_NONE};
    }
    table->mask = slot_count - 1;
    table->bytes = bytes;
    table->offsets = offsets;
    return true;
}

void string_table_close(struct string_table *table)
{
    free(table->slots);
    table->slots = NULL;
}

/* The slot that holds the string, or the empty one where it would go. */
static inline uint64_t probe(const struct string_table *table, const uint8_t *bytes,
                             size_t byte_count, uint32_t *hash_out)
{
    uint64_t hash = XXH3_64bits(bytes, byte_count);
    uint32_t tag = (uint32_t)(hash >> 32);
    uint64_t slot = hash & table->mask;
    *hash_out = tag;
    for (;; slot = (slot + 1) & table->mask) {
        const struct string_table_slot *s = &table->slots[slot];
        if (s->id == TOKEN_NONE) {
            return slot;
        }
        if (s->hash == tag) {
            uint32_t at = table->offsets[s->id];
            if (table->offsets[s->id + 1] - at == byte_count &&
                memcmp(table->bytes + at, bytes, byte_count) == 0) {
                return slot;
            }
        }
    }
}

uint32_t string_table_add(struct string_table *table, uint32_t id)
{
    uint32_t at = table->offsets[id];
    uint32_t hash;
    uint64_t slot = probe(table, table->bytes + at, table->offsets[id + 1] - at, &hash);
    if (table->slots[slot].id == TOKEN_NONE) {
        table->slots[slot] = (struct string_table_slot){.hash = hash, .id = id};
    }
    return table->slots[slot].id;
}

uint32_t string_table_find(const struct string_table *table, const uint8_t *bytes,
                           size_t byte_count)
{
    uint32_t hash;
    return table->slots[probe(table, bytes, byte_count, &hash)].id;
}
