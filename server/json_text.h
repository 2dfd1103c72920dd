/* json_text.h - JSON written straight into a text_buffer.
 *
 * For answers, whose shape is fixed and which a stream writes once a token: no tree is built.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_JSON_TEXT_H
#define SERVER_JSON_TEXT_H

#include "server/text_buffer.h"

#include <stddef.h>
#include <stdint.h>

/* A quoted string. Ill-formed UTF-8 becomes U+FFFD, so that the document stays valid. */
void json_text_string(struct text_buffer *out, const char *bytes, size_t byte_count);

/* What stands between the quotes. May be given in pieces, cut between characters. */
void json_text_inside(struct text_buffer *out, const char *bytes, size_t byte_count);

/* As json_text_string, of terminated text; NULL is written as null. */
void json_text_string_or_null(struct text_buffer *out, const char *text);

/* A finite number that reads back as the same float; JSON has no NaN or infinity: the floor of
 * log-probabilities, -9999, stands in for them. */
void json_text_float(struct text_buffer *out, float value);

/* The bytes as an array of numbers, "bytes" of a log-probability. */
void json_text_bytes(struct text_buffer *out, const char *bytes, size_t byte_count);

void json_text_ids(struct text_buffer *out, const uint32_t *ids, size_t id_count);

/* How many bytes of well-formed UTF-8 start at bytes, at most one character: 1..4; 0 when the
 * first byte starts none. */
size_t json_text_character_bytes(const char *bytes, size_t byte_count);

#endif
