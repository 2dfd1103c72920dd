/* Any bytes as a GGUF file: parsed, read through, and every typed accessor tried. Half of the
 * inputs are overlaid on the well-formed sample, so that damage deep in the header is reached
 * without the fuzzer having to discover the format first.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/gguf_sample.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count);

/* The sample's bytes, made once. */
static const uint8_t *sample_bytes(uint64_t *byte_count)
{
    static uint8_t *bytes;
    static uint64_t count;
    if (bytes == NULL) {
        struct gguf_writer writer;
        gguf_writer_init(&writer);
        gguf_sample_build(&writer);
        bytes = gguf_writer_finish(&writer, &count);
        gguf_writer_release(&writer);
    }
    *byte_count = count;
    return bytes;
}

/* Input: (u16 position, u8 length, bytes) again and again, each written over the sample. */
static void try_patched_sample(const uint8_t *input, size_t input_bytes)
{
    uint64_t byte_count = 0;
    const uint8_t *sample = sample_bytes(&byte_count);
    uint8_t *patched = malloc(byte_count);
    if (patched == NULL) {
        return;
    }
    memcpy(patched, sample, byte_count);
    while (input_bytes >= 3) {
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
    gguf_sample_try(patched, byte_count, &err);
    free(patched);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t byte_count)
{
    struct error err;
    if (byte_count > 0 && bytes[0] == 'P') {
        try_patched_sample(bytes + 1, byte_count - 1);
    } else {
        gguf_sample_try(bytes, byte_count, &err);
    }
    return 0;
}
