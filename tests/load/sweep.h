/* sweep.h - the highest rate at which a server keeps its limits.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_SWEEP_H
#define TESTS_LOAD_SWEEP_H

#include <stdbool.h>

/* The search, apart from how a rate is tried. */
struct sweep_search {
    double rate_min;
    double rate_max;
    double precision;
    double passed; /* highest rate that passed; 0: none */
    double failed; /* lowest rate that failed; 0: none */
};

/* The rate to try next; 0 when the search is over. */
double sweep_next(const struct sweep_search *search);

void sweep_note(struct sweep_search *search, double rate, bool passed);

/* The command: arguments after its name; an exit status. */
int sweep_command(int argc, char **argv, const volatile int *stop);

#endif
