/* protobuf.h - one field after another of a protocol buffer message.
 *
 * Knows the wire format only: numbers and types of fields, not their meaning. Every length is
 * checked against the bytes that are there. Format: protobuf.dev, "Encoding".
 * Thread: any; no state beyond the cursor. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_PROTOBUF_H
#define ENGINE_FORMATS_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum protobuf_type {
    PROTOBUF_VARINT = 0,
    PROTOBUF_FIXED64 = 1,
    PROTOBUF_BYTES = 2,
    PROTOBUF_FIXED32 = 5,
};

struct protobuf_cursor {
    const uint8_t *at;
    const uint8_t *end;
};

struct protobuf_field {
    uint32_t number; /* 1 or more */
    enum protobuf_type type;
    uint64_t value;       /* of a number, little-endian bits */
    const uint8_t *bytes; /* PROTOBUF_BYTES: a view */
    uint64_t byte_count;
};

/* 1: a field; 0: the end; -1: ill-formed, or a group, which was never in use. */
int protobuf_next(struct protobuf_cursor *cursor, struct protobuf_field *field);

float protobuf_float(const struct protobuf_field *field);

#endif
