/* logit_scan.h - passes over a vocabulary's logits, many values at a time.
 *
 * Plain float arithmetic in a fixed order, the same on every processor: what is drawn from these
 * numbers depends on the logits alone. Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LOGIT_SCAN_H
#define ENGINE_LOGIT_SCAN_H

#include <stdbool.h>
#include <stdint.h>

/* No NaN, no +inf, and at least one that is not -inf. */
bool logit_scan_usable(const float *logits, uint32_t count);

/* The index of the largest, the lowest among equals; 0 when all are -inf. No NaN. */
uint32_t logit_scan_argmax(const float *logits, uint32_t count);

/* exp((logit - logit_max) / temperature) within 2e-7 of it, for logit <= logit_max; below e^-87
 * it is 0. */
float logit_scan_weight(float logit, float logit_max, float temperature);

/* The sum of all weights. With `out`, [count], which may be logits, they are stored too, and those
 * below weight_min are 0, there and in the sum. */
double logit_scan_weights(float *out, const float *logits, uint32_t count, float logit_max,
                          float temperature, float weight_min);

/* The first index at which the sum of weights [0 .. index] exceeds target; the last one of a
 * weight above 0 when rounding lets none. `fallback` when there is no weight above 0. target is
 * below the sum that logit_scan_weights returned. */
uint32_t logit_scan_walk(const float *weights, uint32_t count, double target, uint32_t fallback);

#endif
