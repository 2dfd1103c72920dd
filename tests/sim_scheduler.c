/* sim_scheduler.c - random worlds around scheduler and KV cache, checked after every step.
 *
 *     sim_scheduler                                   the default runs, and every planted bug
 *     sim_scheduler --seed 7 [--requests 500] [--canary stray_write]   one world again
 *     sim_scheduler --seconds 600 [--seed 1000]       worlds from that seed on, for that long
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/sim_world.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    WORLD_REQUESTS = 250,
    DEFAULT_WORLDS = 600, /* 150,000 requests */
    CANARY_WORLDS = 60,
};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print_coverage(const struct sim_coverage *c, double seconds)
{
    print_message("%" PRIu64 " requests, %" PRIu64 " steps, %" PRIu64 " rows: %.0f steps/s\n",
                  c->requests, c->steps, c->rows, (double)c->steps / seconds);
    print_message("stop %" PRIu64 " length %" PRIu64 " cancelled %" PRIu64 " deadline %" PRIu64
                  " capacity %" PRIu64 " error %" PRIu64 " full %" PRIu64 " invalid %" PRIu64 "\n",
                  c->finished_stop, c->finished_length, c->finished_cancelled, c->finished_deadline,
                  c->finished_capacity, c->finished_error, c->refused_full, c->refused_invalid);
    print_message("preempted %" PRIu64 " forked %" PRIu64 " (copies %" PRIu64 ") cached %" PRIu64
                  " guesses %" PRIu64 "/%" PRIu64 " scored %" PRIu64 " taken blocks %" PRIu64
                  " stalled %" PRIu64 " settled in %.3f of the bound\n",
                  c->preempted, c->forked, c->forked_with_copy, c->cached_tokens,
                  c->guesses_accepted, c->guesses, c->prompt_rows_scored, c->evictions, c->stalled,
                  (double)c->settle_steps_max / 1000);
}

static void every_random_world_keeps_the_invariants_and_each_text_is_as_if_alone(void **state)
{
    (void)state;
    struct sim_coverage c = {0};
    double start = seconds_now();
    for (uint64_t seed = 1; seed <= DEFAULT_WORLDS; seed++) {
        struct sim_options options = {.seed = seed, .request_count = WORLD_REQUESTS};
        sim_world_run(&options, &c);
    }
    print_coverage(&c, seconds_now() - start);
    /* What did not happen was not tested. */
    const uint64_t happened[] = {
        c.finished_stop,
        c.finished_length,
        c.finished_cancelled,
        c.finished_deadline,
        c.finished_capacity,
        c.finished_error,
        c.refused_full,
        c.refused_invalid,
        c.cancelled_waiting,
        c.cancelled_running,
        c.cancelled_in_flight,
        c.cancelled_finished,
        c.preempted,
        c.resumed_with_output,
        c.structs_reused_in_flight,
        c.stalled,
        c.forked,
        c.forked_with_copy,
        c.cached_tokens,
        c.guesses_accepted,
        c.guesses - c.guesses_accepted,
        c.prompt_rows_scored,
        c.evictions,
    };
    for (size_t i = 0; i < sizeof happened / sizeof happened[0]; i++) {
        if (happened[i] < 20) {
            fail_msg("event %zu of the list happened only %" PRIu64 " times", i, happened[i]);
        }
    }
    assert_true(c.requests >= 10000);
}

/* Whether a world with a planted bug is brought down by the checks. In a child: they abort. */
static bool world_dies(const struct sim_options *options)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        struct sim_coverage coverage = {0};
        sim_world_run(options, &coverage);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void every_planted_bug_is_caught(void **state)
{
    (void)state;
    for (int canary = SIM_CANARY_NONE + 1; canary < SIM_CANARY_COUNT; canary++) {
        uint64_t seed = 1;
        struct sim_options options = {.request_count = 100, .canary = (enum sim_canary)canary};
        for (; seed <= CANARY_WORLDS; seed++) {
            options.seed = seed;
            if (world_dies(&options)) {
                break;
            }
        }
        if (seed > CANARY_WORLDS) {
            fail_msg("%s was not caught", sim_world_canary_name(options.canary));
        }
        print_message("%s: caught in world %" PRIu64 "\n", sim_world_canary_name(options.canary),
                      seed);
    }
}

static enum sim_canary canary_by_name(const char *name)
{
    for (int canary = 0; canary < SIM_CANARY_COUNT; canary++) {
        if (strcmp(name, sim_world_canary_name((enum sim_canary)canary)) == 0) {
            return (enum sim_canary)canary;
        }
    }
    fprintf(stderr, "no canary is called %s\n", name);
    exit(2);
}

static int run_by_arguments(int argument_count, char **arguments)
{
    struct sim_options options = {.seed = 1, .request_count = WORLD_REQUESTS};
    double seconds = 0;
    for (int i = 1; i + 1 < argument_count; i += 2) {
        const char *value = arguments[i + 1];
        if (strcmp(arguments[i], "--seed") == 0) {
            options.seed = strtoull(value, NULL, 10);
        } else if (strcmp(arguments[i], "--requests") == 0) {
            options.request_count = (uint32_t)strtoul(value, NULL, 10);
        } else if (strcmp(arguments[i], "--seconds") == 0) {
            seconds = strtod(value, NULL);
        } else if (strcmp(arguments[i], "--canary") == 0) {
            options.canary = canary_by_name(value);
        } else {
            fprintf(stderr, "unknown argument %s\n", arguments[i]);
            return 2;
        }
    }
    struct sim_coverage coverage = {0};
    double start = seconds_now();
    do {
        sim_world_run(&options, &coverage);
        options.seed++;
    } while (seconds_now() - start < seconds);
    print_coverage(&coverage, seconds_now() - start);
    print_message("next seed: %" PRIu64 "\n", options.seed);
    return 0;
}

int main(int argument_count, char **arguments)
{
    if (argument_count > 1) {
        return run_by_arguments(argument_count, arguments);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_random_world_keeps_the_invariants_and_each_text_is_as_if_alone),
        cmocka_unit_test(every_planted_bug_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
