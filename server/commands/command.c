/* command.c - the list of commands, and the frame that each of them runs in.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/commands/command.h"

#include <errno.h>
#include <string.h>

enum {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 64,
    EXIT_SIGNAL = 130, /* as a shell shows a process that SIGINT ended */
};

static const struct command *const commands[] = {
    &command_inspect, &command_render, &command_tokenize, &command_detokenize, &command_quantize,
};

enum {
    COMMAND_COUNT = sizeof commands / sizeof commands[0]
};

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

void command_print_list(FILE *out)
{
    fprintf(out, "\nCommands, instead of serving (sluiced COMMAND --help says more):\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        fprintf(out, "  %-12s%s\n", commands[i]->name, commands[i]->summary);
    }
}

static void print_help(const struct command *command, FILE *out)
{
    const char *gap = command->operands[0] != '\0' ? " " : "";
    fprintf(out, "usage: sluiced %s%s%s [options]\n\n%s\n", command->name, gap, command->operands,
            command->details);
    option_table_help(&command->table, out);
}

static int wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return 1;
        }
    }
    return 0;
}

/* One line, whatever a template or a file put into the message. */
static void complain(const struct command *command, const char *message)
{
    fprintf(stderr, "sluiced %s: ", command->name);
    for (const char *c = message; *c != '\0'; c++) {
        fputc(*c == '\n' || *c == '\r' ? ' ' : *c, stderr);
    }
    fputc('\n', stderr);
}

static enum status read_arguments(const struct command *command, void *options,
                                  struct command_call *call, int argc, char **argv,
                                  struct error *err)
{
    enum status status = option_table_read(&command->table, options, argc, argv, call->operands,
                                           command->operand_max, &call->operand_count, err);
    if (status == OK && call->operand_count < command->operand_min) {
        return error_set(err, ERR_INVALID, "wants %s; --help says more", command->operands);
    }
    return status;
}

/* A result that did not reach its file is a failure, however it was computed. */
static enum status flush(FILE *out, struct error *err)
{
    if (fflush(out) != 0 || ferror(out)) {
        return error_set(err, ERR_IO, "the output cannot be written: %s", strerror(errno));
    }
    return OK;
}

int command_run(const struct command *command, int argc, char **argv)
{
    _Alignas(max_align_t) unsigned char options[COMMAND_OPTION_BYTES_MAX] = {0};
    const char *operands[COMMAND_OPERANDS_MAX] = {NULL};
    struct command_call call = {
        .options = options, .operands = operands, .out = stdout, .log = stderr};
    struct error error = {0};
    if (wants_help(argc, argv)) {
        print_help(command, stdout);
        return flush(stdout, &error) == OK ? EXIT_FINE : EXIT_FAILED;
    }
    if (read_arguments(command, options, &call, argc, argv, &error) != OK) {
        complain(command, error.message);
        return EXIT_USAGE;
    }
    enum status status = command->run(&call, &error);
    if (status == OK) {
        status = flush(stdout, &error);
    }
    if (status != OK) {
        complain(command, error.message);
        return status == ERR_CANCELLED ? EXIT_SIGNAL : EXIT_FAILED;
    }
    return EXIT_FINE;
}
