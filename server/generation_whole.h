/* generation_whole.h - the answer of a request that does not stream, once all of it is there.
 *
 * Thread: http, that of the request. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_GENERATION_WHOLE_H
#define SERVER_GENERATION_WHOLE_H

#include "server/generation_state.h"

/* Fails the generation when memory does not suffice. */
void generation_whole_write(struct generation *generation, struct text_buffer *out);

#endif
