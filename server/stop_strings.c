/* stop_strings.c - one Knuth-Morris-Pratt automaton per string: constant memory per choice, and no
 * byte is looked at twice. SPDX-License-Identifier: Apache-2.0 */
#include "server/stop_strings.h"

#include <stdlib.h>
#include <string.h>

/* fallback[i]: length of the longest proper prefix of bytes that ends bytes[0 .. i]. */
static void fill_fallback(const char *bytes, size_t byte_count, uint16_t *fallback)
{
    fallback[0] = 0;
    size_t length = 0;
    for (size_t i = 1; i < byte_count; i++) {
        while (length > 0 && bytes[i] != bytes[length]) {
            length = fallback[length - 1];
        }
        if (bytes[i] == bytes[length]) {
            length++;
        }
        fallback[i] = (uint16_t)length;
    }
}

bool stop_strings_add(struct stop_strings *set, const char *bytes, size_t byte_count)
{
    if (set->count == LIMIT_STOP_STRINGS || byte_count == 0 || byte_count > LIMIT_STOP_BYTES) {
        return false;
    }
    struct stop_string *string = &set->strings[set->count];
    char *copy = malloc(byte_count);
    uint16_t *fallback = malloc(byte_count * sizeof *fallback);
    if (copy == NULL || fallback == NULL) {
        free(copy);
        free(fallback);
        return false;
    }
    memcpy(copy, bytes, byte_count);
    fill_fallback(copy, byte_count, fallback);
    *string = (struct stop_string){copy, fallback, (uint32_t)byte_count};
    set->count++;
    return true;
}

void stop_strings_release(struct stop_strings *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        free(set->strings[i].bytes);
        free(set->strings[i].fallback);
    }
    *set = (struct stop_strings){0};
}

static uint16_t advance(const struct stop_string *string, uint16_t matched, char byte)
{
    while (matched > 0 && (matched == string->byte_count || string->bytes[matched] != byte)) {
        matched = string->fallback[matched - 1];
    }
    return string->bytes[matched] == byte ? (uint16_t)(matched + 1) : matched;
}

size_t stop_strings_feed(const struct stop_strings *set, struct stop_match *match, char byte)
{
    size_t longest = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct stop_string *string = &set->strings[i];
        match->matched[i] = advance(string, match->matched[i], byte);
        if (match->matched[i] == string->byte_count && string->byte_count > longest) {
            longest = string->byte_count;
        }
    }
    return longest;
}

size_t stop_strings_held(const struct stop_strings *set, const struct stop_match *match)
{
    size_t held = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        held = match->matched[i] > held ? match->matched[i] : held;
    }
    return held;
}
