/* sse.c - the framing that openai-python and openai-node parse: an event is one data line, because
 * JSON escapes every newline. SPDX-License-Identifier: Apache-2.0 */
#include "server/sse.h"

void sse_begin(struct text_buffer *out)
{
    text_buffer_append_text(out, "data: ");
}

void sse_end(struct text_buffer *out)
{
    text_buffer_append_text(out, "\n\n");
}

void sse_write_keep_alive(struct text_buffer *out)
{
    text_buffer_append_text(out, ": keep-alive\n\n");
}

void sse_write_done(struct text_buffer *out)
{
    text_buffer_append_text(out, "data: [DONE]\n\n");
}

void sse_write_error(struct text_buffer *out, const struct refusal *refusal)
{
    sse_begin(out);
    refusal_write(refusal, out);
    sse_end(out);
}
