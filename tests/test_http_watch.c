/* test_http_watch.c - leaving clients and deadlines, on socket pairs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "engine/clock.h"
#include "server/http_watch.h"

#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

struct seen {
    sem_t gone;
    sem_t tick;
};

static void on_gone(void *context)
{
    struct seen *seen = context;
    sem_post(&seen->gone);
}

static void on_tick(void *context)
{
    struct seen *seen = context;
    sem_post(&seen->tick);
}

struct rig {
    struct http_watch *watch;
    struct seen seen;
    int ours;
    int theirs;
    uint32_t slot;
};

static void open_rig(struct rig *rig, uint64_t deadline_us)
{
    const struct http_watch_calls calls = {on_gone, on_tick, 1000};
    struct error error = {0};
    int pair[2];
    assert_int_equal(http_watch_open(&rig->watch, 2, &calls, &error), OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    rig->ours = pair[0];
    rig->theirs = pair[1];
    sem_init(&rig->seen.gone, 0, 0);
    sem_init(&rig->seen.tick, 0, 0);
    rig->slot = http_watch_add(rig->watch, rig->ours, deadline_us);
    assert_int_not_equal(rig->slot, HTTP_WATCH_NONE);
}

static void close_rig(struct rig *rig)
{
    http_watch_remove(rig->watch, rig->slot);
    http_watch_close(rig->watch);
    close(rig->ours);
    if (rig->theirs >= 0) {
        close(rig->theirs);
    }
    sem_destroy(&rig->seen.gone);
    sem_destroy(&rig->seen.tick);
}

static void a_busy_connection_tells_when_its_client_leaves_and_only_once(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, UINT64_MAX);
    http_watch_set(rig.watch, rig.slot, HTTP_WATCH_BUSY, UINT64_MAX, &rig.seen);
    close(rig.theirs);
    rig.theirs = -1;
    assert_int_equal(sem_wait(&rig.seen.gone), 0);
    usleep(20000);
    assert_int_equal(sem_trywait(&rig.seen.gone), -1);
    close_rig(&rig);
}

static void a_client_that_closes_its_sending_side_has_left(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, UINT64_MAX);
    http_watch_set(rig.watch, rig.slot, HTTP_WATCH_BUSY, UINT64_MAX, &rig.seen);
    shutdown(rig.theirs, SHUT_WR);
    assert_int_equal(sem_wait(&rig.seen.gone), 0);
    close_rig(&rig);
}

static void a_client_that_left_before_the_watch_began_is_noticed(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, UINT64_MAX);
    close(rig.theirs);
    rig.theirs = -1;
    http_watch_set(rig.watch, rig.slot, HTTP_WATCH_BUSY, UINT64_MAX, &rig.seen);
    assert_int_equal(sem_wait(&rig.seen.gone), 0);
    close_rig(&rig);
}

static void nothing_is_told_of_a_connection_that_is_quiet_again(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, UINT64_MAX);
    http_watch_set(rig.watch, rig.slot, HTTP_WATCH_BUSY, UINT64_MAX, &rig.seen);
    http_watch_set(rig.watch, rig.slot, HTTP_WATCH_QUIET, 0, NULL);
    close(rig.theirs);
    rig.theirs = -1;
    /* A second connection's event shows that the thread has been round. */
    struct rig other;
    open_rig(&other, UINT64_MAX);
    http_watch_set(other.watch, other.slot, HTTP_WATCH_BUSY, UINT64_MAX, &other.seen);
    shutdown(other.theirs, SHUT_RDWR);
    assert_int_equal(sem_wait(&other.seen.gone), 0);
    usleep(20000);
    assert_int_equal(sem_trywait(&rig.seen.gone), -1);
    close_rig(&other);
    close_rig(&rig);
}

static void a_busy_connection_ticks(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, UINT64_MAX);
    http_watch_set(rig.watch, rig.slot, HTTP_WATCH_BUSY, clock_now_us(), &rig.seen);
    assert_int_equal(sem_wait(&rig.seen.tick), 0);
    assert_int_equal(sem_wait(&rig.seen.tick), 0);
    assert_int_equal(sem_trywait(&rig.seen.gone), -1);
    close_rig(&rig);
}

static void a_request_that_is_not_whole_in_time_is_cut(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, clock_now_us());
    char bytes[256] = {0};
    ssize_t byte_count = recv(rig.theirs, bytes, sizeof bytes - 1, 0);
    assert_true(byte_count > 0);
    assert_memory_equal(bytes, "HTTP/1.1 408 ", 13);
    assert_int_equal(recv(rig.theirs, bytes, sizeof bytes, 0), 0);
    close_rig(&rig);
}

static void slots_run_out_and_come_back(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig, UINT64_MAX);
    uint32_t second = http_watch_add(rig.watch, rig.ours, UINT64_MAX);
    assert_int_not_equal(second, HTTP_WATCH_NONE);
    assert_int_equal(http_watch_add(rig.watch, rig.ours, UINT64_MAX), HTTP_WATCH_NONE);
    http_watch_remove(rig.watch, second);
    assert_int_equal(http_watch_add(rig.watch, rig.ours, UINT64_MAX), second);
    http_watch_remove(rig.watch, second);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_connection_tells_when_its_client_leaves_and_only_once),
        cmocka_unit_test(a_client_that_closes_its_sending_side_has_left),
        cmocka_unit_test(a_client_that_left_before_the_watch_began_is_noticed),
        cmocka_unit_test(nothing_is_told_of_a_connection_that_is_quiet_again),
        cmocka_unit_test(a_busy_connection_ticks),
        cmocka_unit_test(a_request_that_is_not_whole_in_time_is_cut),
        cmocka_unit_test(slots_run_out_and_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
