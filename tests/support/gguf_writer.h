/* gguf_writer.h - GGUF files for tests: valid ones, and ones broken on purpose.
 *
 * Collects entries and tensors, then writes them in order. Nothing is validated: any key, type,
 * dimension or offset goes out as given, and what cannot be expressed that way is patched into
 * the finished bytes at the positions noted here. Runs out of memory by abort.
 * Ownership: everything passed in is copied, but for the context of a row_fn.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_GGUF_WRITER_H
#define TESTS_SUPPORT_GGUF_WRITER_H

#include "engine/formats/gguf.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct gguf_writer_tensor;

/* Makes row `row` of a tensor too large to keep: tensor->row_bytes bytes at out. */
typedef void (*gguf_writer_row_fn)(void *context, const struct gguf_writer_tensor *tensor,
                                   uint64_t row, void *out);

struct gguf_writer_entry {
    char *key;
    uint64_t key_bytes;
    uint8_t *value; /* as encoded: the u32 type, then the value */
    uint64_t value_bytes;
    uint64_t at; /* set by finish and save: where the key's length stands in the file */
};

struct gguf_writer_tensor {
    char *name;
    uint64_t name_bytes;
    uint32_t ggml_type;
    uint32_t dim_count;
    uint64_t dims[TENSOR_DIMS_MAX + 4]; /* file order: innermost first */
    uint64_t offset;                    /* in the data section; freely changeable */
    uint64_t byte_count;
    uint8_t *data; /* NULL: row_fn makes it */
    gguf_writer_row_fn row_fn;
    void *context;
    uint64_t row_bytes;
    uint64_t at; /* set by finish and save: where the name's length stands in the file. Then:
                    8 + name, u32 dim_count, u64 dims[], u32 type, u64 offset */
};

struct gguf_writer {
    uint32_t version;   /* 3 */
    uint32_t alignment; /* 32; another value needs general.alignment added, too */
    struct gguf_writer_entry *entries;
    uint64_t entry_count;
    struct gguf_writer_tensor *tensors;
    uint64_t tensor_count;
    uint64_t data_bytes; /* of the data section so far, padded */
    uint64_t data_at;    /* set by finish and save: where the data section starts */
};

void gguf_writer_init(struct gguf_writer *writer);
void gguf_writer_release(struct gguf_writer *writer);

/* Entries. A key given twice is written twice. */
void gguf_writer_add_u32(struct gguf_writer *writer, const char *key, uint32_t value);
void gguf_writer_add_f32(struct gguf_writer *writer, const char *key, float value);
void gguf_writer_add_bool(struct gguf_writer *writer, const char *key, bool value);
void gguf_writer_add_string(struct gguf_writer *writer, const char *key, const char *text);
/* Any integer, bool or float type, little-endian from the low bytes of `value`. */
void gguf_writer_add_scalar(struct gguf_writer *writer, const char *key, enum gguf_type type,
                            const void *value);
/* elements: packed, of a type that is not a string. */
void gguf_writer_add_array(struct gguf_writer *writer, const char *key, enum gguf_type type,
                           const void *elements, uint64_t element_count);
void gguf_writer_add_strings(struct gguf_writer *writer, const char *key,
                             const struct gguf_string *strings, uint64_t string_count);
/* The value exactly as it will stand behind the type. */
void gguf_writer_add_raw(struct gguf_writer *writer, const char *key, uint64_t key_bytes,
                         uint32_t type, const void *value, uint64_t value_bytes);

/* Drops every entry of this key; false when there is none. To replace one: remove, then add. */
bool gguf_writer_remove(struct gguf_writer *writer, const char *key);

/* Appends a tensor of a dtype this program knows. shape: outermost first, as in struct tensor.
 * data NULL: zeros. The returned pointer is good until the next add. */
struct gguf_writer_tensor *gguf_writer_add_tensor(struct gguf_writer *writer, const char *name,
                                                  enum dtype dtype, uint32_t dim_count,
                                                  const uint64_t *shape, const void *data);

/* The same with rows made while the file is written. */
struct gguf_writer_tensor *gguf_writer_add_rows(struct gguf_writer *writer, const char *name,
                                                enum dtype dtype, uint32_t dim_count,
                                                const uint64_t *shape, gguf_writer_row_fn row_fn,
                                                void *context);

/* A tensor of any stored type with any number of data bytes (zeros when data is NULL). dims: file
 * order, at most 8. */
struct gguf_writer_tensor *gguf_writer_add_raw_tensor(struct gguf_writer *writer, const char *name,
                                                      uint32_t ggml_type, uint32_t dim_count,
                                                      const uint64_t *dims, const void *data,
                                                      uint64_t byte_count);

/* Drops a tensor; false when there is none. Offsets of the rest close up. */
bool gguf_writer_remove_tensor(struct gguf_writer *writer, const char *name);

struct gguf_writer_tensor *gguf_writer_find_tensor(struct gguf_writer *writer, const char *name);

/* Appends all entries and tensors of a parsed file: to change one thing about it. */
void gguf_writer_copy(struct gguf_writer *writer, const struct gguf *file);

/* The whole file, from malloc. */
uint8_t *gguf_writer_finish(struct gguf_writer *writer, uint64_t *byte_count);

/* Writes the file front to back, never holding more than a row of it; false on a write error. */
bool gguf_writer_save(struct gguf_writer *writer, FILE *out);

/* Overwrite little-endian numbers in finished bytes. */
void gguf_writer_patch_u32(uint8_t *bytes, uint64_t at, uint32_t value);
void gguf_writer_patch_u64(uint8_t *bytes, uint64_t at, uint64_t value);

#endif
