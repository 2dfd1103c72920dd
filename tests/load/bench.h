/* bench.h - `sluice-bench run`, and what a sweep shares with it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_BENCH_H
#define TESTS_LOAD_BENCH_H

#include "tests/load/settings.h"
#include "tests/load/target.h"
#include "tests/load/trace.h"
#include "tests/load/workload.h"

enum {
    BENCH_MODEL_BYTES = 512
};

/* Everything a run needs, made once for all steps of a sweep. */
struct bench {
    struct settings settings;
    struct target target;
    struct trace trace;
    struct workload *workload;
    char model[BENCH_MODEL_BYTES];
};

/* From checked settings; on OK bench_close() is owed. */
enum status bench_open(struct bench *bench, struct error *err);
void bench_close(struct bench *bench);

/* NULL where none is replayed. */
const struct trace *bench_trace(const struct bench *bench);

/* The command: arguments after its name; an exit status. */
int bench_command(int argc, char **argv, const volatile int *stop);

#endif
