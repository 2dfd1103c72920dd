/* mock.h - a server with known latencies, to measure the client against: it answers
 * /v1/completions and /v1/chat/completions with as many tokens as asked for, at set times.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_MOCK_H
#define TESTS_LOAD_MOCK_H

/* `sluice-bench mock`: arguments after the name; serves until stop is set. Returns an exit
 * status. */
int mock_command(int argc, char **argv, const volatile int *stop);

#endif
