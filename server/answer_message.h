/* answer_message.h - content, reasoning and tool calls of a chat's answer, as members of an object.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ANSWER_MESSAGE_H
#define SERVER_ANSWER_MESSAGE_H

#include "server/answer.h"

/* Of a chunk's delta: the one run of the piece, or its text as content. */
void answer_message_write_delta(struct text_buffer *out, const struct answer_head *head,
                                const struct answer_piece *piece);

/* Of a whole message: content (null where there are only calls), then reasoning_content and
 * tool_calls where there are some. */
void answer_message_write(struct text_buffer *out, const struct answer_head *head,
                          const struct answer_piece *piece);

#endif
