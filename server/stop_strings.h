/* stop_strings.h - finds the first of several strings in text that arrives in pieces.
 *
 * The result is that of looking after every single byte, so it does not depend on how the text is
 * cut: the match that ends first wins; of several that end together, the longest.
 * Thread: a set is constant once filled; a match belongs to its choice.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_STOP_STRINGS_H
#define SERVER_STOP_STRINGS_H

#include "configs/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stop_strings {
    uint32_t count;
    struct stop_string {
        char *bytes;        /* owned copy */
        uint16_t *fallback; /* owned: longest proper border of each prefix */
        uint32_t byte_count;
    } strings[LIMIT_STOP_STRINGS];
};

struct stop_match {
    uint16_t matched[LIMIT_STOP_STRINGS]; /* bytes of each string that the text's end equals */
};

/* set starts zeroed. bytes: 1 .. LIMIT_STOP_BYTES. False: no memory, or the set is full. */
bool stop_strings_add(struct stop_strings *set, const char *bytes, size_t byte_count);
void stop_strings_release(struct stop_strings *set);

/* Takes one byte more. Returns the length of the string that now ends here, or 0. */
size_t stop_strings_feed(const struct stop_strings *set, struct stop_match *match, char byte);

/* How many of the text's last bytes may be the start of a stop string. */
size_t stop_strings_held(const struct stop_strings *set, const struct stop_match *match);

#endif
