/* family.c - the rows. SPDX-License-Identifier: Apache-2.0 */
#include "engine/family.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum {
    NAME_BYTES = 96
};

static const struct family families[] = {
    {.architecture = "llama", .rope_style = ROPE_NEIGHBOURS},
    {.architecture = "qwen2", .rope_style = ROPE_HALVES, .qkv_bias = true},
    {.architecture = "qwen3", .rope_style = ROPE_HALVES, .qk_norm = true},
    {.architecture = "qwen2moe",
     .rope_style = ROPE_HALVES,
     .qkv_bias = true,
     .experts = true,
     .shared_expert = true},
    {.architecture = "qwen3moe",
     .rope_style = ROPE_HALVES,
     .qk_norm = true,
     .experts = true,
     .expert_normalize = true},
};

enum {
    FAMILY_COUNT = sizeof families / sizeof families[0]
};

const char *family_printable(char *out, size_t out_bytes, struct gguf_string text)
{
    size_t used = 0;
    while (used < text.byte_count && used + 4 < out_bytes) {
        unsigned char byte = (unsigned char)text.bytes[used];
        out[used++] = isprint(byte) ? (char)byte : '?';
    }
    out[used] = '\0';
    if (used < text.byte_count) {
        memcpy(out + used, "...", 4);
    }
    return out;
}

enum status family_find(const struct family **out, const struct gguf *file, struct error *err)
{
    struct gguf_string name;
    enum status status = gguf_get_string(file, "general.architecture", true, &name, err);
    if (status != OK) {
        return status;
    }
    char known[NAME_BYTES] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < FAMILY_COUNT; i++) {
        if (gguf_string_equal(name, families[i].architecture)) {
            *out = &families[i];
            return OK;
        }
        int written = snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                               families[i].architecture);
        used += (size_t)written;
    }
    char text[NAME_BYTES];
    return error_set(err, ERR_UNSUPPORTED,
                     "%s: general.architecture is \"%s\"; the known ones are %s", file->path,
                     family_printable(text, sizeof text, name), known);
}
