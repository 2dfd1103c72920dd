/* option_table.c - every value passes through one setter, so every message has the same form:
 * option, value, limit.
 * SPDX-License-Identifier: Apache-2.0 */
#include "configs/option_table.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    HELP_COLUMN = 30,
    HELP_WIDTH = 100
};

static bool choice_allowed(const char *choices, const char *value)
{
    size_t value_bytes = strlen(value);
    while (*choices != '\0') {
        size_t choice_bytes = strcspn(choices, "|");
        if (choice_bytes == value_bytes && memcmp(choices, value, value_bytes) == 0) {
            return true;
        }
        choices += choice_bytes;
        choices += *choices == '|';
    }
    return false;
}

static enum status set_number(const struct option_row *row, void *field, const char *value,
                              struct error *err)
{
    char *rest = NULL;
    errno = 0;
    double number = strtod(value, &rest);
    bool whole = row->kind == OPTION_REAL || number == floor(number);
    if (value[0] == '\0' || *rest != '\0' || errno != 0 || !isfinite(number) || !whole) {
        return error_set(err, ERR_INVALID, "--%s %.100s: not a %snumber", row->name, value,
                         row->kind == OPTION_COUNT ? "whole " : "");
    }
    if (number < row->min || number > row->max) {
        return error_set(err, ERR_INVALID, "--%s %.100s: not in %.15g to %.15g", row->name, value,
                         row->min, row->max);
    }
    if (row->kind == OPTION_COUNT) {
        uint64_t count = (uint64_t)number;
        memcpy(field, &count, sizeof count);
    } else {
        memcpy(field, &number, sizeof number);
    }
    return OK;
}

static enum status set_row(const struct option_row *row, void *into, const char *value,
                           struct error *err)
{
    void *field = (char *)into + row->offset;
    if (row->kind == OPTION_COUNT || row->kind == OPTION_REAL) {
        return set_number(row, field, value, err);
    }
    if (row->kind == OPTION_SWITCH) {
        bool on = strcmp(value, "true") == 0;
        if (!on && strcmp(value, "false") != 0) {
            return error_set(err, ERR_INVALID, "--%s %.100s: neither true nor false", row->name,
                             value);
        }
        memcpy(field, &on, sizeof on);
        return OK;
    }
    if (row->kind == OPTION_CHOICE && !choice_allowed(row->choices, value)) {
        return error_set(err, ERR_INVALID, "--%s %.100s: not one of %s", row->name, value,
                         row->choices);
    }
    memcpy(field, &value, sizeof value);
    return OK;
}

static const struct option_row *find_row(const struct option_table *table, const char *name,
                                         size_t name_bytes)
{
    for (size_t i = 0; i < table->row_count; i++) {
        const struct option_row *row = &table->rows[i];
        if (row->kind != OPTION_HEADING && strlen(row->name) == name_bytes &&
            memcmp(row->name, name, name_bytes) == 0) {
            return row;
        }
    }
    return NULL;
}

static enum status set_defaults(const struct option_table *table, void *into, struct error *err)
{
    enum status status = OK;
    for (size_t i = 0; status == OK && i < table->row_count; i++) {
        if (table->rows[i].kind != OPTION_HEADING) {
            status = set_row(&table->rows[i], into, table->rows[i].fallback, err);
        }
    }
    return status;
}

/* --name value, --name=value, --name and --no-name for switches. Moves *at to the last argument
 * that was used. */
static enum status read_flag(const struct option_table *table, void *into, int argc, char **argv,
                             int *at, struct error *err)
{
    const char *name = argv[*at] + 2;
    size_t name_bytes = strcspn(name, "=");
    const char *value = name[name_bytes] == '=' ? name + name_bytes + 1 : NULL;
    const struct option_row *row = find_row(table, name, name_bytes);
    if (row == NULL && value == NULL && strncmp(name, "no-", 3) == 0) {
        row = find_row(table, name + 3, name_bytes - 3);
        row = row != NULL && row->kind == OPTION_SWITCH ? row : NULL;
        value = "false";
    }
    if (row == NULL) {
        return error_set(err, ERR_INVALID, "--%.100s: no such option; --help lists them", name);
    }
    if (value == NULL && row->kind == OPTION_SWITCH) {
        value = "true";
    } else if (value == NULL) {
        if (*at + 1 >= argc) {
            return error_set(err, ERR_INVALID, "--%s: its value is missing", row->name);
        }
        value = argv[++*at];
    }
    return set_row(row, into, value, err);
}

enum status option_table_read(const struct option_table *table, void *into, int argc, char **argv,
                              const char **operands, size_t operand_max, size_t *operand_count,
                              struct error *err)
{
    *operand_count = 0;
    enum status status = set_defaults(table, into, err);
    for (int at = 0; status == OK && at < argc; at++) {
        if (strncmp(argv[at], "--", 2) == 0) {
            status = read_flag(table, into, argc, argv, &at, err);
        } else if (*operand_count < operand_max) {
            operands[(*operand_count)++] = argv[at];
        } else {
            status = error_set(err, ERR_INVALID,
                               "'%.100s': an argument too many; options start "
                               "with --",
                               argv[at]);
        }
    }
    return status;
}

/* Breaks the help at spaces and keeps its column. */
static void print_wrapped(const char *text, FILE *out)
{
    size_t column = HELP_COLUMN;
    while (*text != '\0') {
        size_t word_bytes = strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + word_bytes > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        const char *gap = column > HELP_COLUMN ? " " : "";
        fprintf(out, "%s%.*s", gap, (int)word_bytes, text);
        column += strlen(gap) + word_bytes;
        text += word_bytes;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static const char *kind_word(const struct option_row *row)
{
    switch (row->kind) {
    case OPTION_COUNT:
        return " N";
    case OPTION_REAL:
        return " X";
    case OPTION_TEXT:
        return " TEXT";
    case OPTION_FILE:
        return " FILE";
    case OPTION_CHOICE:
        return " WORD";
    default:
        return "";
    }
}

void option_table_help(const struct option_table *table, FILE *out)
{
    for (size_t i = 0; i < table->row_count; i++) {
        const struct option_row *row = &table->rows[i];
        if (row->kind == OPTION_HEADING) {
            fprintf(out, "\n%s\n", row->name);
            continue;
        }
        char left[128];
        bool on = row->kind == OPTION_SWITCH && strcmp(row->fallback, "true") == 0;
        snprintf(left, sizeof left, "  --%s%s%s", on ? "no-" : "", row->name, kind_word(row));
        fprintf(out, "%-*s", HELP_COLUMN, left);
        char right[640];
        if (row->kind == OPTION_SWITCH) {
            snprintf(right, sizeof right, "%s", row->help);
        } else {
            snprintf(right, sizeof right, "%s%s%s%s [%s]", row->help,
                     row->kind == OPTION_CHOICE ? ": " : "",
                     row->kind == OPTION_CHOICE ? row->choices : "", "",
                     row->fallback[0] != '\0' ? row->fallback : "none");
        }
        print_wrapped(right, out);
    }
}
