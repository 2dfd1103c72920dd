/* run.c - sessions start when the plan says so (open loop) or when a client is free (closed loop);
 * their later turns start when the answer came and the pause is over. Every start has an intended
 * time, fixed before anyone knows whether the client or the server will keep up with it: latencies
 * count from there.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/run.h"

#include "tests/load/arrivals.h"
#include "tests/load/bounds.h"
#include "tests/load/progress.h"
#include "tests/load/ticks.h"
#include "tests/load/timers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    WARMUP_FIRST = 1 << 30, /* sessions of the warm-up: prompts that the run does not repeat */
    WARMUP_CLIENTS = 16,
    NO_ONE = -1
};

struct session {
    uint32_t number;
    uint32_t turn;
    int next; /* in the free list or the queue for a connection */
    struct buffer conversation;
    struct record record; /* of the turn under way */
};

struct driver {
    const struct settings *settings;
    const struct workload *workload;
    struct run *run;
    struct client *client;
    struct timers timers;
    struct session **sessions; /* each stays where it is: the client points into it */
    uint32_t session_room;
    int free_head;
    int queue_head; /* turns that wait for a connection */
    int queue_tail;
    uint64_t *plan; /* open loop: intended starts */
    uint32_t plan_count;
    uint32_t plan_next;
    uint32_t session_max; /* closed loop: sessions to start; 0: as many as fit */
    uint32_t session_next;
    uint32_t session_base;
    uint32_t failed_count;
    uint64_t stop_at;
    uint32_t open_max;
    bool closed_loop;
    struct buffer body;
};

/* ---- what was seen ---- */

static void count_chunk(struct run *run, uint64_t now)
{
    uint64_t slot = (now - run->started) / (RUN_SLOT_MS * TICKS_PER_MS);
    run->chunk_count++;
    if (slot >= BOUND_SLOTS) {
        return;
    }
    if (slot >= run->slot_count) {
        uint32_t count = (uint32_t)slot + 64;
        uint32_t *chunks = realloc(run->slot_chunks, count * sizeof *chunks);
        if (chunks == NULL) {
            run->lacks_memory = true;
            return;
        }
        memset(chunks + run->slot_count, 0, (count - run->slot_count) * sizeof *chunks);
        run->slot_chunks = chunks;
        run->slot_count = count;
    }
    run->slot_chunks[slot]++;
}

static void keep_gap(struct run *run, struct record *record, uint64_t gap)
{
    uint32_t count = record->chunk_count - 2; /* those before this one */
    if (run->gaps_kept >= BOUND_ITLS) {
        return;
    }
    /* Room doubles at powers of two, so it need not be remembered. */
    if (count == 0 || (count & (count - 1)) == 0) {
        size_t room = count == 0 ? 1 : 2 * (size_t)count;
        float *gaps = realloc(record->gaps, room * sizeof *gaps);
        if (gaps == NULL) {
            run->lacks_memory = true;
            return;
        }
        record->gaps = gaps;
    }
    record->gaps[count] = (float)ticks_seconds(gap);
    run->gaps_kept++;
}

static void on_chunk(void *context, struct record *record, uint64_t gap)
{
    struct driver *driver = context;
    count_chunk(driver->run, record->last);
    if (record->chunk_count < 2) {
        return;
    }
    histogram_add(&driver->run->gaps, gap);
    if (driver->settings->save_detailed) {
        keep_gap(driver->run, record, gap);
    }
}

static void keep_record(struct run *run, struct record *record)
{
    if (run->record_count == run->record_room) {
        uint32_t room = run->record_room > 0 ? 2 * run->record_room : 1024;
        struct record *records = realloc(run->records, room * sizeof *records);
        if (records == NULL) {
            run->lacks_memory = true;
            free(record->gaps);
            return;
        }
        run->records = records;
        run->record_room = room;
    }
    run->records[run->record_count++] = *record;
    record->gaps = NULL;
}

/* ---- sessions ---- */

static int take_session(struct driver *driver)
{
    if (driver->free_head == NO_ONE) {
        uint32_t room = driver->session_room > 0 ? 2 * driver->session_room : 64;
        struct session **sessions = realloc(driver->sessions, room * sizeof(struct session *));
        if (sessions == NULL) {
            return NO_ONE;
        }
        driver->sessions = sessions;
        for (; driver->session_room < room; driver->session_room++) {
            struct session *session = calloc(1, sizeof *session);
            if (session == NULL) {
                return NO_ONE;
            }
            session->next = driver->free_head;
            driver->free_head = (int)driver->session_room;
            sessions[driver->session_room] = session;
        }
    }
    int index = driver->free_head;
    driver->free_head = driver->sessions[index]->next;
    return index;
}

static void give_session(struct driver *driver, int index)
{
    driver->sessions[index]->next = driver->free_head;
    driver->free_head = index;
}

static void send_turn(struct driver *driver, int index)
{
    struct session *session = driver->sessions[index];
    struct turn turn;
    buffer_clear(&driver->body);
    workload_ask(driver->workload, session->number, session->turn, &session->conversation,
                 &driver->body, &turn);
    session->record.wanted_tokens = turn.wanted_tokens;
    bool has_more = session->turn + 1 < workload_turns(driver->workload, session->number);
    client_send(driver->client, (uint32_t)index, &session->record, &driver->body, turn.cancel_after,
                has_more);
}

static void queue_turn(struct driver *driver, int index)
{
    driver->sessions[index]->next = NO_ONE;
    if (driver->queue_tail != NO_ONE) {
        driver->sessions[driver->queue_tail]->next = index;
    } else {
        driver->queue_head = index;
    }
    driver->queue_tail = index;
    driver->run->queued_count++;
}

static void begin_turn(struct driver *driver, int index, uint64_t intended)
{
    struct session *session = driver->sessions[index];
    session->record = (struct record){.intended = intended,
                                      .noticed = ticks_now(),
                                      .session = session->number - driver->session_base,
                                      .turn = (uint16_t)session->turn,
                                      .outcome = OUTCOME_UNSENT};
    if (client_under_way(driver->client) < driver->open_max) {
        send_turn(driver, index);
    } else {
        queue_turn(driver, index);
    }
}

static void pump_queue(struct driver *driver)
{
    while (driver->queue_head != NO_ONE && client_under_way(driver->client) < driver->open_max) {
        int index = driver->queue_head;
        driver->queue_head = driver->sessions[index]->next;
        if (driver->queue_head == NO_ONE) {
            driver->queue_tail = NO_ONE;
        }
        send_turn(driver, index);
    }
}

/* A new session; NO_ONE where there is no memory. */
static int new_session(struct driver *driver)
{
    int index = take_session(driver);
    if (index == NO_ONE) {
        driver->run->lacks_memory = true;
        return NO_ONE;
    }
    struct session *session = driver->sessions[index];
    session->number = driver->session_base + driver->session_next++;
    session->turn = 0;
    buffer_clear(&session->conversation);
    return index;
}

static bool more_sessions(const struct driver *driver)
{
    uint32_t most = driver->session_max > 0 ? driver->session_max : BOUND_REQUESTS;
    return driver->session_next < most && driver->run->record_count < BOUND_REQUESTS &&
           !driver->run->lacks_memory;
}

/* Closed loop: a client's next session. */
static void schedule_session(struct driver *driver, uint64_t due)
{
    if (due >= driver->stop_at || !more_sessions(driver)) {
        return;
    }
    int index = new_session(driver);
    if (index != NO_ONE && !timers_add(&driver->timers, due, (uint32_t)index)) {
        driver->run->lacks_memory = true;
    }
}

static void end_session(struct driver *driver, int index, uint64_t ended)
{
    struct session *session = driver->sessions[index];
    uint64_t pause = workload_think(driver->workload, session->number, session->turn);
    give_session(driver, index);
    if (driver->closed_loop) {
        schedule_session(driver, ended + pause);
    }
}

static void note_failure(struct driver *driver, const struct client_answer *answer)
{
    struct run *run = driver->run;
    driver->failed_count++;
    if (run->first_failure[0] == '\0') {
        snprintf(run->first_failure, sizeof run->first_failure, "%s", answer->why);
        for (char *c = run->first_failure; *c != '\0'; c++) {
            if ((unsigned char)*c < 0x20) {
                *c = ' ';
            }
        }
    }
}

static void on_answer(void *context, const struct client_answer *answer)
{
    struct driver *driver = context;
    int index = (int)answer->tag;
    struct session *session = driver->sessions[index];
    uint64_t ended = session->record.ended;
    enum outcome outcome = session->record.outcome;
    if (outcome_is_failure(outcome)) {
        note_failure(driver, answer);
    }
    keep_record(driver->run, &session->record);
    bool has_more = session->turn + 1 < workload_turns(driver->workload, session->number);
    uint64_t due = ended + workload_think(driver->workload, session->number, session->turn);
    if (outcome != OUTCOME_DONE || !has_more || due >= driver->stop_at ||
        session->conversation.used > BOUND_HISTORY_BYTES) {
        end_session(driver, index, ended);
        return;
    }
    workload_answered(driver->workload, &session->conversation, answer->text, answer->text_bytes);
    session->turn++;
    if (!timers_add(&driver->timers, due, (uint32_t)index)) {
        driver->run->lacks_memory = true;
    }
}

/* ---- the loop ---- */

static void start_due(struct driver *driver)
{
    uint64_t now = ticks_now();
    while (driver->plan_next < driver->plan_count &&
           driver->run->started + driver->plan[driver->plan_next] <= now) {
        uint64_t intended = driver->run->started + driver->plan[driver->plan_next++];
        int index = new_session(driver);
        if (index == NO_ONE) {
            return;
        }
        begin_turn(driver, index, intended);
    }
    struct timer timer;
    while (timers_take(&driver->timers, now, &timer)) {
        begin_turn(driver, (int)timer.number, timer.due);
    }
    pump_queue(driver);
}

static uint64_t next_start(const struct driver *driver)
{
    uint64_t next = timers_next(&driver->timers);
    if (driver->plan_next < driver->plan_count) {
        uint64_t planned = driver->run->started + driver->plan[driver->plan_next];
        next = planned < next ? planned : next;
    }
    return next;
}

static bool is_over(const struct driver *driver)
{
    return client_under_way(driver->client) == 0 && driver->queue_head == NO_ONE &&
           next_start(driver) == TICKS_NEVER;
}

static void show_progress(const struct driver *driver, struct progress *progress)
{
    uint64_t now = ticks_now();
    if (!progress_is_due(progress, now)) {
        return;
    }
    const struct run *run = driver->run;
    struct progress_state state = {.done = run->record_count,
                                   .failed = driver->failed_count,
                                   .under_way = client_under_way(driver->client),
                                   .chunks = run->chunk_count};
    double of_time = driver->stop_at != TICKS_NEVER
                         ? (double)(now - run->started) / (double)(driver->stop_at - run->started)
                         : 0;
    double total = driver->closed_loop ? driver->session_max : driver->plan_count;
    total *= (double)workload_turns(driver->workload, 0);
    double of_count = total > 0 ? (double)run->record_count / total : 0;
    state.share = of_time > of_count ? of_time : of_count;
    progress_draw(progress, &state, now);
}

static void loop(struct driver *driver, const volatile int *stop)
{
    struct progress progress;
    progress_open(&progress, !driver->settings->quiet);
    while (!is_over(driver) && !driver->run->lacks_memory) {
        if (stop != NULL && *stop != 0) {
            driver->run->interrupted = true;
            break;
        }
        uint64_t next = next_start(driver);
        client_wait(driver->client, next < progress.next ? next : progress.next);
        start_due(driver);
        show_progress(driver, &progress);
    }
    progress_close(&progress);
}

/* ---- before and after ---- */

static enum status plan_trace(struct driver *driver, const struct trace *trace)
{
    const struct settings *settings = driver->settings;
    for (uint32_t i = 0; i < trace->row_count; i++) {
        uint64_t start = (uint64_t)((double)trace->rows[i].start / settings->trace_speed);
        bool too_late =
            settings->duration_s > 0 && start >= ticks_from_seconds(settings->duration_s);
        if (too_late || (settings->num_requests > 0 && i >= settings->num_requests)) {
            break;
        }
        driver->plan[driver->plan_count++] = start;
    }
    return OK;
}

/* How many arrivals: the count asked for, or as many as the duration holds, whichever is less. */
static uint32_t planned_count(const struct settings *settings, const struct arrivals *arrivals,
                              const struct trace *trace)
{
    if (trace != NULL) {
        return trace->row_count;
    }
    double count = BOUND_REQUESTS;
    if (settings->duration_s > 0) {
        double expected = arrivals_expected(arrivals, settings->duration_s) + 0.5;
        count = expected < count ? expected : count;
    }
    if (settings->num_requests > 0 && (double)settings->num_requests < count) {
        count = (double)settings->num_requests;
    }
    return count < 1 ? 1 : (uint32_t)count;
}

static enum status make_plan(struct driver *driver, const struct trace *trace, struct error *err)
{
    const struct settings *settings = driver->settings;
    struct arrivals arrivals = {.kind = settings->arrival_kind,
                                .rate = settings->rate,
                                .shape = settings->burstiness,
                                .ramp = settings->ramp_s,
                                .ramp_rate = settings->ramp_from,
                                .seed = settings->seed};
    uint32_t count = planned_count(settings, &arrivals, trace);
    driver->plan = malloc(count * sizeof *driver->plan);
    if (driver->plan == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for a plan of %u requests", count);
    }
    if (trace != NULL) {
        plan_trace(driver, trace);
    } else {
        arrivals_plan(&arrivals, driver->plan, count);
        driver->plan_count = count;
    }
    driver->run->planned_count = driver->plan_count;
    driver->run->planned_span =
        driver->plan_count > 0 ? driver->plan[driver->plan_count - 1] - driver->plan[0] : 0;
    return OK;
}

static void start_clients(struct driver *driver)
{
    const struct settings *settings = driver->settings;
    double step = settings->ramp_s / (double)settings->concurrency;
    for (uint64_t i = 0; i < settings->concurrency; i++) {
        schedule_session(driver, driver->run->started + ticks_from_seconds(step * (double)i));
    }
}

static enum status open_client(struct driver *driver, const struct target *target,
                               struct error *err)
{
    const struct settings *settings = driver->settings;
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    uint64_t wanted = driver->closed_loop ? settings->concurrency : settings->max_concurrency;
    if (wanted + 32 > limit.rlim_cur) {
        return error_set(err, ERR_FULL,
                         "--%s %llu: this process may have %llu files open (ulimit -n)",
                         driver->closed_loop ? "concurrency" : "max-concurrency",
                         (unsigned long long)wanted, (unsigned long long)limit.rlim_cur);
    }
    driver->open_max = (uint32_t)wanted;
    struct client_options options = {.open_max = driver->open_max,
                                     .timeout = ticks_from_seconds(settings->timeout_s),
                                     .path = settings->is_chat ? "/v1/chat/completions"
                                                               : "/v1/completions"};
    struct client_events events = {.on_answer = on_answer, .on_chunk = on_chunk, .context = driver};
    return client_open(&driver->client, target, &options, &events, err);
}

static void close_driver(struct driver *driver)
{
    client_close(driver->client);
    timers_release(&driver->timers);
    for (uint32_t i = 0; i < driver->session_room; i++) {
        buffer_release(&driver->sessions[i]->conversation);
        free(driver->sessions[i]->record.gaps);
        free(driver->sessions[i]);
    }
    free(driver->sessions);
    free(driver->plan);
    buffer_release(&driver->body);
}

static double cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static int by_intended(const void *left, const void *right)
{
    const struct record *a = left;
    const struct record *b = right;
    if (a->intended != b->intended) {
        return a->intended < b->intended ? -1 : 1;
    }
    return (a->session > b->session) - (a->session < b->session);
}

/* Keep-alive connections are closed only when the last turn is done, so all of a run's requests
 * share them. */
static enum status run_once(struct run *run, const struct settings *settings,
                            const struct target *target, const struct workload *workload,
                            const struct trace *trace, uint32_t session_base,
                            const volatile int *stop, struct error *err)
{
    *run = (struct run){0};
    struct driver driver = {.settings = settings,
                            .workload = workload,
                            .run = run,
                            .free_head = NO_ONE,
                            .queue_head = NO_ONE,
                            .queue_tail = NO_ONE,
                            .session_max = (uint32_t)settings->num_requests,
                            .session_base = session_base,
                            .closed_loop = !settings->is_open_loop,
                            .stop_at = TICKS_NEVER};
    enum status status = open_client(&driver, target, err);
    if (status == OK && !histogram_open(&run->gaps)) {
        status = error_set(err, ERR_MEMORY, "no memory for a histogram");
    }
    if (status == OK && !driver.closed_loop) {
        status = make_plan(&driver, trace, err);
    }
    if (status == OK) {
        double cpu_before = cpu_seconds();
        run->started = ticks_now();
        if (settings->duration_s > 0) {
            driver.stop_at = run->started + ticks_from_seconds(settings->duration_s);
        }
        if (driver.closed_loop) {
            start_clients(&driver);
        }
        loop(&driver, stop);
        run->ended = ticks_now();
        run->cpu_seconds = cpu_seconds() - cpu_before;
        if (run->record_count > 1) {
            qsort(run->records, run->record_count, sizeof *run->records, by_intended);
        }
        if (run->lacks_memory) {
            status =
                error_set(err, ERR_MEMORY, "no memory left after %u requests", run->record_count);
        }
    }
    close_driver(&driver);
    if (status != OK) {
        run_release(run);
    }
    return status;
}

enum status run_do(struct run *run, const struct settings *settings, const struct target *target,
                   const struct workload *workload, const struct trace *trace,
                   const volatile int *stop, struct error *err)
{
    if (settings->warmup > 0) {
        struct settings warmup = *settings;
        warmup.is_open_loop = false;
        warmup.num_requests = settings->warmup;
        warmup.concurrency = settings->warmup < WARMUP_CLIENTS ? settings->warmup : WARMUP_CLIENTS;
        warmup.duration_s = 0;
        warmup.ramp_s = 0;
        warmup.save_detailed = false;
        enum status status =
            run_once(run, &warmup, target, workload, NULL, WARMUP_FIRST, stop, err);
        if (status != OK) {
            return status;
        }
        run_release(run);
    }
    return run_once(run, settings, target, workload, trace, 0, stop, err);
}

void run_release(struct run *run)
{
    for (uint32_t i = 0; i < run->record_count; i++) {
        free(run->records[i].gaps);
    }
    free(run->records);
    free(run->slot_chunks);
    histogram_close(&run->gaps);
    *run = (struct run){0};
}
