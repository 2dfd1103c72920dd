/* output_rig.h - runs an output parser over text and collects what comes out.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_OUTPUT_RIG_H
#define TESTS_SUPPORT_OUTPUT_RIG_H

#include "server/output/output_parser.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    OUTPUT_RIG_CALLS_MAX = 64
};

struct output_outcome {
    struct text_buffer content;
    struct text_buffer reasoning;
    struct text_buffer names[OUTPUT_RIG_CALLS_MAX];
    struct text_buffer arguments[OUTPUT_RIG_CALLS_MAX];
    size_t call_count; /* more than the maximum are counted, not kept */
    bool orphaned;     /* arguments came before any call */
    bool failed;
    struct output_account account;
};

/* Feeds pieces of the lengths that next_piece says (0 or too many: the rest). setup's take is set. */
typedef size_t (*output_piece_fn)(void *context);
void output_rig_run(struct output_outcome *out, struct output_setup setup, const char *text,
                    size_t byte_count, bool truncated, output_piece_fn next_piece, void *context);
void output_rig_release(struct output_outcome *outcome);
bool output_rig_same(const struct output_outcome *a, const struct output_outcome *b);

#endif
