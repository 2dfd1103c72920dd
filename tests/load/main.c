/* main.c - sluice-bench: picks the subcommand and catches signals. The first SIGINT or SIGTERM
 * ends a run in order, the second ends the process.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/bench.h"
#include "tests/load/compare.h"
#include "tests/load/exit_code.h"
#include "tests/load/mock.h"
#include "tests/load/sweep.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile int stop;

static void on_signal(int number)
{
    if (stop != 0) {
        _exit(128 + number);
    }
    stop = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

static int help(void)
{
    printf(
        "usage: sluice-bench COMMAND [options]\n\n"
        "  run      load a server and measure it (the default)\n"
        "  sweep    find the highest rate at which a server keeps its limits\n"
        "  compare  compare two result files\n"
        "  mock     serve known latencies, to measure the client itself\n\n"
        "Each explains itself: sluice-bench COMMAND --help\n\n"
        "  sluice-bench run --url http://127.0.0.1:8080 --concurrency 8 --num-requests 200\n"
        "  sluice-bench run --rate 20 --duration-s 60 --slo ttft:500,tpot:50 --html report.html\n"
        "  sluice-bench sweep --slo ttft:500,tpot:50 --rate-max 200\n");
    return EXIT_CODE_FINE;
}

int main(int argc, char **argv)
{
    catch_signals();
    const char *command = argc > 1 ? argv[1] : "--help";
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 ||
        strcmp(command, "help") == 0) {
        return help();
    }
    if (strcmp(command, "sweep") == 0) {
        return sweep_command(argc - 2, argv + 2, &stop);
    }
    if (strcmp(command, "compare") == 0) {
        return compare_command(argc - 2, argv + 2);
    }
    if (strcmp(command, "mock") == 0) {
        return mock_command(argc - 2, argv + 2, &stop);
    }
    if (strcmp(command, "run") == 0) {
        return bench_command(argc - 2, argv + 2, &stop);
    }
    if (strncmp(command, "--", 2) == 0) {
        return bench_command(argc - 1, argv + 1, &stop);
    }
    fprintf(stderr, "sluice-bench: '%.100s': no such command; run, sweep, compare or mock\n",
            command);
    return EXIT_CODE_USAGE;
}
