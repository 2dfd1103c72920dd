/* loading.c - three words that one thread writes. Weights are what takes long, so their bytes
 * are the measure; the phases before and after them are moments.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/loading.h"

#include <assert.h>
#include <stddef.h>

static const char *const PHASE_NAMES[LOADING_PHASE_COUNT] = {
    [LOADING_OPENING] = "opening",        [LOADING_WEIGHTS] = "weights",
    [LOADING_TOKENIZER] = "tokenizer",    [LOADING_MEMORY] = "memory",
    [LOADING_TEMPLATE] = "chat template", [LOADING_DONE] = "done",
};

void loading_enter(struct loading *loading, enum loading_phase phase)
{
    assert((unsigned)phase < LOADING_PHASE_COUNT);
    if (loading != NULL) {
        atomic_store(&loading->phase, (int)phase);
    }
}

void loading_expect(struct loading *loading, uint64_t total_bytes)
{
    if (loading != NULL) {
        atomic_store(&loading->total_bytes, total_bytes);
    }
}

void loading_add(struct loading *loading, uint64_t byte_count)
{
    if (loading != NULL) {
        atomic_fetch_add(&loading->bytes, byte_count);
    }
}

struct loading_state loading_read(const struct loading *loading)
{
    struct loading_state state = {.phase = (enum loading_phase)atomic_load(&loading->phase),
                                  .bytes = atomic_load(&loading->bytes),
                                  .total_bytes = atomic_load(&loading->total_bytes)};
    state.phase_name = PHASE_NAMES[state.phase];
    if (state.phase > LOADING_WEIGHTS || state.bytes > state.total_bytes) {
        state.bytes = state.total_bytes; /* what two names share is counted twice */
    }
    if (state.phase > LOADING_WEIGHTS) {
        state.percent = 100;
    } else if (state.total_bytes > 0) {
        state.percent = (uint32_t)((double)state.bytes / (double)state.total_bytes * 100.0);
    }
    return state;
}
