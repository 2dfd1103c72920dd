/* test_threads.c - the worker pool: every item once, whatever the load and the pauses.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "configs/limits.h"
#include "kernels/cpu/threads.h"
#include "tests/support/thread_switches.h"

#include <dirent.h>
#include <stdatomic.h>
#include <time.h>

enum {
    ITEMS_MAX = 5000
};

struct tally {
    atomic_uint runs[ITEMS_MAX];
    atomic_uint worker_max;
    unsigned plain[ITEMS_MAX]; /* written without atomics: the return must order them */
};

static void count_item(void *context, uint32_t item, uint32_t worker)
{
    struct tally *tally = context;
    unsigned max = atomic_load(&tally->worker_max);
    atomic_fetch_add(&tally->runs[item], 1);
    tally->plain[item] = item + 1;
    while (worker > max && !atomic_compare_exchange_weak(&tally->worker_max, &max, worker)) {
    }
}

static void check_run(struct threads *pool, uint32_t item_count)
{
    static struct tally tally;
    memset(&tally, 0, sizeof tally);
    threads_parallel_for(pool, item_count, count_item, &tally);
    for (uint32_t i = 0; i < ITEMS_MAX; i++) {
        assert_int_equal(atomic_load(&tally.runs[i]), i < item_count);
        assert_int_equal(tally.plain[i], i < item_count ? i + 1 : 0);
    }
    assert_true(atomic_load(&tally.worker_max) < threads_count(pool));
}

static struct threads *open_pool(uint32_t thread_count)
{
    struct threads *pool = NULL;
    struct error err = {0};
    if (threads_open(&pool, thread_count, &err) != OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(threads_count(pool), thread_count);
    return pool;
}

static void every_item_runs_exactly_once(void **state)
{
    static const uint32_t COUNTS[] = {0, 1, 2, 3, 7, 64, 1000, ITEMS_MAX};
    (void)state;
    for (uint32_t threads = 1; threads <= 9; threads += 2) {
        struct threads *pool = open_pool(threads);
        for (int round = 0; round < 20; round++) {
            for (size_t i = 0; i < sizeof COUNTS / sizeof COUNTS[0]; i++) {
                check_run(pool, COUNTS[i]);
            }
        }
        threads_close(pool);
    }
}

static void sleeping_workers_wake_for_the_next_call(void **state)
{
    struct threads *pool = open_pool(3);
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct timespec pause = {.tv_nsec = 3000000}; /* far beyond the spinning */
        check_run(pool, 200);
        nanosleep(&pause, NULL);
    }
    threads_close(pool);
}

struct meeting {
    atomic_uint arrived;
};

/* Ends only when a second worker has come. */
static void meet(void *context, uint32_t item, uint32_t worker)
{
    struct meeting *meeting = context;
    struct timespec pause = {.tv_nsec = 100000};
    (void)item;
    (void)worker;
    atomic_fetch_add(&meeting->arrived, 1);
    while (atomic_load(&meeting->arrived) < 2) {
        nanosleep(&pause, NULL);
    }
}

static void two_items_run_side_by_side(void **state)
{
    struct threads *pool = open_pool(2);
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct meeting meeting = {0};
        threads_parallel_for(pool, 2, meet, &meeting);
        assert_int_equal(atomic_load(&meeting.arrived), 2);
    }
    threads_close(pool);
}

/* The kernel's letter for a thread: R runs, S sleeps. */
static char thread_state(const char *tid)
{
    char path[300];
    char line[512] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", tid);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        if (fgets(line, sizeof line, file) == NULL) {
            line[0] = '\0';
        }
        fclose(file);
    }
    const char *name_end = strrchr(line, ')');
    return (char)(name_end != NULL && name_end[1] == ' ' ? name_end[2] : '?');
}

static unsigned sleeping_thread_count(void)
{
    unsigned count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        count += task->d_name[0] != '.' && thread_state(task->d_name) == 'S';
    }
    closedir(tasks);
    return count;
}

static void workers_of_an_idle_pool_end_up_asleep(void **state)
{
    struct timespec pause = {.tv_nsec = 5000000};
    unsigned before = sleeping_thread_count(); /* a sanitizer may have threads of its own */
    struct threads *pool = open_pool(4);
    unsigned asleep = 0;
    (void)state;
    check_run(pool, 100);
    for (int tries = 0; tries < 2000 && asleep < before + 3; tries++) {
        nanosleep(&pause, NULL);
        asleep = sleeping_thread_count();
    }
    assert_int_equal(asleep, before + 3);
    threads_close(pool);
}

static void an_idle_pool_wakes_nobody(void **state)
{
    struct threads *pool = open_pool(4);
    (void)state;
    check_run(pool, 100);
    assert_true(thread_switches_stay("worker", 3, 500));
    threads_close(pool);
}

static void pool_without_threads_is_refused(void **state)
{
    struct threads *pool = NULL;
    struct error err = {0};
    (void)state;
    assert_int_equal(threads_open(&pool, 0, &err), ERR_INVALID);
    assert_null(pool);
    assert_int_equal(threads_open(&pool, LIMIT_THREADS + 1, &err), ERR_INVALID);
    threads_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_runs_exactly_once),
        cmocka_unit_test(sleeping_workers_wake_for_the_next_call),
        cmocka_unit_test(two_items_run_side_by_side),
        cmocka_unit_test(workers_of_an_idle_pool_end_up_asleep),
        cmocka_unit_test(an_idle_pool_wakes_nobody),
        cmocka_unit_test(pool_without_threads_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
