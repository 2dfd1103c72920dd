/* run.h - one run against a target: who is asked when, and what became of it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_RUN_H
#define TESTS_LOAD_RUN_H

#include "tests/load/client.h"
#include "tests/load/histogram.h"
#include "tests/load/settings.h"
#include "tests/load/target.h"
#include "tests/load/workload.h"

enum {
    RUN_SLOT_MS = 100 /* of the timeline */
};

struct run {
    struct record *records; /* of requests that were sent, by intended start */
    uint32_t record_count;
    uint32_t record_room;
    uint32_t planned_count; /* open loop: arrivals planned */
    uint64_t planned_span;  /* ticks from the first to the last of them */
    uint64_t started;
    uint64_t ended;        /* when the last answer was complete */
    struct histogram gaps; /* between chunks with output, in ticks */
    uint32_t *slot_chunks; /* chunks with output in each RUN_SLOT_MS */
    uint32_t slot_count;
    uint64_t chunk_count;
    uint64_t gaps_kept;
    uint32_t queued_count; /* requests that had to wait for one of max_concurrency */
    double cpu_seconds;    /* this process used */
    bool interrupted;
    bool lacks_memory;
    char first_failure[CLIENT_WHY_BYTES + 64];
};

/* Warm-up and run. On OK, run_release() is owed. stop, where not NULL, ends the run early. */
enum status run_do(struct run *run, const struct settings *settings, const struct target *target,
                   const struct workload *workload, const struct trace *trace,
                   const volatile int *stop, struct error *err);
void run_release(struct run *run);

#endif
