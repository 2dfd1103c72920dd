/* trace.h - recorded traffic: who came when, with how much, asking for how much.
 *
 * Read: Azure's LLM inference CSV (TIMESTAMP,ContextTokens,GeneratedTokens), Mooncake's JSON lines
 * (timestamp in ms, input_length, output_length, hash_ids: one id per 512 tokens of prompt, equal
 * ids mean equal text), and our own JSON lines (start in seconds, input_tokens, output_tokens,
 * optional group: a number shared by requests whose first shared_tokens are alike; default: half).
 * A line that cannot be understood ends the reading with its number.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_TRACE_H
#define TESTS_LOAD_TRACE_H

#include "configs/error.h"

#include <stdint.h>
#include <stdio.h>

enum trace_format {
    TRACE_AUTO, /* by the first line */
    TRACE_AZURE,
    TRACE_MOONCAKE,
    TRACE_OWN,
};

struct trace_row {
    uint64_t start; /* nanoseconds after the first row */
    uint32_t input_tokens;
    uint32_t output_tokens;
    uint32_t block_count;  /* prompt blocks that other requests may share */
    uint32_t block_tokens; /* tokens of one of them */
    uint64_t *blocks;      /* their ids: equal ids, equal text */
};

struct trace {
    struct trace_row *rows;
    uint32_t row_count;
    uint32_t row_room;
};

/* At most row_max rows (0: all). The rows come out in order of time. */
enum status trace_read(struct trace *trace, const char *path, enum trace_format format,
                       uint32_t row_max, struct error *err);
enum status trace_parse(struct trace *trace, FILE *file, const char *name, enum trace_format format,
                        uint32_t row_max, struct error *err);
void trace_release(struct trace *trace);

#endif
