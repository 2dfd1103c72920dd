/* option_table.h - command lines described by a table: reading, checking and explaining them is
 * the same code for every subcommand.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIGS_OPTION_TABLE_H
#define CONFIGS_OPTION_TABLE_H

#include "configs/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_kind {
    OPTION_HEADING, /* only in the help: starts a section */
    OPTION_TEXT,    /* const char *; "" where nothing was said */
    OPTION_FILE,    /* likewise, a path */
    OPTION_CHOICE,  /* const char *, one of "a|b|c" */
    OPTION_COUNT,   /* uint64_t */
    OPTION_REAL,    /* double */
    OPTION_SWITCH,  /* bool: --name, or --no-name */
};

struct option_row {
    enum option_kind kind;
    const char *name;
    size_t offset; /* of the field, by kind */
    const char *fallback;
    double min;
    double max;
    const char *choices;
    const char *help;
};

struct option_table {
    const struct option_row *rows;
    size_t row_count;
};

/* Defaults first, then the arguments (--name value, --name=value). Arguments that are no option
 * go to operands, at most operand_max of them. Texts stay where argv has them. */
enum status option_table_read(const struct option_table *table, void *into, int argc, char **argv,
                              const char **operands, size_t operand_max, size_t *operand_count,
                              struct error *err);

void option_table_help(const struct option_table *table, FILE *out);

#endif
