/* command_quantize.c - a model file with weights of another type, and what that cost, tensor by tensor.
 * SPDX-License-Identifier: Apache-2.0 */
#include "configs/limits.h"
#include "engine/quantize.h"
#include "server/commands/command.h"

#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

struct quantize_arguments {
    const char *overrides;
    uint64_t threads;
    bool force;
    bool requantize;
};

/* clang-format off */
static const struct option_row rows[] = {
    {OPTION_HEADING, "Options", 0, "", 0, 0, "", ""},
    {OPTION_TEXT, "tensor-type", offsetof(struct quantize_arguments, overrides), "", 0, 0, "",
     "PATTERN=TYPE,...: the type of the matrices whose names match, such as 'blk.*.ffn_down.weight=q6_K'"},
    {OPTION_COUNT, "threads", offsetof(struct quantize_arguments, threads), "0", 0, LIMIT_THREADS, "",
     "threads that compute; 0: one per core this process may use"},
    {OPTION_SWITCH, "force", offsetof(struct quantize_arguments, force), "false", 0, 0, "",
     "replace OUT when it is a GGUF file already"},
    {OPTION_SWITCH, "requantize", offsetof(struct quantize_arguments, requantize), "false", 0, 0, "",
     "take weights that are quantised already, and lose twice"},
};
/* clang-format on */

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

/* The first signal ends the work in order, so that nothing half-written stays. A file that is too
 * large for a limit is an error like a full disk. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGXFSZ, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
}

static uint32_t choose_thread_count(uint64_t asked)
{
    cpu_set_t allowed;
    uint64_t count = asked;
    if (count == 0 && sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        count = (uint64_t)CPU_COUNT(&allowed);
    }
    count = count > 0 ? count : 1;
    return (uint32_t)(count < LIMIT_THREADS ? count : LIMIT_THREADS);
}

/* The report goes to standard output; where that is no terminal, people see how far it got. */
static void write_report(void *context, const struct quantize_report *report)
{
    const struct command_call *call = context;
    fprintf(call->out, "%-32s %5s -> %-5s %14" PRIu64 " bytes  rms %.6f  max %.6g%s%s%s\n",
            report->name, report->type_before, report->type_after, report->bytes_after,
            report->relative_rms, report->max_error, report->note != NULL ? "  (" : "",
            report->note != NULL ? report->note : "", report->note != NULL ? ")" : "");
    fflush(call->out);
    bool last = report->index + 1 == report->tensor_count;
    if (isatty(fileno(call->log)) && !isatty(fileno(call->out))) {
        fprintf(call->log, "\r%" PRIu64 " of %" PRIu64 " tensors%s", report->index + 1,
                report->tensor_count, last ? "\n" : "");
        fflush(call->log);
    }
}

static void write_totals(FILE *out, const struct quantize_totals *totals)
{
    double values = totals->parameter_count > 0 ? (double)totals->parameter_count : 1;
    fprintf(out,
            "%" PRIu64 " parameters: %" PRIu64 " bytes of tensors became %" PRIu64
            " (%.2f bits each), in a file of %" PRIu64 "\n",
            totals->parameter_count, totals->bytes_before, totals->bytes_after,
            8 * (double)totals->bytes_after / values, totals->file_bytes);
}

static enum status run(const struct command_call *call, struct error *err)
{
    const struct quantize_arguments *arguments = call->options;
    const struct quantize_options options = {
        .output = call->operands[1],
        .type_name = call->operands[2],
        .overrides = arguments->overrides,
        .thread_count = choose_thread_count(arguments->threads),
        .replace = arguments->force,
        .requantize = arguments->requantize,
        .stop = &stop,
        .report = write_report,
        .context = (void *)(uintptr_t)call,
    };
    struct quantize_totals totals;
    catch_signals();
    enum status status = quantize_run(call->operands[0], &options, &totals, err);
    if (status == OK) {
        write_totals(call->out, &totals);
    }
    return status;
}

const struct command command_quantize = {
    .name = "quantize",
    .operands = "IN OUT TYPE",
    .operand_min = 3,
    .operand_max = 3,
    .summary = "write a model as a GGUF file with weights of another type",
    .details = "Reads the model IN and writes the GGUF file OUT, with weights of TYPE: f32, f16, "
               "bf16, q8_0,\n"
               "q4_0, q4_1, q5_0, q5_1, q4_K, q5_K or q6_K. Says for each tensor what became of "
               "it, with the\n"
               "relative root mean square error and the greatest error.\n\n"
               "Vectors, routers and tables of positions become f32. The matrix that makes the "
               "logits becomes\n"
               "q6_K where TYPE has fewer bits than q8_0. Where rows are no whole blocks, q4_K "
               "falls back to\n"
               "q5_0, q5_K to q5_1, q6_K to q8_0, and what remains to f16. OUT appears when it is "
               "complete.",
    .table = {rows, sizeof rows / sizeof rows[0]},
    .run = run,
};
