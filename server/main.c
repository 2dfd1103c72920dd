/* main.c - the process: settings, model, port, signals, and an orderly end; or one of the commands
 * that do something else with a model (server/commands).
 *
 * The port opens before the model is loaded, so that probes see "loading" rather than nothing. The
 * first SIGTERM or SIGINT drains, the second ends the process at once.
 * SPDX-License-Identifier: Apache-2.0 */
#include "configs/config.h"
#include "engine/clock.h"
#include "engine/engine.h"
#include "engine/log.h"
#include "server/api.h"
#include "server/commands/command.h"
#include "server/health_check.h"
#include "server/http.h"
#include "server/service.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifndef SLUICE_BUILD
#define SLUICE_BUILD "unknown"
#endif

enum {
    EXIT_FAILED = 1,    /* the machine would not let us */
    EXIT_USAGE = 64,    /* settings that cannot be: starting again would not help */
    EXIT_MODEL = 65,    /* nor with a file that is damaged or not supported */
    FAREWELL_MS = 5000, /* for error events to reach clients that were cut short */
    POLL_MS = 20,
    PROGRESS_MS = 250, /* between two words about it to the service manager */
    HOUR_MS = 3600000,
};

static volatile sig_atomic_t signal_count;
static volatile sig_atomic_t may_drain; /* there is something to drain */
static sem_t signalled;

static void on_signal(int number)
{
    int before = errno;
    signal_count++;
    if (!may_drain || signal_count > 1) {
        _exit(may_drain ? 128 + number : 0);
    }
    sem_post(&signalled);
    errno = before;
}

static void catch_signals(void)
{
    sem_init(&signalled, 0, 0);
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

/* Each connection is a descriptor, and the usual soft limit of 1024 is below our default. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static enum log_level level_of(const char *name)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        if (strcmp(names[level], name) == 0) {
            return (enum log_level)level;
        }
    }
    return LOG_INFO;
}

/* The service unit names those after which there is no second try. */
static int exit_code(enum status status)
{
    switch (status) {
    case OK:
        return EXIT_SUCCESS;
    case ERR_INVALID:
        return EXIT_USAGE;
    case ERR_FORMAT:
    case ERR_UNSUPPORTED:
        return EXIT_MODEL;
    default:
        return EXIT_FAILED;
    }
}

/* ---- instead of serving ---- */

static void print_version(void)
{
    printf("sluiced %s\nbuild: %s\ncompiler: %s\n", API_VERSION, SLUICE_BUILD, __VERSION__);
    printf("instruction sets here:%s%s%s\n", " scalar",
           __builtin_cpu_supports("avx2") ? " avx2" : "",
           __builtin_cpu_supports("avx512f") ? " avx512f" : "");
}

static void print_bytes(const char *what, uint64_t byte_count)
{
    printf("%-12s %14" PRIu64 " bytes %10.1f MiB\n", what, byte_count,
           (double)byte_count / 1048576.0);
}

static int print_plan(const struct config *config)
{
    struct engine_plan plan;
    struct error error = {0};
    if (engine_plan(config, &plan, &error) != OK) {
        fprintf(stderr, "sluiced: %s\n", error.message);
        return exit_code(error.status);
    }
    print_bytes("weights", plan.weight_bytes);
    print_bytes("packed", plan.packed_bytes);
    print_bytes("kv cache", plan.kv_bytes);
    print_bytes("workspace", plan.workspace_bytes);
    print_bytes("requests", plan.request_bytes);
    print_bytes("total", plan.total_bytes);
    printf("%u blocks of %u tokens (%" PRIu64 " bytes each), context %u tokens\n", plan.block_count,
           plan.block_tokens, plan.block_bytes, plan.context_tokens);
    return EXIT_SUCCESS;
}

static int check_health(const struct config *config)
{
    struct error error = {0};
    enum status status = health_check_ask(config->host, (uint16_t)config->port, &error);
    if (status != OK) {
        fprintf(stderr, "sluiced: %s\n", error.message);
    }
    return status == OK ? EXIT_SUCCESS : EXIT_FAILED;
}

/* ---- serving ---- */

static bool wait_for(sem_t *semaphore, uint64_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t nanoseconds = (uint64_t)until.tv_nsec + timeout_ms % 1000 * 1000000u;
    until.tv_sec += (time_t)(timeout_ms / 1000 + nanoseconds / 1000000000u);
    until.tv_nsec = (long)(nanoseconds % 1000000000u);
    return sem_clockwait(semaphore, CLOCK_MONOTONIC, &until) == 0;
}

static bool wait_signal(uint64_t timeout_ms)
{
    return wait_for(&signalled, timeout_ms);
}

static void wait_while_active(struct http *http, uint64_t timeout_ms)
{
    uint64_t until_us = clock_now_us() + timeout_ms * 1000;
    while (http_active(http) > 0 && clock_now_us() < until_us) {
        wait_signal(POLL_MS);
    }
}

static void drain(struct api_context *context, struct engine *engine, struct http *http)
{
    log_event(LOG_INFO, "draining", "%u requests run on for at most %" PRIu64 " ms",
              http_active(http), context->config->shutdown_timeout_ms);
    service_stopping(http_active(http), context->config->shutdown_timeout_ms);
    atomic_store(&context->phase, API_DRAINING);
    engine_drain(engine);
    wait_while_active(http, context->config->shutdown_timeout_ms);
    if (http_active(http) > 0) {
        log_event(LOG_WARNING, "drain_timeout", "%u requests are cut short", http_active(http));
    }
    atomic_store(&context->phase, API_STOPPING);
    http_wake_all(http);
    wait_while_active(http, FAREWELL_MS);
}

/* Until a signal. The manager hears from us only while the engine progresses: a process that answers
 * probes and generates nothing is worse than one that starts again. */
static void watch_engine(const struct engine *engine)
{
    uint64_t limit_us = service_watchdog_us();
    uint64_t turn_ms = limit_us > 0 ? limit_us / 3000 + 1 : HOUR_MS;
    bool was_stalled = false;
    while (!wait_signal(turn_ms)) {
        bool is_stalled = limit_us > 0 && !engine_progressing(engine, clock_now_us(), limit_us);
        if (is_stalled && !was_stalled) {
            log_event(LOG_ERROR, "stalled", "the engine makes no progress");
        }
        if (!is_stalled) {
            service_keep_alive();
        }
        was_stalled = is_stalled;
    }
}

/* The model is loaded on a thread of its own, so that this one can say how far it is. A signal
 * meanwhile ends the process there and then: nobody is being served. */
struct load {
    struct api_context *context;
    struct engine *engine;
    enum status status;
    struct error error;
    sem_t done;
};

static void *load_model(void *argument)
{
    struct load *load = argument;
    struct api_context *context = load->context;
    load->status = engine_open(&load->engine, context->config, &context->loading, &load->error);
    if (load->status == OK) {
        load->status = api_publish(context, load->engine, &load->error);
    }
    sem_post(&load->done);
    return NULL;
}

static void tell_progress(const struct api_context *context, const char *model)
{
    struct loading_state state = loading_read(&context->loading);
    if (state.phase != LOADING_DONE) {
        service_progress(model, state.phase_name, state.percent);
    }
}

/* Returns when the model is there, or cannot be. */
static enum status wait_for_model(struct load *load, const char *model)
{
    pthread_t thread;
    sem_init(&load->done, 0, 0);
    int failure = pthread_create(&thread, NULL, load_model, load);
    if (failure != 0) {
        return error_set(&load->error, ERR_MEMORY, "cannot start the loading thread: %s",
                         strerror(failure));
    }
    while (!wait_for(&load->done, PROGRESS_MS)) {
        tell_progress(load->context, model);
    }
    pthread_join(thread, NULL);
    sem_destroy(&load->done);
    return load->status;
}

static int run(struct api_context *context, struct http *http)
{
    struct load load = {.context = context};
    const char *path = context->config->model;
    const char *model = path != NULL ? path : "the embedded demo model";
    log_event(LOG_INFO, "listening", "http://%s, loading %s", http_address(http), model);
    service_loading(model);
    enum status status = wait_for_model(&load, model);
    struct engine *engine = load.engine;
    if (status != OK) {
        log_event(LOG_ERROR, "start_failed", "%s", load.error.message);
        http_close(http);
        engine_close(engine);
        return exit_code(status);
    }
    const struct engine_info *info = engine_info(engine);
    may_drain = 1;
    log_event(LOG_INFO, "ready",
              "http://%s serves %s (%s, %" PRIu64 " parameters, context %u, %u blocks of %u, %s)",
              http_address(http), context->model_name, info->architecture, info->parameter_count,
              info->context_tokens, info->block_count, info->block_tokens, info->isa_name);
    service_ready(http_address(http), context->model_name);
    watch_engine(engine);
    drain(context, engine, http);
    http_close(http);
    engine_close(engine);
    log_event(LOG_INFO, "stopped", "good bye");
    return EXIT_SUCCESS;
}

static int serve(const struct config *config)
{
    struct api_context context;
    struct http *http = NULL;
    struct error error = {0};
    catch_signals();
    raise_descriptor_limit();
    enum status status = api_open(&context, config, &error);
    if (status == OK) {
        status = http_open(&http, &context, &error);
    }
    int code = EXIT_FAILED;
    if (status == OK) {
        code = run(&context, http);
    } else {
        fprintf(stderr, "sluiced: %s\n", error.message);
        code = exit_code(status);
    }
    api_close(&context);
    return code;
}

int main(int argument_count, char **arguments)
{
    const struct command *command = argument_count > 1 ? command_find(arguments[1]) : NULL;
    if (command != NULL) {
        return command_run(command, argument_count - 2, arguments + 2);
    }
    struct config config;
    struct error error = {0};
    if (config_load(&config, argument_count, arguments, getenv, &error) != OK) {
        fprintf(stderr, "sluiced: %s\n", error.message);
        return EXIT_USAGE;
    }
    log_init(strcmp(config.log_format, "json") == 0 ? LOG_JSON : LOG_TEXT,
             level_of(config.log_level));
    int code = EXIT_SUCCESS;
    if (config.help) {
        config_print_help(stdout);
        command_print_list(stdout);
    } else if (config.version) {
        print_version();
    } else if (config.health_check) {
        code = check_health(&config);
    } else if (config.plan) {
        code = print_plan(&config);
    } else if (config.check_config) {
        config_print(&config, stdout);
    } else {
        code = serve(&config);
    }
    config_release(&config);
    return code;
}
