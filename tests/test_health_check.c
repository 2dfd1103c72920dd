/* test_health_check.c - a server of one canned answer, and nobody at all.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "server/health_check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

struct canned {
    int listener;
    uint16_t port;
    const char *answer;
    char request[512];
    pthread_t thread;
};

static void *serve_one(void *argument)
{
    struct canned *canned = argument;
    int fd = accept(canned->listener, NULL, NULL);
    ssize_t got = recv(fd, canned->request, sizeof canned->request - 1, 0);
    canned->request[got > 0 ? got : 0] = '\0';
    ssize_t sent = send(fd, canned->answer, strlen(canned->answer), MSG_NOSIGNAL);
    close(fd);
    return sent >= 0 ? argument : NULL;
}

static void listen_anywhere(struct canned *canned)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t address_bytes = sizeof address;
    canned->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(canned->listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(canned->listener, 1), 0);
    getsockname(canned->listener, (struct sockaddr *)&address, &address_bytes);
    canned->port = ntohs(address.sin_port);
}

/* What the check makes of this answer. */
static enum status check(const char *host, const char *answer, struct canned *canned,
                         struct error *error)
{
    *canned = (struct canned){.answer = answer};
    listen_anywhere(canned);
    assert_int_equal(pthread_create(&canned->thread, NULL, serve_one, canned), 0);
    enum status status = health_check_ask(host, canned->port, error);
    pthread_join(canned->thread, NULL);
    close(canned->listener);
    return status;
}

static void ready_server_is_ready(void **state)
{
    (void)state;
    struct canned canned;
    struct error error = {0};
    const char *answer = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}";
    assert_int_equal(check("127.0.0.1", answer, &canned, &error), OK);
    const char *head = "GET /readyz HTTP/1.1\r\nHost: ";
    assert_memory_equal(canned.request, head, strlen(head));
}

static void every_address_is_asked_at_loopback(void **state)
{
    (void)state;
    struct canned canned;
    struct error error = {0};
    assert_int_equal(check("0.0.0.0", "HTTP/1.1 200 OK\r\n\r\n", &canned, &error), OK);
}

static void anything_but_200_is_not_ready(void **state)
{
    (void)state;
    struct canned canned;
    struct error error = {0};
    const char *loading = "HTTP/1.1 503 Service Unavailable\r\n\r\n";
    assert_int_equal(check("127.0.0.1", loading, &canned, &error), ERR_IO);
    assert_non_null(strstr(error.message, "503"));
    assert_int_equal(check("127.0.0.1", "", &canned, &error), ERR_IO);
    assert_int_equal(check("127.0.0.1", "HTTP/1.1 2", &canned, &error), ERR_IO);
    assert_int_equal(check("127.0.0.1", "HTTP/1.1 2000 OK\r\n\r\n", &canned, &error), ERR_IO);
    assert_int_equal(check("127.0.0.1", "220 mail.example ready 200\r\n", &canned, &error), ERR_IO);
}

static void nobody_is_not_ready(void **state)
{
    (void)state;
    struct canned canned;
    struct error error = {0};
    listen_anywhere(&canned);
    close(canned.listener);
    assert_int_equal(health_check_ask("127.0.0.1", canned.port, &error), ERR_IO);
    assert_non_null(strstr(error.message, "127.0.0.1"));
    assert_int_equal(health_check_ask("no host at all", 80, &error), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ready_server_is_ready),
        cmocka_unit_test(every_address_is_asked_at_loopback),
        cmocka_unit_test(anything_but_200_is_not_ready),
        cmocka_unit_test(nobody_is_not_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
