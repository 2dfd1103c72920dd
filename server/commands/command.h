/* command.h - what `sluiced COMMAND` does instead of serving: one row a command, one way to read its
 * arguments, to explain it and to fail.
 *
 * Thread: main, before anything else runs. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_COMMANDS_COMMAND_H
#define SERVER_COMMANDS_COMMAND_H

#include "configs/error.h"
#include "configs/option_table.h"

#include <stddef.h>
#include <stdio.h>

enum {
    COMMAND_OPTION_BYTES_MAX = 256, /* of one command's options */
    COMMAND_OPERANDS_MAX = 3,
};

/* The arguments, read and checked. */
struct command_call {
    const void *options;   /* the command's own struct, filled by its table */
    const char **operands; /* [operand_count] */
    size_t operand_count;
    FILE *out; /* results only */
    FILE *log; /* progress and reports */
};

struct command {
    const char *name;
    const char *operands; /* as the usage line shows them, or "" */
    size_t operand_min;
    size_t operand_max;
    const char *summary; /* after the name in the list: no capital, no full stop */
    const char *details; /* lines of the command's own help */
    struct option_table table;
    /* ERR_INVALID in err ends with the same status as any other failure: the arguments were fine. */
    enum status (*run)(const struct command_call *call, struct error *err);
};

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

/* All of them, a line each. */
void command_print_list(FILE *out);

/* argv: what follows the command's name. Returns the exit status: 0; 1 when it failed, after one
 * line on standard error; 64 when the arguments cannot be; 130 when a signal ended it. */
int command_run(const struct command *command, int argc, char **argv);

/* The rows, each in the file of its name. */
extern const struct command command_inspect;
extern const struct command command_render;
extern const struct command command_quantize;
extern const struct command command_tokenize;
extern const struct command command_detokenize;

#endif
