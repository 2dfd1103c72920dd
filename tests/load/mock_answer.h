/* mock_answer.h - what the mock server says: the bytes of its answers.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_MOCK_ANSWER_H
#define TESTS_LOAD_MOCK_ANSWER_H

#include "tests/load/buffer.h"

#include <stdbool.h>
#include <stdint.h>

/* A request for a stream. */
struct mock_job {
    bool is_chat;
    uint32_t prompt_tokens;
    uint32_t output_tokens; /* to send */
    uint32_t sent_tokens;
};

/* Reads a body. NULL, or what is wrong with it. Prompt tokens are words, or ids. */
const char *mock_answer_read(struct mock_job *job, bool is_chat, const char *body,
                             size_t body_bytes);

/* A whole answer with a JSON body. */
void mock_answer_plain(struct buffer *out, int status, const char *json);

/* The parts of a stream, in HTTP chunks: headers, some tokens, the end. */
void mock_answer_head(struct buffer *out);
void mock_answer_tokens(struct buffer *out, struct mock_job *job, uint32_t token_count);
void mock_answer_end(struct buffer *out, const struct mock_job *job);

#endif
