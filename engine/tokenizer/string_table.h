/* string_table.h - token ids by the bytes they stand for.
 *
 * Open addressing over two 32-bit words a slot; the strings stay where the owner keeps them.
 * Ownership: the table borrows the strings and their offsets.
 * Thread: any once built. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_STRING_TABLE_H
#define ENGINE_TOKENIZER_STRING_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct string_table_slot {
    uint32_t hash;
    uint32_t id; /* TOKEN_NONE: empty */
};

struct string_table {
    struct string_table_slot *slots;
    uint64_t mask;
    const uint8_t *bytes;    /* borrowed: string i is bytes[offsets[i] .. offsets[i + 1]) */
    const uint32_t *offsets; /* borrowed */
};

/* Room for string_count_max strings; false when memory is short. */
bool string_table_open(struct string_table *table, const uint8_t *bytes, const uint32_t *offsets,
                       uint32_t string_count_max);
void string_table_close(struct string_table *table);

/* Adds string id, or returns the id of an equal one that is there already (else returns id). */
uint32_t string_table_add(struct string_table *table, uint32_t id);

/* TOKEN_NONE when absent. */
uint32_t string_table_find(const struct string_table *table, const uint8_t *bytes,
                           size_t byte_count);

#endif
