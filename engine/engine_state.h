/* engine_state.h - what engine.c sets up and engine_loop.c runs.
 *
 * Room for work: accepted_count choices were let in so far, and another n are if that leaves it at
 * most accept_limit. The engine moves the limit (alone, at moments when it knows its queues), the
 * submitters the count, so a refusal needs neither a lock nor the engine's attention.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_ENGINE_STATE_H
#define ENGINE_ENGINE_STATE_H

#include "engine/engine.h"
#include "engine/forward.h"
#include "engine/mailbox.h"
#include "engine/memory_plan.h"
#include "engine/model.h"
#include "engine/sampler.h"
#include "engine/submission.h"
#include "kvcache/kv_cache.h"
#include "kvcache/kv_store.h"
#include "scheduler/batch.h"
#include "scheduler/scheduler.h"

#include <pthread.h>
#include <stdatomic.h>

struct engine {
    /* Constant after engine_open. */
    const struct config *config; /* borrowed */
    struct engine_info info;
    struct memory_plan plan;
    char *model_name;
    char *chat_template;
    char *tool_template;

    /* In the order in which they are opened. */
    struct backend *be;
    struct gguf file;
    struct model model;
    struct tokenizer *tokenizer;
    struct kv_store store;
    struct kv_cache cache;
    struct scheduler scheduler;
    uint32_t place_count; /* requests that can run at once */
    struct batch batch;
    struct span_outcome *outcomes; /* [running_max] */
    struct forward *forward;
    struct sampler *sampler;
    struct mailbox *mailbox;
    pthread_t thread;
    bool thread_started;

    /* Shared by all threads. */
    struct stats stats;
    _Atomic uint64_t accepted_count; /* choices let in */
    _Atomic uint64_t accept_limit;
    _Atomic uint64_t finished_count;      /* choices whose last event is out */
    _Atomic(struct submission *) retired; /* done with, to be freed by the next submitter */
    _Atomic uint64_t step_begun_us;       /* 0: idle */
    atomic_bool failing;                  /* the device fails step after step */
    atomic_bool stopping;

    /* The engine thread's own. */
    struct submission *live;
    uint64_t taken_count; /* choices out of the mailbox */
    uint64_t request_count;
    uint32_t failed_steps; /* in a row */
    bool pool_short;       /* the last plan left requests waiting though there were free places */
};

#endif
