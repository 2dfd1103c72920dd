/* progress.c - drawn four times a second, and not before the run has lasted a while: short runs
 * need no bar. SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/progress.h"

#include "tests/load/ticks.h"

#include <stdio.h>
#include <unistd.h>

enum {
    BAR_CELLS = 28
};

#define EVERY (TICKS_PER_SECOND / 4)
#define QUIET (TICKS_PER_SECOND)

void progress_open(struct progress *progress, bool wanted)
{
    *progress = (struct progress){.on = wanted && isatty(STDERR_FILENO), .started = ticks_now()};
    progress->next = progress->on ? progress->started + QUIET : TICKS_NEVER;
    progress->drawn = progress->started;
}

bool progress_is_due(const struct progress *progress, uint64_t now)
{
    return now >= progress->next;
}

void progress_draw(struct progress *progress, const struct progress_state *state, uint64_t now)
{
    double share = state->share < 0 ? 0 : state->share;
    share = share > 1 ? 1 : share;
    char bar[BAR_CELLS + 1];
    int full = (int)(share * BAR_CELLS);
    for (int i = 0; i < BAR_CELLS; i++) {
        bar[i] = i < full ? '=' : ' ';
    }
    if (full < BAR_CELLS) {
        bar[full] = '>';
    }
    bar[BAR_CELLS] = '\0';
    double elapsed = ticks_seconds(now - progress->started);
    double chunk_rate =
        (double)(state->chunks - progress->chunks_before) / ticks_seconds(now - progress->drawn);
    fprintf(stderr, "\r\033[K[%s] %3.0f %%  %u done", bar, share * 100, state->done);
    if (state->failed > 0) {
        fprintf(stderr, ", %u failed", state->failed);
    }
    fprintf(stderr, ", %u under way, %.0f chunks/s, %.0f s left", state->under_way, chunk_rate,
            share > 0.01 ? elapsed / share - elapsed : 0.0);
    progress->chunks_before = state->chunks;
    progress->drawn = now;
    progress->next = now + EVERY;
}

void progress_close(struct progress *progress)
{
    if (progress->on && progress->drawn != progress->started) {
        fprintf(stderr, "\r\033[K");
    }
    progress->on = false;
}
