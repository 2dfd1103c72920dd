/* inspect.h - a model's file to look at, without an engine: its metadata, its tensors, its tokenizer.
 *
 * For the commands, which are part of the server and so see no gguf. Everything pointed to is
 * borrowed from the inspection. Files that nothing here can serve can be looked at, too.
 * Thread: any once open (immutable). SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_INSPECT_H
#define ENGINE_INSPECT_H

#include "configs/error.h"
#include "engine/tokenizer/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    INSPECT_DIMS_MAX = 4
};

struct inspect;

/* path NULL: the embedded demo model. */
enum status inspect_open(struct inspect **out, const char *path, struct error *err);
void inspect_close(struct inspect *inspect); /* accepts NULL */

struct inspect_text {
    const char *bytes; /* not terminated; any bytes at all */
    size_t byte_count;
};

struct inspect_info {
    const char *path;
    uint32_t version;   /* of GGUF; 0: the model is no GGUF file */
    uint32_t alignment; /* of tensor data in the file */
    uint64_t byte_count;
    uint64_t entry_count;
    uint64_t tensor_count;
    uint64_t parameter_count; /* values of all tensors */
    uint64_t tensor_bytes;
    struct inspect_text architecture;  /* general.architecture; empty when there is none */
    struct inspect_text chat_template; /* likewise */
    struct inspect_text tool_template; /* likewise: of requests with tools */
};

void inspect_get_info(const struct inspect *inspect, struct inspect_info *out);

enum inspect_kind {
    INSPECT_UNSIGNED,
    INSPECT_SIGNED,
    INSPECT_REAL, /* may be NaN or infinite */
    INSPECT_TRUTH,
    INSPECT_TEXT,
};

struct inspect_entry {
    struct inspect_text key;
    const char *type_name; /* of the value, or of an array's values: "uint32", "string", ... */
    enum inspect_kind kind;
    bool is_array;
    bool is_single;       /* reals of 32 bits: nine digits say all of them */
    uint64_t value_count; /* 1 unless it is an array */
};

struct inspect_value {
    uint64_t u; /* INSPECT_UNSIGNED; INSPECT_TRUTH: 0 or 1 */
    int64_t i;  /* INSPECT_SIGNED */
    double f;   /* INSPECT_REAL */
    struct inspect_text text;
};

/* index < entry_count, in the order of the file; value_index < value_count. */
void inspect_get_entry(const struct inspect *inspect, uint64_t index, struct inspect_entry *out);
void inspect_get_value(const struct inspect *inspect, uint64_t index, uint64_t value_index,
                       struct inspect_value *out);

struct inspect_tensor {
    struct inspect_text name;
    const char *type_name;
    bool supported;                   /* false: nothing here computes with that type */
    uint32_t dim_count;               /* 1..INSPECT_DIMS_MAX */
    uint64_t shape[INSPECT_DIMS_MAX]; /* outermost first */
    uint64_t value_count;
    uint64_t byte_count;
    uint64_t offset; /* in the file; meaningless where version is 0 */
};

/* index < tensor_count, in the order of the file. */
void inspect_get_tensor(const struct inspect *inspect, uint64_t index, struct inspect_tensor *out);

/* The model's tokenizer, for tokenizer_close; the inspection must stay open meanwhile. */
enum status inspect_open_tokenizer(const struct inspect *inspect, struct tokenizer **out,
                                   struct error *err);

#endif
