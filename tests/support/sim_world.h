/* sim_world.h - a whole world around scheduler and KV cache: clients, device and clock, all fake.
 *
 * One seed decides everything: sizes, limits, who asks for what and when, who leaves, what fails.
 * The device stores one number a slot, made from token and tenant, and a next token is a keyed hash
 * of the numbers read back through the block table: KV that is mixed up anywhere changes the text.
 * Each request's text is compared with what it would have got alone. A violation prints the seed
 * and aborts. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_SIM_WORLD_H
#define TESTS_SUPPORT_SIM_WORLD_H

#include <stdint.h>

/* Bugs that can be planted, to show that the simulator would see them. */
enum sim_canary {
    SIM_CANARY_NONE,
    SIM_CANARY_COPY_SKIPPED,      /* a fork's partial block is not copied */
    SIM_CANARY_PARTIAL_PUBLISHED, /* a block that is still written can be found by others */
    SIM_CANARY_REFERENCE_LEAKED,  /* a block is counted once too often */
    SIM_CANARY_REFERENCE_LOST,    /* a block in use goes back to the pool */
    SIM_CANARY_TENANT_IGNORED,    /* two tenants share one prefix cache */
    SIM_CANARY_GUESS_NOT_WRITTEN, /* an accepted guess has no KV */
    SIM_CANARY_GUESS_KEPT,        /* a rejected guess stays in the text */
    SIM_CANARY_STRAY_WRITE,       /* the device writes into a block of another request */
    SIM_CANARY_STALE_TABLE,       /* the device reads through another request's block table */
    SIM_CANARY_INDEX_LIES,        /* a block is filed under tokens it does not hold */
    SIM_CANARY_ORDER_BROKEN,      /* the running requests are not in the policy's order */
    SIM_CANARY_RESULT_LATE,       /* a request gets the outcome of its neighbour */
    SIM_CANARY_COUNT,
};

struct sim_options {
    uint64_t seed;
    uint32_t request_count;
    enum sim_canary canary;
};

/* What happened, so that a test can tell that it did; summed over runs. */
struct sim_coverage {
    uint64_t steps;
    uint64_t rows;
    uint64_t requests;
    uint64_t finished_stop;
    uint64_t finished_length;
    uint64_t finished_cancelled;
    uint64_t finished_deadline;
    uint64_t finished_capacity;
    uint64_t finished_error;
    uint64_t refused_full;
    uint64_t refused_invalid;
    uint64_t cancelled_waiting;
    uint64_t cancelled_running;
    uint64_t cancelled_in_flight;
    uint64_t cancelled_finished;
    uint64_t structs_reused_in_flight;
    uint64_t preempted;
    uint64_t resumed_with_output;
    uint64_t stalled;
    uint64_t forked;
    uint64_t forked_with_copy;
    uint64_t cached_tokens;
    uint64_t guesses;
    uint64_t guesses_accepted;
    uint64_t prompt_rows_scored;
    uint64_t evictions;
    uint64_t settle_steps_max; /* of one run, in thousandths of what is allowed */
};

void sim_world_run(const struct sim_options *options, struct sim_coverage *coverage);

const char *sim_world_canary_name(enum sim_canary canary);

#endif
