/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/safetensors_sample.h"

#include <stdlib.h>
#include <string.h>

const char *const safetensors_sample_header =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]},"
    "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
    "\"empty\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[32,32]},"
    "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[32,36]},"
    "\"bytes\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[36,39]}}   ";

uint8_t *safetensors_sample_join(const char *header, uint64_t data_bytes, uint64_t *byte_count)
{
    uint64_t length = strlen(header);
    uint8_t *bytes = malloc(8 + length + data_bytes);
    if (bytes == NULL) {
        return NULL;
    }
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(length >> (8 * i));
    }
    for (uint64_t i = 0; i < length; i++) {
        bytes[8 + i] = (uint8_t)header[i];
    }
    for (uint64_t i = 0; i < data_bytes; i++) {
        bytes[8 + length + i] = (uint8_t)i;
    }
    *byte_count = 8 + length + data_bytes;
    return bytes;
}

/* Reads all that a parsed file points to; the sum keeps the reads from being optimised away. */
static uint64_t read_everything(const struct safetensors *file)
{
    uint64_t sum = safetensors_metadata(file, "format") != NULL;
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        const struct safetensors_tensor *tensor = &file->tensors[i];
        sum += strlen(tensor->name) + strlen(tensor->dtype_name);
        for (uint32_t d = 0; d < tensor->dim_count; d++) {
            sum += tensor->shape[d];
        }
        for (uint64_t at = 0; at < tensor->byte_count; at++) {
            sum += tensor->data[at];
        }
    }
    return sum;
}

enum status safetensors_sample_try(const uint8_t *bytes, uint64_t byte_count, struct error *err)
{
    uint8_t *copy = malloc(byte_count > 0 ? byte_count : 1);
    if (copy == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for a copy");
    }
    memcpy(copy, bytes, byte_count);
    struct safetensors file;
    enum status status = safetensors_parse(&file, copy, byte_count, "broken.safetensors", err);
    if (status == OK) {
        static volatile uint64_t sink;
        sink = read_everything(&file);
        (void)sink;
    }
    safetensors_close(&file);
    free(copy);
    return status;
}
