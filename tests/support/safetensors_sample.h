/* safetensors_sample.h - a small safetensors file, and files with any header, for tests.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_SAFETENSORS_SAMPLE_H
#define TESTS_SUPPORT_SAFETENSORS_SAMPLE_H

#include "engine/formats/safetensors.h"

/* Bytes of the sample's data. */
enum {
    SAMPLE_DATA_BYTES = 24 + 8 + 4 + 3
};

/* One of several kinds: "a" F32 [2, 3], "b" BF16 [4], "scalar" F32 [], "empty" F16 [0, 7],
 * "bytes" U8 [3], and metadata. */
extern const char *const safetensors_sample_header;

/* Length, header, and data_bytes of data whose bytes count upwards; from malloc. */
uint8_t *safetensors_sample_join(const char *header, uint64_t data_bytes, uint64_t *byte_count);

/* Parses a copy of exactly these bytes, so that a sanitizer sees any read beyond them, and, when
 * that succeeds, reads everything the result points to. */
enum status safetensors_sample_try(const uint8_t *bytes, uint64_t byte_count, struct error *err);

#endif
