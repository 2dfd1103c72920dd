/* gguf_output.h - the head of a GGUF v3 file: everything in front of the tensors' data.
 *
 * The data follows in the order of the tensors, each padded with zeros to the alignment: whoever
 * writes the file needs nothing but gguf_output_padding for that.
 * Format: the GGUF specification of the ggml project. Thread: any.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_GGUF_OUTPUT_H
#define ENGINE_FORMATS_GGUF_OUTPUT_H

#include "configs/error.h"
#include "engine/formats/gguf.h"

struct gguf_output_head {
    uint8_t *bytes; /* owned: free */
    uint64_t byte_count;
    uint64_t file_bytes; /* of the whole file, the last tensor's padding included */
};

/* Of entries, in this order, and of tensors, of which name, shape, ggml_type and byte_count count;
 * their offsets in the file to come are filled in. alignment: a power of two; whoever gives another
 * than 32 gives the entry general.alignment, too. ERR_INVALID: a size does not fit 64 bits. */
enum status gguf_output_make_head(struct gguf_output_head *out, const struct gguf_entry *entries,
                                  uint64_t entry_count, struct gguf_tensor *tensors,
                                  uint64_t tensor_count, uint32_t alignment, struct error *err);

/* Zeros that follow byte_count bytes of data: less than the alignment. */
uint64_t gguf_output_padding(uint64_t byte_count, uint32_t alignment);

#endif
