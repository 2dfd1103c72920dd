/* gguf_tensors.h - what a GGUF header says of its tensors, and whether the file bears it out.
 *
 * For the parser's parts only.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_GGUF_TENSORS_H
#define ENGINE_FORMATS_GGUF_TENSORS_H

#include "engine/formats/gguf_cursor.h"

enum {
    GGUF_TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8 /* name length, name, dims, type, offset */
};

/* Reads one description. The tensor's offset is still relative to the data section. */
enum status gguf_tensors_read_one(struct gguf_cursor *cursor, struct gguf_tensor *tensor);

/* With the cursor behind the last description: makes offsets the file's, sets data pointers, and
 * refuses tensors outside the file or over one another. There is at least one. *end: where the
 * last one ends. */
enum status gguf_tensors_place(const struct gguf_cursor *cursor, uint64_t *end);

#endif
