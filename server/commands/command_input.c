/* command_input.c - reading to the end, up to a maximum. SPDX-License-Identifier: Apache-2.0 */
#include "server/commands/command_input.h"

#include "configs/limits.h"
#include "server/json_guard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    PORTION_BYTES = 65536
};

static enum status read_all(struct text_buffer *out, FILE *file, const char *name,
                            struct error *err)
{
    char portion[PORTION_BYTES];
    size_t byte_count;
    text_buffer_append(out, "", 0);
    while (!out->failed && (byte_count = fread(portion, 1, sizeof portion, file)) > 0) {
        text_buffer_append(out, portion, byte_count);
    }
    if (out->failed) {
        return error_set(err, ERR_FULL, "%.300s: longer than %zu bytes", name, out->bytes_max);
    }
    if (ferror(file)) {
        return error_set(err, ERR_IO, "%.300s: cannot be read: %s", name, strerror(errno));
    }
    return OK;
}

enum status command_input_read(struct text_buffer *out, const char *path, struct error *err)
{
    if (strcmp(path, COMMAND_INPUT_STANDARD) == 0) {
        return read_all(out, stdin, "standard input", err);
    }
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return error_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%.300s: %s", path,
                         strerror(errno));
    }
    enum status status = read_all(out, file, path, err);
    fclose(file);
    return status;
}

static enum status parse(json_t **out, const struct text_buffer *text, const char *path,
                         struct error *err)
{
    struct refusal refusal = {0};
    if (json_guard_check(text->bytes, text->byte_count, &refusal) != OK) {
        return error_set(err, ERR_INVALID, "%.300s: %.160s", path, refusal.error.message);
    }
    json_error_t failure = {.line = 1, .text = "the file is empty"};
    json_t *root = NULL;
    if (text->byte_count > 0) {
        root = json_loadb(text->bytes, text->byte_count, JSON_REJECT_DUPLICATES, &failure);
    }
    if (root == NULL) {
        return error_set(err, ERR_FORMAT, "%.300s:%d: %.160s", path, failure.line, failure.text);
    }
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(err, ERR_FORMAT, "%.300s:1: must be a JSON object", path);
    }
    *out = root;
    return OK;
}

enum status command_input_read_json(json_t **out, const char *path, struct error *err)
{
    struct text_buffer text;
    text_buffer_init(&text, LIMIT_ENCODE_BYTES);
    enum status status = command_input_read(&text, path, err);
    if (status == OK) {
        status = parse(out, &text, path, err);
    }
    text_buffer_release(&text);
    return status;
}
