/* chunk.h - what one event of a completion stream says, read without building a JSON tree: at
 * 50,000 events a second the tree would be most of the work.
 *
 * Understood: /v1/completions (choices[].text) and /v1/chat/completions (choices[].delta with
 * content, reasoning_content, reasoning or tool_calls), usage, error. Everything else is checked
 * for being JSON and passed over.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_CHUNK_H
#define TESTS_LOAD_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chunk_text {
    const char *bytes; /* inside the data, still escaped as JSON escapes it */
    size_t byte_count;
};

struct chunk {
    bool has_output;        /* some text, reasoning or tool call: a token was felt */
    struct chunk_text text; /* the first choice's text or content */
    bool finished;          /* some finish_reason is set */
    bool has_usage;
    bool has_error;
    struct chunk_text error; /* the value of "error" */
    uint64_t prompt_tokens;
    uint64_t completion_tokens;
    uint64_t cached_tokens;
};

/* False when the data is not one JSON object. */
bool chunk_parse(struct chunk *chunk, const char *data, size_t data_bytes);

#endif
