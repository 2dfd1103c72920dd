/* histogram.h - gaps between chunks, of which a run sees too many to keep: log-linear buckets, each
 * at most 1/1024 of its value wide. Count, sum and extremes are exact.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_HISTOGRAM_H
#define TESTS_LOAD_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>

struct histogram {
    uint64_t *buckets;
    uint64_t count;
    uint64_t least;
    uint64_t most;
    double sum;
    double square_sum;
};

bool histogram_open(struct histogram *histogram);
void histogram_close(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t value);

/* The smallest value that `share` (0..1) of all values do not exceed, to within the bucket's
 * width and never beyond the extremes; 0 for an empty histogram. */
double histogram_quantile(const struct histogram *histogram, double share);
double histogram_mean(const struct histogram *histogram);
double histogram_deviation(const struct histogram *histogram);

#endif
