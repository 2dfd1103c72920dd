/* chat_messages.h - checks the messages of a chat and brings them to the form templates expect.
 *
 * content parts become one string (joined by newlines), tool-call arguments become objects, the
 * role "developer" becomes "system". Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_MESSAGES_H
#define SERVER_CHAT_MESSAGES_H

#include "server/refusal.h"

#include <jansson.h>

/* out: a new array, the caller drops it. */
enum status chat_messages_normalise(json_t **out, const json_t *messages, struct refusal *refusal);

#endif
