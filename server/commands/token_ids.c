/* token_ids.c - one pass; the room is bounded by the text, of which an id takes two bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/commands/token_ids.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHOWN_BYTES = 40 /* of a word quoted in a message */
};

static bool is_separator(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == '[' || c == ']';
}

static bool parse_id(const char *word, size_t word_bytes, uint32_t vocab_count, uint32_t *id)
{
    uint64_t value = 0;
    for (size_t i = 0; i < word_bytes; i++) {
        if (word[i] < '0' || word[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(word[i] - '0');
        if (value >= vocab_count) {
            return false;
        }
    }
    *id = (uint32_t)value;
    return true;
}

static enum status refuse(const char *text, size_t at, size_t word_bytes, uint32_t vocab_count,
                          struct error *err)
{
    char shown[SHOWN_BYTES + 1] = "";
    size_t shown_bytes = word_bytes < SHOWN_BYTES ? word_bytes : SHOWN_BYTES;
    for (size_t i = 0; i < shown_bytes; i++) {
        unsigned char c = (unsigned char)text[at + i];
        shown[i] = (char)(c < 0x20 || c > 0x7e ? '?' : c);
    }
    size_t line = 1;
    for (size_t i = 0; i < at; i++) {
        line += text[i] == '\n';
    }
    return error_set(err, ERR_INVALID, "line %zu: '%s' is not a token id, 0 to %u", line, shown,
                     vocab_count - 1);
}

enum status token_ids_parse(uint32_t **ids, size_t *id_count, const char *text, size_t text_bytes,
                            uint32_t vocab_count, struct error *err)
{
    uint32_t *found = calloc(text_bytes / 2 + 1, sizeof *found);
    if (found == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the ids in %zu bytes", text_bytes);
    }
    *id_count = 0;
    for (size_t at = 0; at < text_bytes;) {
        size_t word_bytes = 0;
        while (at + word_bytes < text_bytes && !is_separator(text[at + word_bytes])) {
            word_bytes++;
        }
        if (word_bytes > 0) {
            if (!parse_id(text + at, word_bytes, vocab_count, &found[*id_count])) {
                free(found);
                return refuse(text, at, word_bytes, vocab_count, err);
            }
            (*id_count)++;
        }
        at += word_bytes + 1;
    }
    *ids = found;
    return OK;
}
