/* threads.h - a pool of workers with one verb.
 *
 * The calling thread is worker 0 and always takes part; the others help while there are items
 * left. A worker that is late (its core is busy elsewhere) is never waited for. Between two calls
 * workers spin briefly, then sleep in the kernel: an idle pool wakes nobody.
 * Thread: one caller at a time; items must not call parallel_for.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_THREADS_H
#define KERNELS_CPU_THREADS_H

#include "configs/error.h"

#include <stdint.h>

struct threads;

/* Does item `item`; `worker` < thread_count names the scratch memory it may use. */
typedef void (*threads_fn)(void *context, uint32_t item, uint32_t worker);

/* thread_count includes the caller: 1 starts no thread. */
enum status threads_open(struct threads **out, uint32_t thread_count, struct error *err);
void threads_close(struct threads *pool);

uint32_t threads_count(const struct threads *pool);

/* Runs fn once for each item in 0 .. item_count - 1 (< 2^31), in any order and by any worker, and
 * returns when all are done. */
void threads_parallel_for(struct threads *pool, uint32_t item_count, threads_fn fn, void *context);

#endif
