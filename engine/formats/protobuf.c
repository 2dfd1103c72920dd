/* protobuf.c - a varint is at most ten bytes, and a length at most what is left.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/protobuf.h"

#include <string.h>

enum {
    VARINT_BITS = 64
};

static bool read_varint(struct protobuf_cursor *cursor, uint64_t *out)
{
    *out = 0;
    for (uint32_t shift = 0; shift < VARINT_BITS; shift += 7) {
        if (cursor->at == cursor->end) {
            return false;
        }
        uint8_t byte = *cursor->at++;
        *out |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_fixed(struct protobuf_cursor *cursor, uint32_t byte_count, uint64_t *out)
{
    *out = 0;
    if ((uint64_t)(cursor->end - cursor->at) < byte_count) {
        return false;
    }
    for (uint32_t i = 0; i < byte_count; i++) {
        *out |= (uint64_t)cursor->at[i] << 8 * i;
    }
    cursor->at += byte_count;
    return true;
}

static bool read_bytes(struct protobuf_cursor *cursor, struct protobuf_field *field)
{
    if (!read_varint(cursor, &field->byte_count) ||
        field->byte_count > (uint64_t)(cursor->end - cursor->at)) {
        return false;
    }
    field->bytes = cursor->at;
    cursor->at += field->byte_count;
    return true;
}

static bool read_value(struct protobuf_cursor *cursor, struct protobuf_field *field)
{
    switch (field->type) {
    case PROTOBUF_VARINT:
        return read_varint(cursor, &field->value);
    case PROTOBUF_FIXED64:
        return read_fixed(cursor, 8, &field->value);
    case PROTOBUF_BYTES:
        return read_bytes(cursor, field);
    case PROTOBUF_FIXED32:
        return read_fixed(cursor, 4, &field->value);
    }
    return false;
}

int protobuf_next(struct protobuf_cursor *cursor, struct protobuf_field *field)
{
    *field = (struct protobuf_field){0};
    if (cursor->at == cursor->end) {
        return 0;
    }
    uint64_t tag = 0;
    if (!read_varint(cursor, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX) {
        return -1;
    }
    field->number = (uint32_t)(tag >> 3);
    field->type = (enum protobuf_type)(tag & 7);
    return read_value(cursor, field) ? 1 : -1;
}

float protobuf_float(const struct protobuf_field *field)
{
    uint32_t bits = (uint32_t)field->value;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
