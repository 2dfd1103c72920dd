/* safetensors.h - one safetensors file: bytes -> named tensors.
 *
 * safetensors_parse is a pure function over bytes. A file is 8 bytes of header length, the header
 * (a JSON object: name -> dtype, shape and data_offsets), then the data. As the format demands, the
 * tensors cover the data without overlap, hole or remainder, and each is as long as its shape says.
 * Errors are one line with the file's name and the tensor's. Format: huggingface/safetensors.
 * Ownership: data is borrowed from the bytes, names belong to the struct.
 * Thread: any; immutable once parsed. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_SAFETENSORS_H
#define ENGINE_FORMATS_SAFETENSORS_H

#include "configs/error.h"
#include "configs/limits.h"
#include "kernels/tensor.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct safetensors_tensor {
    const char *name;       /* terminated, printable */
    const char *dtype_name; /* as stored: "BF16" */
    bool supported;         /* false: the dtype is known but nothing here computes with it */
    enum dtype dtype;       /* valid only if supported */
    uint32_t dim_count;     /* 0: one value */
    uint64_t shape[LIMIT_SAFETENSORS_DIMS]; /* outermost first; a 0 makes it empty */
    const uint8_t *data;                    /* in any alignment */
    uint64_t byte_count;
};

struct safetensors {
    json_t *header;                     /* owns the names */
    struct safetensors_tensor *tensors; /* [tensor_count], in the order of their data */
    uint64_t tensor_count;
};

/* Parses bytes that stay valid and unchanged while the result is used. */
enum status safetensors_parse(struct safetensors *out, const uint8_t *bytes, uint64_t byte_count,
                              const char *path, struct error *err);

void safetensors_close(struct safetensors *file);

/* A string of the optional "__metadata__", or NULL. */
const char *safetensors_metadata(const struct safetensors *file, const char *key);

#endif
