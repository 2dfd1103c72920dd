/* opened_tokenizer.c - the reader is chosen by the path's ending.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/opened_tokenizer.h"

#include "engine/formats/file_map.h"
#include "engine/formats/gguf_builder.h"
#include "engine/formats/hf_tokenizer.h"
#include "engine/formats/sentencepiece_model.h"

#include <string.h>

static bool ends_with(const char *path, const char *ending)
{
    size_t length = strlen(path);
    size_t tail = strlen(ending);
    return length >= tail && strcmp(path + length - tail, ending) == 0;
}

static enum status finish(struct opened_tokenizer *out, struct gguf_builder *builder,
                          enum status status, struct error *err)
{
    if (status != OK) {
        gguf_builder_release(builder);
        return status;
    }
    status = gguf_builder_finish(builder, &out->file, err);
    if (status != OK) {
        return status;
    }
    status = tokenizer_open(&out->tokenizer, &out->file, err);
    if (status != OK) {
        gguf_close(&out->file);
        *out = (struct opened_tokenizer){0};
    }
    return status;
}

static enum status open_mapped(struct gguf_builder *builder, const char *path, struct error *err)
{
    const uint8_t *bytes = NULL;
    uint64_t byte_count = 0;
    enum status status = file_map_open(path, &bytes, &byte_count, err);
    if (status == OK && ends_with(path, ".model")) {
        status = sentencepiece_model_read(builder, bytes, byte_count, 0, path, err);
    } else if (status == OK) {
        status = hf_tokenizer_parse(builder, (const char *)bytes, byte_count, path, err);
    }
    file_map_close(bytes, byte_count);
    return status;
}

enum status opened_tokenizer_open(struct opened_tokenizer *out, const char *path, struct error *err)
{
    *out = (struct opened_tokenizer){0};
    if (ends_with(path, ".gguf")) {
        enum status status = gguf_open(&out->file, path, err);
        return status == OK ? tokenizer_open(&out->tokenizer, &out->file, err) : status;
    }
    struct gguf_builder builder;
    gguf_builder_init(&builder, path);
    enum status status = ends_with(path, ".model") || ends_with(path, ".json")
                             ? open_mapped(&builder, path, err)
                             : hf_tokenizer_read(&builder, path, err);
    return finish(out, &builder, status, err);
}

enum status opened_tokenizer_parse(struct opened_tokenizer *out, const char *json,
                                   size_t json_bytes, struct error *err)
{
    *out = (struct opened_tokenizer){0};
    struct gguf_builder builder;
    gguf_builder_init(&builder, "tokenizer.json");
    enum status status = hf_tokenizer_parse(&builder, json, json_bytes, "tokenizer.json", err);
    return finish(out, &builder, status, err);
}

void opened_tokenizer_close(struct opened_tokenizer *opened)
{
    tokenizer_close(opened->tokenizer);
    gguf_close(&opened->file);
    *opened = (struct opened_tokenizer){0};
}
