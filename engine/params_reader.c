/* params_reader.c - puts the architecture before a key's name. SPDX-License-Identifier: Apache-2.0 */
#include "engine/params_reader.h"

#include <stdio.h>

const char *params_reader_key(const struct params_reader *reader, const char *suffix, char *key)
{
    snprintf(key, PARAMS_KEY_BYTES, "%s.%s", reader->family->architecture, suffix);
    return key;
}

enum status params_reader_u32(const struct params_reader *reader, const char *suffix, bool required,
                              uint32_t min, uint32_t max, uint32_t *out, struct error *err)
{
    char key[PARAMS_KEY_BYTES];
    params_reader_key(reader, suffix, key);
    return gguf_get_u32(reader->file, key, required, min, max, out, err);
}

enum status params_reader_f32(const struct params_reader *reader, const char *suffix, float min,
                              float max, float *out, struct error *err)
{
    char key[PARAMS_KEY_BYTES];
    params_reader_key(reader, suffix, key);
    return gguf_get_f32(reader->file, key, false, min, max, out, err);
}

enum status params_reader_bool(const struct params_reader *reader, const char *suffix, bool *out,
                               struct error *err)
{
    char key[PARAMS_KEY_BYTES];
    params_reader_key(reader, suffix, key);
    return gguf_get_bool(reader->file, key, false, out, err);
}
