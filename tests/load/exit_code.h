/* exit_code.h - what the process says when it ends. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOAD_EXIT_CODE_H
#define TESTS_LOAD_EXIT_CODE_H

enum exit_code {
    EXIT_CODE_FINE = 0,
    EXIT_CODE_FAILED = 1,  /* it could not be done, every request failed, or compare found worse */
    EXIT_CODE_INVALID = 3, /* the run's figures mean nothing: the client was too slow */
    EXIT_CODE_USAGE = 64
};

#endif
