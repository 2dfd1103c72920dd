/* api_keys.c - every key lies in a zero-padded cell of one size; a candidate is laid out alike and
 * compared with all cells over their whole length. SPDX-License-Identifier: Apache-2.0 */
#include "server/api_keys.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    KEY_BYTES_MAX = 256,
    KEY_COUNT_MAX = 4096
};

struct key {
    unsigned char bytes[KEY_BYTES_MAX];
};

struct api_keys {
    size_t count;
    struct key keys[]; /* [count] */
};

static bool is_key_byte(char byte)
{
    return byte > 0x20 && byte < 0x7F;
}

/* The key in a line: where it starts, and its length without blanks around. */
static size_t find_key(const char *line, const char **start)
{
    *start = line + strspn(line, " \t");
    return strcspn(*start, " \t\r\n");
}

static enum status add_line(struct api_keys *keys, const char *path, size_t line_number,
                            const char *line, struct error *err)
{
    const char *start;
    size_t byte_count = find_key(line, &start);
    if (byte_count == 0 || start[0] == '#') {
        return OK;
    }
    const char *rest = start + byte_count;
    bool well_formed = byte_count <= KEY_BYTES_MAX && rest[strspn(rest, " \t\r\n")] == '\0';
    for (size_t i = 0; i < byte_count; i++) {
        well_formed = well_formed && is_key_byte(start[i]);
    }
    if (!well_formed) {
        return error_set(err, ERR_FORMAT,
                         "api-key-file %s line %zu: a key is 1 to %d printable ASCII characters "
                         "without blanks",
                         path, line_number, KEY_BYTES_MAX);
    }
    if (keys->count == KEY_COUNT_MAX) {
        return error_set(err, ERR_FORMAT, "api-key-file %s: more than %d keys", path,
                         KEY_COUNT_MAX);
    }
    memcpy(keys->keys[keys->count].bytes, start, byte_count);
    keys->count++;
    return OK;
}

static enum status read_lines(struct api_keys *keys, const char *path, FILE *file,
                              struct error *err)
{
    char *line = NULL;
    size_t capacity = 0;
    enum status status = OK;
    for (size_t number = 1; status == OK && getline(&line, &capacity, file) >= 0; number++) {
        status = add_line(keys, path, number, line, err);
    }
    if (line != NULL) {
        explicit_bzero(line, capacity);
    }
    free(line);
    if (status == OK && ferror(file)) {
        return error_set(err, ERR_IO, "api-key-file %s: cannot be read", path);
    }
    if (status == OK && keys->count == 0) {
        return error_set(err, ERR_FORMAT, "api-key-file %s: holds no key", path);
    }
    return status;
}

enum status api_keys_open(struct api_keys **out, const char *path, struct error *err)
{
    *out = NULL;
    if (path == NULL) {
        return OK;
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return error_set(err, ERR_IO, "api-key-file %s: %s", path, strerror(errno));
    }
    struct api_keys *keys = calloc(1, sizeof *keys + KEY_COUNT_MAX * sizeof keys->keys[0]);
    enum status status = keys != NULL
                             ? read_lines(keys, path, file, err)
                             : error_set(err, ERR_MEMORY, "api-key-file %s: no memory", path);
    fclose(file);
    if (status != OK) {
        api_keys_close(keys);
        return status;
    }
    *out = keys;
    return OK;
}

void api_keys_close(struct api_keys *keys)
{
    if (keys != NULL) {
        explicit_bzero(keys->keys, keys->count * sizeof keys->keys[0]);
        free(keys);
    }
}

/* 1 when all bytes are equal; always looks at all of them. */
static unsigned equal(const struct key *a, const struct key *b)
{
    unsigned difference = 0;
    for (size_t i = 0; i < KEY_BYTES_MAX; i++) {
        difference |= (unsigned)(a->bytes[i] ^ b->bytes[i]);
    }
    return difference == 0;
}

bool api_keys_accept(const struct api_keys *keys, const char *authorization, size_t byte_count)
{
    static const char scheme[] = "Bearer ";
    if (byte_count < sizeof scheme || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    const char *start = authorization + (sizeof scheme - 1);
    size_t key_bytes = byte_count - (sizeof scheme - 1);
    while (key_bytes > 0 && start[0] == ' ') {
        start++;
        key_bytes--;
    }
    if (key_bytes == 0 || key_bytes > KEY_BYTES_MAX || memchr(start, '\0', key_bytes) != NULL) {
        return false;
    }
    struct key candidate = {{0}};
    memcpy(candidate.bytes, start, key_bytes);
    unsigned found = 0;
    for (size_t i = 0; i < keys->count; i++) {
        found |= equal(&keys->keys[i], &candidate);
    }
    return found != 0;
}
