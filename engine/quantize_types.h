/* quantize_types.h - which type each tensor of a model gets; used by quantize.c alone.
 *
 * The rules are in quantize.h. Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_QUANTIZE_TYPES_H
#define ENGINE_QUANTIZE_TYPES_H

#include "engine/formats/gguf.h"

#include <stdbool.h>

/* One "PATTERN=TYPE". */
struct quantize_override {
    char *pattern; /* points into quantize_wish.text */
    enum dtype dtype;
    bool matched; /* some tensor */
};

/* What the user asks for. */
struct quantize_wish {
    enum dtype dtype;
    bool requantize;
    char *text;                          /* owned */
    struct quantize_override *overrides; /* [override_count], owned */
    uint32_t override_count;
};

/* ERR_INVALID names what is no type or no override. Release after any outcome. */
enum status quantize_types_parse(struct quantize_wish *wish, const char *type_name,
                                 const char *overrides, struct error *err);
void quantize_types_release(struct quantize_wish *wish);

struct quantize_choice {
    bool verbatim; /* the stored bytes are taken as they are: dtype does not count */
    enum dtype dtype;
    char note[160]; /* why not the wanted type, or "" */
};

/* Of the tensor of file with this index. ERR_UNSUPPORTED: its type cannot be read; ERR_INVALID: an
 * override does not fit it, or it would be quantised twice. Notes which overrides matched. */
enum status quantize_types_choose(struct quantize_choice *out, struct quantize_wish *wish,
                                  const struct gguf *file, uint64_t index, struct error *err);

/* ERR_INVALID when an override matched nothing that can have a type of its own. */
enum status quantize_types_check_used(const struct quantize_wish *wish, struct error *err);

/* The number that general.file_type has for a file of this type. */
uint32_t quantize_types_file_type(enum dtype dtype);

/* f32, f16, bf16 */
bool quantize_types_is_float(enum dtype dtype);

#endif
