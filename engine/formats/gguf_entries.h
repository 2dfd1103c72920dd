/* gguf_entries.h - one key and its value, of any of the format's thirteen types.
 *
 * For the parser's parts only.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_GGUF_ENTRIES_H
#define ENGINE_FORMATS_GGUF_ENTRIES_H

#include "engine/formats/gguf_cursor.h"

enum {
    GGUF_ENTRY_BYTES_MIN = 8 + 1 + 4 + 1 /* key length, key, type, value */
};

/* Reads into a zeroed entry. After a failure entry->value.array.strings may still have to be
 * freed, when the type is GGUF_ARRAY. */
enum status gguf_entries_read_one(struct gguf_cursor *cursor, struct gguf_entry *entry);

/* Bytes of one value of a type of fixed size; 0 for string, array and unknown types. */
uint32_t gguf_entries_scalar_bytes(uint32_t type);

/* A signed number of byte_count bytes, from its bits. */
int64_t gguf_entries_sign_extend(uint64_t bits, uint32_t byte_count);

/* A float32 or float64, from its bits. */
double gguf_entries_float(uint64_t bits, uint32_t byte_count);

#endif
