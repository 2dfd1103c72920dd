/* test_service.c - the test is the service manager: it listens where systemd would, and passes
 * sockets as systemd does. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/service.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FIRST_PASSED_FD = 3,
    MESSAGE_BYTES = 4096,
};

struct manager {
    int fd;
    char folder[32];
    struct sockaddr_un address;
};

static int open_manager(void **state)
{
    static struct manager manager;
    snprintf(manager.folder, sizeof manager.folder, "/tmp/test_service.XXXXXX");
    assert_non_null(mkdtemp(manager.folder));
    manager.address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(manager.address.sun_path, sizeof manager.address.sun_path, "%s/notify",
             manager.folder);
    manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(manager.fd, (const struct sockaddr *)&manager.address, sizeof manager.address), 0);
    setenv("NOTIFY_SOCKET", manager.address.sun_path, 1);
    *state = &manager;
    return 0;
}

static int close_manager(void **state)
{
    struct manager *manager = *state;
    close(manager->fd);
    unlink(manager->address.sun_path);
    rmdir(manager->folder);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return 0;
}

/* What the manager was told, or "" where nothing came. */
static const char *heard(const struct manager *manager)
{
    static char message[MESSAGE_BYTES + 1];
    ssize_t got = recv(manager->fd, message, MESSAGE_BYTES, 0);
    message[got > 0 ? got : 0] = '\0';
    return message;
}

static void set_number(const char *name, unsigned long long number)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", number);
    setenv(name, text, 1);
}

static void ready_names_model_and_address(void **state)
{
    service_ready("127.0.0.1:8080", "small");
    assert_string_equal(heard(*state), "READY=1\nSTATUS=serving small on 127.0.0.1:8080");
    service_loading("/models/small.gguf");
    assert_string_equal(heard(*state), "STATUS=loading /models/small.gguf");
}

static void sign_of_life_is_given_where_one_is_due(void **state)
{
    service_keep_alive();
    assert_string_equal(heard(*state), "");
    set_number("WATCHDOG_USEC", 90000000);
    service_keep_alive();
    assert_string_equal(heard(*state), "WATCHDOG=1");
}

static void stopping_asks_for_more_than_the_drain(void **state)
{
    service_stopping(3, 60000);
    const char *message = heard(*state);
    assert_non_null(strstr(message, "STOPPING=1\n"));
    assert_non_null(strstr(message, "3 requests"));
    const char *extend = strstr(message, "EXTEND_TIMEOUT_USEC=");
    assert_non_null(extend);
    assert_true(strtoull(extend + strlen("EXTEND_TIMEOUT_USEC="), NULL, 10) >= 70000000);
}

static void without_a_manager_nothing_is_said(void **state)
{
    assert_int_equal(service_watchdog_us(), 0);
    unsetenv("NOTIFY_SOCKET");
    set_number("WATCHDOG_USEC", 90000000);
    service_ready("a", "b");
    service_keep_alive();
    service_stopping(1, 1);
    assert_string_equal(heard(*state), "");
}

static void watchdog_is_meant_for_the_process_it_names(void **state)
{
    (void)state;
    set_number("WATCHDOG_USEC", 90000000);
    assert_int_equal(service_watchdog_us(), 90000000);
    set_number("WATCHDOG_PID", (unsigned long long)getpid());
    assert_int_equal(service_watchdog_us(), 90000000);
    set_number("WATCHDOG_PID", (unsigned long long)getpid() + 1);
    assert_int_equal(service_watchdog_us(), 0);
    unsetenv("WATCHDOG_PID");
    setenv("WATCHDOG_USEC", "soon", 1);
    assert_int_equal(service_watchdog_us(), 0);
}

/* ---- sockets passed in ---- */

enum passed {
    PASSED_LISTENING,
    PASSED_NOT_LISTENING,
    PASSED_DATAGRAM,
};

static void place_socket(int fd, enum passed kind)
{
    int made = socket(AF_INET, kind == PASSED_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (kind == PASSED_LISTENING) {
        listen(made, 1);
    }
    dup2(made, fd);
}

struct outcome {
    enum status status;
    int fd;
    char message[ERROR_MESSAGE_BYTES];
};

/* A child takes descriptors 3 and up as the manager would hand them over, without disturbing those
 * of the test. */
static struct outcome pass_sockets(int count, enum passed kind, unsigned pid_offset)
{
    struct outcome outcome = {0};
    int channel[2];
    assert_int_equal(pipe(channel), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int back = dup2(channel[1], 100);
        for (int i = 0; i < count; i++) {
            place_socket(FIRST_PASSED_FD + i, kind);
        }
        set_number("LISTEN_PID", (unsigned long long)getpid() + pid_offset);
        set_number("LISTEN_FDS", (unsigned long long)count);
        struct error error = {0};
        outcome.status = service_socket(&outcome.fd, &error);
        snprintf(outcome.message, sizeof outcome.message, "%s", error.message);
        bool sent = write(back, &outcome, sizeof outcome) == (ssize_t)sizeof outcome;
        _exit(sent ? 0 : 1);
    }
    assert_int_equal(read(channel[0], &outcome, sizeof outcome), (ssize_t)sizeof outcome);
    close(channel[0]);
    close(channel[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return outcome;
}

static void listening_socket_is_taken_over(void **state)
{
    (void)state;
    struct outcome outcome = pass_sockets(1, PASSED_LISTENING, 0);
    assert_int_equal(outcome.status, OK);
    assert_int_equal(outcome.fd, FIRST_PASSED_FD);
}

static void sockets_for_somebody_else_are_left_alone(void **state)
{
    (void)state;
    struct outcome outcome = pass_sockets(1, PASSED_LISTENING, 1);
    assert_int_equal(outcome.status, OK);
    assert_int_equal(outcome.fd, -1);
}

static void no_socket_means_our_own(void **state)
{
    (void)state;
    int fd = 0;
    struct error error = {0};
    assert_int_equal(service_socket(&fd, &error), OK);
    assert_int_equal(fd, -1);
}

static void what_cannot_be_served_is_refused(void **state)
{
    (void)state;
    struct outcome outcome = pass_sockets(2, PASSED_LISTENING, 0);
    assert_int_equal(outcome.status, ERR_INVALID);
    assert_non_null(strstr(outcome.message, "2 sockets"));
    outcome = pass_sockets(1, PASSED_NOT_LISTENING, 0);
    assert_int_equal(outcome.status, ERR_INVALID);
    assert_non_null(strstr(outcome.message, "ListenStream"));
    outcome = pass_sockets(1, PASSED_DATAGRAM, 0);
    assert_int_equal(outcome.status, ERR_INVALID);
}

#define WITH_MANAGER(name) cmocka_unit_test_setup_teardown(name, open_manager, close_manager)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MANAGER(ready_names_model_and_address),
        WITH_MANAGER(sign_of_life_is_given_where_one_is_due),
        WITH_MANAGER(stopping_asks_for_more_than_the_drain),
        WITH_MANAGER(without_a_manager_nothing_is_said),
        WITH_MANAGER(watchdog_is_meant_for_the_process_it_names),
        cmocka_unit_test(listening_socket_is_taken_over),
        cmocka_unit_test(sockets_for_somebody_else_are_left_alone),
        cmocka_unit_test(no_socket_means_our_own),
        cmocka_unit_test(what_cannot_be_served_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
