/* progress.h - one line on a terminal that says how far a run is.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_PROGRESS_H
#define TESTS_LOAD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool on;
    uint64_t started;
    uint64_t next; /* when to draw again */
    uint64_t chunks_before;
    uint64_t drawn;
};

struct progress_state {
    double share; /* 0..1 */
    uint32_t done;
    uint32_t failed;
    uint32_t under_way;
    uint64_t chunks;
};

/* Off where standard error is no terminal. */
void progress_open(struct progress *progress, bool wanted);
bool progress_is_due(const struct progress *progress, uint64_t now);
void progress_draw(struct progress *progress, const struct progress_state *state, uint64_t now);

/* Removes the line. */
void progress_close(struct progress *progress);

#endif
