/* generation_output.h - a choice's text, taken apart by an output parser, for chats that want it.
 *
 * Thread: http, that of the request. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_GENERATION_OUTPUT_H
#define SERVER_GENERATION_OUTPUT_H

#include "server/generation_state.h"

/* Gives the choice its parser, if the generation's answers are parsed. False: no memory. */
bool generation_output_open(struct generation *generation, struct generation_choice *choice);
void generation_output_close(struct generation_choice *choice);

/* Where the text stream writes. */
struct text_buffer *generation_output_target(struct generation_choice *choice);

/* Takes what was written there apart. True when the choice ends with what it has. False, with
 * choice->text failed, too when memory ran out. */
bool generation_output_take(struct generation_choice *choice);

/* The end of the choice's text. truncated: not the model's own. */
void generation_output_finish(struct generation_choice *choice, bool truncated);

/* Forgets text that has been sent. */
void generation_output_clear(struct generation_choice *choice);

/* What a client is told when a choice ended for this reason. */
const char *generation_output_reason(const struct generation_choice *choice, const char *reason);

#endif
