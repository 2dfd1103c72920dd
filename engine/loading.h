/* loading.h - how far a model's loading is, for those who wait and ask.
 *
 * One thread loads and writes; every other may read at any time and sees a phase and a number of
 * bytes, which may be of two moments next to each other. Functions that write accept NULL: nobody asks.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LOADING_H
#define ENGINE_LOADING_H

#include <stdatomic.h>
#include <stdint.h>

enum loading_phase {
    LOADING_OPENING,   /* the file's header and tables are read and checked */
    LOADING_WEIGHTS,   /* tensors are read, and packed where the device wants that */
    LOADING_TOKENIZER, /* the vocabulary is indexed */
    LOADING_MEMORY,    /* the KV cache and everything a step needs is taken */
    LOADING_TEMPLATE,  /* the chat template is read */
    LOADING_DONE,
    LOADING_PHASE_COUNT
};

struct loading {
    _Atomic int phase;            /* enum loading_phase; only ever rises */
    _Atomic uint64_t bytes;       /* of weights, that are in place */
    _Atomic uint64_t total_bytes; /* 0 until it is known */
};

/* What a reader sees. */
struct loading_state {
    enum loading_phase phase;
    const char *phase_name; /* "weights", ... */
    uint64_t bytes;         /* <= total_bytes */
    uint64_t total_bytes;
    uint32_t percent; /* of the weights, rounded down; 100 in every phase after theirs */
};

void loading_enter(struct loading *loading, enum loading_phase phase);
void loading_expect(struct loading *loading, uint64_t total_bytes);
void loading_add(struct loading *loading, uint64_t byte_count);

struct loading_state loading_read(const struct loading *loading);

#endif
