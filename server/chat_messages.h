/* chat_messages.h - checks the messages of a chat and brings them to the form templates expect.
 *
 * content parts become one string (joined by newlines), the arguments of tool calls take the form that
 * the template wants, the role "developer" becomes "system", and what a client calls "reasoning" is
 * reasoning_content. A tool's message must answer a call that stands before it.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_MESSAGES_H
#define SERVER_CHAT_MESSAGES_H

#include "server/chat_style.h"
#include "server/refusal.h"

#include <jansson.h>

/* out: a new array, the caller drops it. */
enum status chat_messages_normalise(json_t **out, const json_t *messages,
                                    const struct chat_style *style, struct refusal *refusal);

#endif
