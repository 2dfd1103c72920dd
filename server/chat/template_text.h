/* template_text.h - strings as Python sees them: code points, Unicode spaces and case.
 *
 * All text given here is valid UTF-8. Positions are code points unless the name says bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_TEMPLATE_TEXT_H
#define SERVER_CHAT_TEMPLATE_TEXT_H

#include "server/chat/template_run.h"

enum template_side {
    TEMPLATE_LEFT = 1,
    TEMPLATE_RIGHT = 2,
    TEMPLATE_BOTH = 3
};

/* Bytes of the first code point that is not well-formed UTF-8, or byte_count if all are. */
size_t template_text_valid_bytes(const char *bytes, size_t byte_count);

/* Code points; remembered in the string. */
size_t template_text_count(const struct template_string *string);
size_t template_text_count_bytes(const char *bytes, size_t byte_count);

/* Byte offset of a code point; index may be the count. */
size_t template_text_offset(const struct template_string *string, size_t index);

/* The code point at *position bytes, which moves behind it. */
int32_t template_text_next(const char *bytes, size_t *position);

/* Bytes of the code point that starts with this byte. */
size_t template_text_step(char first);

bool template_text_is_space(int32_t codepoint);
bool template_text_is_line_end(int32_t codepoint);
bool template_text_is_word(int32_t codepoint); /* what \w matches */

/* The part that is left when characters of set (NULL: white space) are gone from the sides. */
void template_text_strip(const char **bytes, size_t *byte_count, const struct template_string *set,
                         enum template_side side);

/* Byte offset of the first (last) place of needle, or SIZE_MAX. */
size_t template_text_find(const char *bytes, size_t byte_count,
                          const struct template_string *needle);
size_t template_text_find_last(const char *bytes, size_t byte_count,
                               const struct template_string *needle);

bool template_text_equal(const struct template_string *left, const struct template_string *right);

/* By code point, as Python orders strings: below, equal or above zero. */
int template_text_compare(const struct template_string *left, const struct template_string *right);

/* A piece of a string that shares its bytes. */
bool template_text_piece(struct template_run *run, const struct template_string *string,
                         size_t first_byte, size_t byte_count, struct template_value *out);

/* The characters at start, start + step, ...: count of them, all inside the string. */
bool template_text_pick(struct template_run *run, const struct template_string *string,
                        int64_t start, int64_t step, size_t count, struct template_value *out);

#endif
