/* params_reader.h - typed access to a model file's keys, which begin with its architecture's name.
 *
 * Absent keys that are not required leave *out alone; see gguf.h. Thread: any.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_PARAMS_READER_H
#define ENGINE_PARAMS_READER_H

#include "configs/error.h"
#include "engine/family.h"
#include "engine/formats/gguf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PARAMS_KEY_BYTES = 96
};

/* A file and the family it names, whose name begins its keys. */
struct params_reader {
    const struct gguf *file;
    const struct family *family;
};

/* "llama.block_count" into key, which has PARAMS_KEY_BYTES. Returns key. */
const char *params_reader_key(const struct params_reader *reader, const char *suffix, char *key);

enum status params_reader_u32(const struct params_reader *reader, const char *suffix, bool required,
                              uint32_t min, uint32_t max, uint32_t *out, struct error *err);
enum status params_reader_f32(const struct params_reader *reader, const char *suffix, float min,
                              float max, float *out, struct error *err);
enum status params_reader_bool(const struct params_reader *reader, const char *suffix, bool *out,
                               struct error *err);

#endif
