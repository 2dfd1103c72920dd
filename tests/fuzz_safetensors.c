/* Any bytes as a safetensors file. The first byte says how: 'P' writes the rest over the sample, 'H'
 * takes it as the header in front of the sample's data, anything else is a file as it stands.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/safetensors_sample.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count);

/* Input: (u16 position, u8 length, bytes) again and again, each written over the sample. */
static void try_patched_sample(const uint8_t *input, size_t input_bytes)
{
    uint64_t byte_count = 0;
    uint8_t *patched =
        safetensors_sample_join(safetensors_sample_header, SAMPLE_DATA_BYTES, &byte_count);
    while (patched != NULL && input_bytes >= 3) {
        size_t at = (size_t)(input[0] | input[1] << 8) % byte_count;
        size_t length = input[2] % 16;
        input += 3;
        input_bytes -= 3;
        length = length < input_bytes ? length : input_bytes;
        length = length < byte_count - at ? length : byte_count - at;
        memcpy(patched + at, input, length);
        input += length;
        input_bytes -= length;
    }
    struct error err;
    if (patched != NULL) {
        safetensors_sample_try(patched, byte_count, &err);
    }
    free(patched);
}

static void try_header(const uint8_t *input, size_t input_bytes)
{
    uint64_t byte_count = 0;
    char *header = strndup((const char *)input, input_bytes);
    uint8_t *bytes =
        header != NULL ? safetensors_sample_join(header, SAMPLE_DATA_BYTES, &byte_count) : NULL;
    struct error err;
    if (bytes != NULL) {
        safetensors_sample_try(bytes, byte_count, &err);
    }
    free(bytes);
    free(header);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count)
{
    struct error err;
    if (byte_count > 0 && bytes[0] == 'P') {
        try_patched_sample(bytes + 1, byte_count - 1);
    } else if (byte_count > 0 && bytes[0] == 'H') {
        try_header(bytes + 1, byte_count - 1);
    } else {
        safetensors_sample_try(bytes, byte_count, &err);
    }
    return 0;
}
