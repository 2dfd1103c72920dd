/* engine_loop.h - the loop: take in, plan, run, sample, apply, report.
 * Thread: engine. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_ENGINE_LOOP_H
#define ENGINE_ENGINE_LOOP_H

#include "engine/engine_state.h"

/* Runs until engine->stopping, then ends whatever is left with REPLY_FINISH_CANCELLED. Allocates
 * nothing. For pthread_create; context is the engine. */
void *engine_loop_run(void *context);

/* Says how much work may come in, and sets the gauges. Also before the loop starts. */
void engine_loop_publish(struct engine *engine);

/* Frees what the loop is done with. Any thread. */
void engine_loop_free_retired(struct engine *engine);

#endif
