/* generation_events.h - one event of a reply -> its choice's text, and in a stream its chunk.
 *
 * Thread: http, that of the request. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_GENERATION_EVENTS_H
#define SERVER_GENERATION_EVENTS_H

#include "server/generation_state.h"

/* Appends what a stream's client sees of it to out. */
void generation_events_take(struct generation *generation, struct generation_prompt *prompt,
                            const struct reply_event *event, struct text_buffer *out);

/* The whole request fails; the first reason stays. */
void generation_events_fail(struct generation *generation, enum status status, const char *code,
                            const char *message);

#endif
