/* charsmap.c - every step through the trie checks its bounds, so that a hostile table finds other
 * texts but nothing outside itself. SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/charsmap.h"

#include "configs/limits.h"
#include "engine/formats/gguf.h"
#include "engine/tokenizer/char_class.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    KEY_BYTES_MAX = 256,    /* of a match: keeps hostile tables linear; real keys have up to 30 */
    GRAPHEME_BYTES_MAX = 5, /* that is looked up as a whole */
};

#define NONE UINT32_MAX

/* ---- a unit of the double array ---- */

static uint32_t unit_offset(uint32_t unit)
{
    return (unit >> 10) << ((unit & 0x200) >> 6);
}

static uint32_t unit_label(uint32_t unit)
{
    return unit & 0x800000FF;
}

static bool unit_has_leaf(uint32_t unit)
{
    return (unit & 0x100) != 0;
}

/* The node that `byte` leads to from the children at `base`, or NONE. */
static uint32_t child(const struct charsmap *map, uint32_t base, uint8_t byte)
{
    uint32_t node = base ^ byte;
    return byte != 0 && node < map->unit_count && unit_label(map->units[node]) == byte ? node
                                                                                       : NONE;
}

static uint32_t children_of(const struct charsmap *map, uint32_t node)
{
    return node ^ unit_offset(map->units[node]);
}

/* Where the text of a node that ends a key begins; NONE for any other. */
static uint32_t text_of(const struct charsmap *map, uint32_t node)
{
    uint32_t leaf = children_of(map, node);
    if (!unit_has_leaf(map->units[node]) || leaf >= map->unit_count) {
        return NONE;
    }
    uint32_t at = map->units[leaf] & 0x7FFFFFFF;
    return at < map->text_bytes ? at : NONE;
}

/* ---- loading ---- */

static enum status ill_formed(const struct gguf *file, const char *why, struct error *err)
{
    return error_set(err, ERR_FORMAT, "%s: " CHARSMAP_KEY ": %s", file->path, why);
}

/* How much longer texts are than the shortest keys that lead to them: breadth first, so that a node
 * is met at its least depth. */
static enum status measure(struct charsmap *map, struct error *err)
{
    uint32_t *queue = malloc(map->unit_count * sizeof *queue);
    bool *met = calloc(map->unit_count, 1);
    uint32_t *depths = calloc(map->unit_count, sizeof *depths);
    uint32_t count = 0;
    map->growth = 1;
    if (queue == NULL || met == NULL || depths == NULL) {
        free(queue);
        free(met);
        free(depths);
        return error_set(err, ERR_MEMORY, "no memory for a table of characters");
    }
    queue[count++] = 0;
    met[0] = true;
    for (uint32_t taken = 0; taken < count; taken++) {
        uint32_t node = queue[taken];
        uint32_t at = node != 0 ? text_of(map, node) : NONE;
        if (at != NONE) {
            uint32_t bytes = (uint32_t)strlen(map->texts + at);
            uint32_t factor = (bytes + depths[node] - 1) / depths[node];
            map->growth = factor > map->growth ? factor : map->growth;
        }
        for (unsigned byte = 1; byte < 256; byte++) {
            uint32_t next = child(map, children_of(map, node), (uint8_t)byte);
            if (next != NONE && !met[next]) {
                met[next] = true;
                depths[next] = depths[node] + 1;
                queue[count++] = next;
            }
        }
    }
    free(queue);
    free(met);
    free(depths);
    return OK;
}

/* The bytes of a string, or of an array of bytes: a reader of GGUF makes the one, llama.cpp the other. */
static bool find_bytes(const struct gguf_entry *entry, struct gguf_string *bytes)
{
    const struct gguf_array *array = &entry->value.array;
    if (entry->type == GGUF_STRING) {
        *bytes = entry->value.string;
        return true;
    }
    *bytes = (struct gguf_string){(const char *)array->bytes, array->element_count};
    return entry->type == GGUF_ARRAY && (array->type == GGUF_UINT8 || array->type == GGUF_INT8);
}

static uint32_t read_u32(const char *bytes)
{
    const uint8_t *b = (const uint8_t *)bytes;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static enum status copy(struct charsmap *map, const char *units, const char *texts,
                        struct error *err)
{
    map->units = malloc(map->unit_count * sizeof *map->units);
    map->texts = malloc(map->text_bytes);
    if (map->units == NULL || map->texts == NULL) {
        charsmap_release(map);
        return error_set(err, ERR_MEMORY, "no memory for a table of characters");
    }
    for (uint32_t i = 0; i < map->unit_count; i++) {
        map->units[i] = read_u32(units + (size_t)i * sizeof *map->units);
    }
    memcpy(map->texts, texts, map->text_bytes);
    return OK;
}

enum status charsmap_load(struct charsmap *map, const struct gguf *file, struct error *err)
{
    *map = (struct charsmap){.growth = 1};
    const struct gguf_entry *entry = gguf_find(file, CHARSMAP_KEY);
    struct gguf_string bytes = {0};
    if (entry != NULL && !find_bytes(entry, &bytes)) {
        return ill_formed(file, "neither an array of bytes nor a string", err);
    }
    if (bytes.byte_count == 0) {
        return OK;
    }
    uint32_t trie_bytes = bytes.byte_count >= 4 ? read_u32(bytes.bytes) : 0;
    if (bytes.byte_count > LIMIT_GGUF_STRING || trie_bytes < 4 || trie_bytes % 4 != 0 ||
        trie_bytes >= bytes.byte_count - 4 || bytes.bytes[bytes.byte_count - 1] != '\0') {
        return ill_formed(file, "not the length of a trie, the trie, and texts that end in NUL",
                          err);
    }
    map->unit_count = trie_bytes / 4;
    map->text_bytes = (uint32_t)bytes.byte_count - 4 - trie_bytes;
    enum status status = copy(map, bytes.bytes + 4, bytes.bytes + 4 + trie_bytes, err);
    if (status == OK) {
        status = measure(map, err);
    }
    if (status != OK) {
        charsmap_release(map);
    }
    return status;
}

void charsmap_release(struct charsmap *map)
{
    free(map->units);
    free(map->texts);
    *map = (struct charsmap){.growth = 1};
}

/* ---- applying ---- */

/* The text of the longest or shortest key that begins `at`; *key_bytes of it. NULL: none. */
static const char *find(const struct charsmap *map, const uint8_t *at, const uint8_t *end,
                        bool longest, size_t *key_bytes)
{
    const char *found = NULL;
    uint32_t base = children_of(map, 0);
    size_t most = (size_t)(end - at) < KEY_BYTES_MAX ? (size_t)(end - at) : KEY_BYTES_MAX;
    for (size_t i = 0; i < most && (longest || found == NULL); i++) {
        uint32_t node = child(map, base, at[i]);
        if (node == NONE) {
            break;
        }
        uint32_t text = text_of(map, node);
        if (text != NONE) {
            found = map->texts + text;
            *key_bytes = i + 1;
        }
        base = children_of(map, node);
    }
    return found;
}

struct output {
    uint8_t *bytes;
    size_t byte_count;
    size_t capacity;
    bool failed;
};

static void put(struct output *out, const void *bytes, size_t byte_count)
{
    if (out->failed || byte_count == 0) {
        return;
    }
    if (out->capacity - out->byte_count < byte_count) {
        size_t capacity = 2 * (out->byte_count + byte_count);
        uint8_t *grown = realloc(out->bytes, capacity);
        if (grown == NULL) {
            out->failed = true;
            return;
        }
        out->bytes = grown;
        out->capacity = capacity;
    }
    memcpy(out->bytes + out->byte_count, bytes, byte_count);
    out->byte_count += byte_count;
}

/* Bytes of the character at `at`; those of none go by themselves. */
static size_t character_at(const uint8_t *at, const uint8_t *end, uint32_t *code)
{
    *code = 0;
    uint32_t bytes = char_class_utf8(at, end, code);
    return bytes > 0 ? bytes : 1;
}

static void apply_longest(const struct charsmap *map, const uint8_t *text, const uint8_t *end,
                          struct output *out)
{
    uint32_t code = 0;
    for (const uint8_t *at = text; at < end;) {
        size_t key_bytes = 0;
        const char *found = find(map, at, end, true, &key_bytes);
        if (found != NULL) {
            put(out, found, strlen(found));
        } else {
            key_bytes = character_at(at, end, &code);
            put(out, at, key_bytes);
        }
        at += key_bytes;
    }
}

static const uint8_t *grapheme_end(const uint8_t *at, const uint8_t *end)
{
    uint32_t code = 0;
    utf8proc_int32_t state = 0;
    at += character_at(at, end, &code);
    while (at < end) {
        uint32_t next = 0;
        size_t bytes = character_at(at, end, &next);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)code, (utf8proc_int32_t)next,
                                             &state)) {
            break;
        }
        code = next;
        at += bytes;
    }
    return at;
}

static void apply_graphemes(const struct charsmap *map, const uint8_t *text, const uint8_t *end,
                            struct output *out)
{
    uint32_t code = 0;
    for (const uint8_t *at = text; at < end;) {
        const uint8_t *stop = grapheme_end(at, end);
        size_t key_bytes = 0;
        const char *whole =
            stop - at <= GRAPHEME_BYTES_MAX ? find(map, at, stop, false, &key_bytes) : NULL;
        if (whole != NULL) {
            put(out, whole, strlen(whole));
            at = stop;
        }
        while (at < stop) {
            size_t bytes = character_at(at, stop, &code);
            const char *found = find(map, at, at + bytes, false, &key_bytes);
            put(out, found != NULL ? (const void *)found : at,
                found != NULL ? strlen(found) : bytes);
            at += bytes;
        }
    }
}

enum status charsmap_apply(const struct charsmap *map, enum charsmap_way way, const uint8_t *text,
                           size_t text_bytes, uint8_t **out, size_t *out_bytes, struct error *err)
{
    struct output output = {.bytes = malloc(text_bytes + 1), .capacity = text_bytes + 1};
    output.failed = output.bytes == NULL;
    if (way == CHARSMAP_LONGEST) {
        apply_longest(map, text, text + text_bytes, &output);
    } else {
        apply_graphemes(map, text, text + text_bytes, &output);
    }
    if (output.failed) {
        free(output.bytes);
        return error_set(err, ERR_MEMORY, "no memory to normalise %zu bytes of text", text_bytes);
    }
    *out = output.bytes;
    *out_bytes = output.byte_count;
    return OK;
}
