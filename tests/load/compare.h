/* compare.h - two result files side by side: what changed, and whether the change is more than the
 * spread of the measurements. Reads our results and vLLM's.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_COMPARE_H
#define TESTS_LOAD_COMPARE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum compare_verdict {
    COMPARE_SAME, /* the interval of the difference holds zero, or the files do not say */
    COMPARE_BETTER,
    COMPARE_WORSE,
};

/* A mean in both files, and Welch's 95 % interval of their difference. */
struct compare_row {
    const char *key;
    double before;
    double after;
    double change; /* after / before - 1 */
    double low;    /* of after - before */
    double high;
    bool has_interval;
    enum compare_verdict verdict;
};

/* False where a file lacks the key. metric: "ttft", "tpot", "itl", "e2el". */
bool compare_mean(struct compare_row *row, const json_t *before, const json_t *after,
                  const char *metric);

/* Any number in both files; no interval. */
bool compare_plain(struct compare_row *row, const json_t *before, const json_t *after,
                   const char *key);

/* Two-sided 95 % point of Student's t. */
double compare_t95(double freedom);

/* The command: arguments after its name; an exit status. */
int compare_command(int argc, char **argv);

#endif
