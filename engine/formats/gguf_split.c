/* A part says its place (split.no), how many there are (split.count) and how many tensors all have
 * together (split.tensors.count); its name says the first two again, counted from 1.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/gguf_split.h"

#include "configs/limits.h"
#include "engine/formats/gguf_cursor.h"
#include "engine/formats/gguf_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATH_BYTES = 4096,
    ENDING_BYTES = 20 /* of "-00001-of-00003.gguf" */
};

/* What the first part says of all. */
struct split {
    char path[PATH_BYTES]; /* cut before the ending */
    uint32_t part_count;
    uint32_t tensor_count;
};

static void write_ending(char ending[40], uint32_t part, uint32_t part_count)
{
    snprintf(ending, 40, "-%05u-of-%05u.gguf", part + 1, part_count);
}

static enum status read_split(struct split *split, const struct gguf *file, const char *path,
                              struct error *err)
{
    uint32_t number = 0;
    enum status status = gguf_get_u32(file, "split.no", true, 0, 0, &number, err);
    if (status == OK) {
        status = gguf_get_u32(file, "split.count", true, 2, LIMIT_SHARDS, &split->part_count, err);
    }
    if (status == OK) {
        status = gguf_get_u32(file, "split.tensors.count", true, 0, LIMIT_GGUF_TENSORS,
                              &split->tensor_count, err);
    }
    if (status != OK) {
        return status;
    }
    char ending[40];
    size_t length = strlen(path);
    write_ending(ending, 0, split->part_count);
    if (length < ENDING_BYTES || length >= PATH_BYTES ||
        strcmp(path + length - ENDING_BYTES, ending) != 0) {
        return error_set(err, ERR_FORMAT,
                         "%s: split.count is %u, so the first part's name must end with %s",
                         file->path, split->part_count, ending);
    }
    memcpy(split->path, path, length - ENDING_BYTES);
    split->path[length - ENDING_BYTES] = '\0';
    return OK;
}

static enum status check_part(const struct gguf *part, const struct split *split, uint32_t number,
                              struct error *err)
{
    uint32_t value = 0;
    uint32_t tensors = split->tensor_count;
    enum status status = gguf_get_u32(part, "split.no", true, number, number, &value, err);
    if (status == OK) {
        status = gguf_get_u32(part, "split.count", true, split->part_count, split->part_count,
                              &value, err);
    }
    return status == OK
               ? gguf_get_u32(part, "split.tensors.count", true, tensors, tensors, &value, err)
               : status;
}

/* Takes over the part's mapping and its tensors. */
static enum status take_part(struct gguf *file, struct gguf *part, struct error *err)
{
    uint64_t count = file->tensor_count + part->tensor_count;
    struct gguf_tensor *tensors = reallocarray(file->tensors, count + 1, sizeof *tensors);
    if (tensors != NULL) {
        file->tensors = tensors;
        memcpy(tensors + file->tensor_count, part->tensors, part->tensor_count * sizeof *tensors);
    }
    struct gguf_holding *holdings =
        reallocarray(file->holdings, file->holding_count + 1, sizeof *holdings);
    if (holdings != NULL) {
        file->holdings = holdings;
    }
    if (tensors == NULL || holdings == NULL) {
        return error_set(err, ERR_MEMORY, "%s: no memory for its tensors", part->path);
    }
    holdings[file->holding_count++] =
        (struct gguf_holding){.memory = (void *)part->bytes, .mapped_bytes = part->byte_count};
    file->tensor_count = count;
    part->mapped = false;
    return OK;
}

static enum status add_parts(struct gguf *file, const struct split *split, struct error *err)
{
    enum status status = OK;
    for (uint32_t number = 1; number < split->part_count && status == OK; number++) {
        struct gguf part;
        char ending[40];
        char path[PATH_BYTES + 40];
        write_ending(ending, number, split->part_count);
        snprintf(path, sizeof path, "%s%s", split->path, ending);
        status = gguf_open(&part, path, err);
        if (status != OK) {
            return status;
        }
        status = check_part(&part, split, number, err);
        if (status == OK) {
            status = take_part(file, &part, err);
        }
        gguf_close(&part);
    }
    return status;
}

static enum status index_all(struct gguf *file, const struct split *split, struct error *err)
{
    if (file->tensor_count != split->tensor_count) {
        return error_set(err, ERR_FORMAT, "%s: split.tensors.count is %u, but its parts have %llu",
                         file->path, split->tensor_count, (unsigned long long)file->tensor_count);
    }
    const struct gguf_tensor *twice = NULL;
    free(file->tensor_index);
    if (!gguf_index_tensors(file, &twice)) {
        return error_set(err, ERR_MEMORY, "%s: no memory for an index of tensors", file->path);
    }
    return twice == NULL ? OK
                         : error_set(err, ERR_FORMAT, "%s: tensor %s is in two parts", file->path,
                                     gguf_cursor_show(twice->name).text);
}

enum status gguf_split_join(struct gguf *file, const char *path, struct error *err)
{
    uint32_t part_count = 1;
    struct split split;
    enum status status = gguf_get_u32(file, "split.count", false, 0, UINT32_MAX, &part_count, err);
    if (status == OK && part_count <= 1) {
        return OK;
    }
    if (status == OK) {
        status = read_split(&split, file, path, err);
    }
    if (status == OK) {
        status = add_parts(file, &split, err);
    }
    if (status == OK) {
        status = index_all(file, &split, err);
    }
    if (status != OK) {
        gguf_close(file);
        return status;
    }
    for (uint64_t i = 0; i < file->entry_count; i++) {
        if (gguf_string_equal(file->entries[i].key, "split.count")) {
            file->entries[i].value.u = 1;
        }
    }
    return OK;
}
