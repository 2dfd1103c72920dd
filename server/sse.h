/* sse.h - server-sent events: "data: ...\n\n".
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SSE_H
#define SERVER_SSE_H

#include "server/refusal.h"
#include "server/text_buffer.h"

/* A writer puts one JSON document without newlines between begin and end. */
void sse_begin(struct text_buffer *out);
void sse_end(struct text_buffer *out);

/* A comment: parsers skip it, proxies see that the connection lives. */
void sse_write_keep_alive(struct text_buffer *out);

/* The last event of a stream that succeeded. */
void sse_write_done(struct text_buffer *out);

/* The last event of a stream that failed; no "done" follows. */
void sse_write_error(struct text_buffer *out, const struct refusal *refusal);

#endif
