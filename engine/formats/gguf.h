/* gguf.h - GGUF v2 and v3: bytes -> metadata and named tensors.
 *
 * gguf_parse is a pure function over bytes: every count, length and offset is checked with
 * checked arithmetic before use, so no byte sequence can make it read out of bounds, loop or
 * allocate more than a small multiple of the header. An error is one line with the file's name
 * and the offset at which it was found. Format: the GGUF specification of the ggml project.
 * Ownership: the parsed struct borrows the bytes; strings in it are views, not terminated.
 * Thread: any; immutable once parsed. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_GGUF_H
#define ENGINE_FORMATS_GGUF_H

#include "configs/error.h"
#include "kernels/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gguf_type {
    GGUF_UINT8 = 0,
    GGUF_INT8 = 1,
    GGUF_UINT16 = 2,
    GGUF_INT16 = 3,
    GGUF_UINT32 = 4,
    GGUF_INT32 = 5,
    GGUF_FLOAT32 = 6,
    GGUF_BOOL = 7,
    GGUF_STRING = 8,
    GGUF_ARRAY = 9,
    GGUF_UINT64 = 10,
    GGUF_INT64 = 11,
    GGUF_FLOAT64 = 12,
};

struct gguf_string {
    const char *bytes; /* not terminated */
    uint64_t byte_count;
};

struct gguf_array {
    enum gguf_type type; /* of the elements; never GGUF_ARRAY */
    uint64_t element_count;
    const uint8_t *bytes;        /* the packed elements, unaligned */
    struct gguf_string *strings; /* [element_count] when type is GGUF_STRING; owned by the gguf */
};

/* The offset of what lies in no GGUF file: see gguf_builder.h. */
#define GGUF_NO_OFFSET UINT64_MAX

struct gguf_entry {
    struct gguf_string key;
    enum gguf_type type;
    uint64_t offset; /* of the value in the file, for messages; or GGUF_NO_OFFSET */
    union {
        uint64_t u; /* unsigned types and bool */
        int64_t i;  /* signed types */
        double f;   /* float types */
        struct gguf_string string;
        struct gguf_array array;
    } value;
};

struct gguf_tensor {
    struct gguf_string name;
    struct tensor tensor;  /* dtype valid only if supported */
    uint32_t ggml_type;    /* as stored */
    const char *type_name; /* ggml's name of the stored type, also for unsupported ones */
    bool supported;        /* false: the type is known but nothing here computes with it */
    uint64_t byte_count;
    uint64_t offset; /* of the data in the file, or GGUF_NO_OFFSET */
};

/* Memory that goes with a gguf made by a builder. */
struct gguf_holding {
    void *memory;
    uint64_t mapped_bytes; /* a mapping of that length; 0: of malloc */
};

struct gguf {
    char path[256];       /* for messages */
    const uint8_t *bytes; /* of the whole file; NULL when a builder made it */
    uint64_t byte_count;
    uint32_t version;
    uint32_t alignment;
    struct gguf_entry *entries; /* [entry_count], file order */
    uint64_t entry_count;
    struct gguf_tensor *tensors; /* [tensor_count], file order */
    uint64_t tensor_count;
    uint32_t *entry_index;  /* [entry_count] by key: find is a binary search, which no choice */
    uint32_t *tensor_index; /* [tensor_count] by name: of names can make slow */
    bool mapped;            /* gguf_open: bytes are ours to unmap */
    struct gguf_holding *holdings; /* [holding_count], of a builder; ours to give back */
    uint64_t holding_count;
};

/* Parses bytes that stay valid and unchanged while the gguf is used. */
enum status gguf_parse(struct gguf *out, const uint8_t *bytes, uint64_t byte_count,
                       const char *path, struct error *err);

/* Maps a file read-only and parses it. Refuses anything but a regular file. */
enum status gguf_open(struct gguf *out, const char *path, struct error *err);

void gguf_close(struct gguf *file);

/* For the builder: gives back one holding; notes the path, its end if it is too long. */
void gguf_let_go(const struct gguf_holding *holding);
void gguf_keep_path(struct gguf *file, const char *path);

const struct gguf_entry *gguf_find(const struct gguf *file, const char *key);
const struct gguf_tensor *gguf_find_tensor(const struct gguf *file, const char *name);

/* Typed access. An absent key leaves *out alone and is OK if `required` is false; a present key of
 * another kind, or out of [min, max], is ERR_FORMAT naming key, value and limit. */
enum status gguf_get_u64(const struct gguf *file, const char *key, bool required, uint64_t min,
                         uint64_t max, uint64_t *out, struct error *err);
enum status gguf_get_u32(const struct gguf *file, const char *key, bool required, uint32_t min,
                         uint32_t max, uint32_t *out, struct error *err);
enum status gguf_get_f32(const struct gguf *file, const char *key, bool required, float min,
                         float max, float *out, struct error *err); /* finite */
enum status gguf_get_bool(const struct gguf *file, const char *key, bool required, bool *out,
                          struct error *err);
enum status gguf_get_string(const struct gguf *file, const char *key, bool required,
                            struct gguf_string *out, struct error *err);
enum status gguf_get_array(const struct gguf *file, const char *key, bool required,
                           enum gguf_type type, struct gguf_array *out, struct error *err);

/* "uint32", "string", ... */
const char *gguf_get_type_name(enum gguf_type type);

/* Element i of a numeric array, whatever its width. i < element_count. The integer ones are not for
 * arrays of floats: gguf_get_array has made sure of the type. */
uint64_t gguf_array_u64(const struct gguf_array *array, uint64_t i);
int64_t gguf_array_i64(const struct gguf_array *array, uint64_t i);
double gguf_array_f64(const struct gguf_array *array, uint64_t i);

bool gguf_string_equal(struct gguf_string string, const char *text);

#endif
